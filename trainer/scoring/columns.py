"""The figures of a system as columns of numbers (a float64 per example and figure), without the texts."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from trainer.metrics import aboutness
from trainer.metrics.base import Figure, MetricFunction, mean_of
from trainer.scoring.figures import generation_figures
from trainer.scoring.ledger import Ledger, Spool
from trainer.summarizers.base import Summary


class Columns:
    """The figures of one system: a column of numbers for each, filled from the lines of predictions.jsonl.

    Args:
        prototypes: figures of any one example, which know names, signatures and how corpus scores combine.
        n: examples.
    """

    def __init__(self, prototypes: Mapping[str, Figure], n: int):
        self.prototypes = prototypes
        self.values = {name: np.full(n, np.nan) for name in prototypes}
        self.counts = {
            name: np.zeros((n, figure.rows.shape[1])) for name, figure in prototypes.items() if not is_mean(figure)
        }

    def fill(self, records: Iterable[Mapping[str, Any]]) -> "Columns":
        for record in records:
            row = record["row"]
            for name, column in self.values.items():
                value = record["scores"].get(name)
                column[row] = math.nan if value is None else value
            for name, counts in self.counts.items():
                counts[row] = record["counts"][name]
        return self

    def figure(self, name: str) -> Figure:
        prototype = self.prototypes[name]
        if name not in self.counts:
            return mean_of(self.values[name], prototype.signature)
        return Figure(self.counts[name], prototype.combine, prototype.signature, self.values[name])

    def figures(self) -> dict[str, Figure]:
        return {name: self.figure(name) for name in self.prototypes}


def prototypes(metrics: Iterable[MetricFunction], about: bool = False) -> dict[str, Figure]:
    """Every figure of the metrics, over one made-up example; that of aboutness too where it is asked for."""
    figures = generation_figures([Summary("word", None, 1, 1)])
    for metric in [*metrics, *([aboutness.aboutness] if about else [])]:
        figures |= metric(["word"], ["word"], ["word"])
    return figures


def fill_aboutness(columns: Mapping[str, Columns], ledger: Ledger, spool: Spool) -> None:
    """Fills `own_article_share`, for which articles are compared that lie in different blocks; 100 are read at once."""
    for pool, scored in aboutness.pools(len(spool)) if len(spool) > 1 else []:
        articles = aboutness.Pool([spool[row].source for row in pool])
        for name, column in columns.items():
            for record in ledger.records(name, scored):
                own = articles.has_own(record["prediction"], record["row"] - pool.start)
                column.values[aboutness.FIGURE][record["row"]] = own


_MEAN = mean_of([0.0], "").combine


def is_mean(figure: Figure) -> bool:
    return figure.combine is _MEAN
