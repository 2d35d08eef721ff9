"""The figures of a system as columns of numbers (a float64 per example and figure), without the texts."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from trainer.data.splits import Example
from trainer.metrics.base import Figure, FigureKind, Metric
from trainer.scoring.ledger import Ledger


class Columns:
    """The figures of one system: a column of numbers for each, filled from the lines of predictions.jsonl.

    Args:
        kinds: name of each figure → how it is made.
        n: examples.
    """

    def __init__(self, kinds: Mapping[str, FigureKind], n: int):
        self.kinds = kinds
        self.n = n
        self.values = {name: np.full(n, np.nan) for name in kinds}
        self._counts: dict[str, np.ndarray] = {}

    def fill(self, records: Iterable[Mapping[str, Any]]) -> "Columns":
        for record in records:
            row = record["row"]
            for name, column in self.values.items():
                value = record["scores"].get(name)
                column[row] = math.nan if value is None else value
            for name, counts in record.get("counts", {}).items():
                if name in self.kinds:
                    self._counts.setdefault(name, np.zeros((self.n, len(counts))))[row] = counts
        return self

    def figure(self, name: str) -> Figure:
        kind = self.kinds[name]
        if kind.is_mean:
            return kind.figure(self.values[name])
        return kind.figure(self._counts[name], self.values[name])

    def figures(self) -> dict[str, Figure]:
        return {name: self.figure(name) for name in self.kinds}


def fill_pooled(metric: Metric, columns: Mapping[str, Columns], ledger: Ledger, examples: Sequence[Example]) -> None:
    """Fills the figures of a metric that compares examples of different blocks; one pool is in memory at a time."""
    for pool, scored in metric.pools(len(examples)):
        pairs = [examples[row] for row in pool]
        references, sources = [pair.target for pair in pairs], [pair.source for pair in pairs]
        for system, column in columns.items():
            texts = [record["prediction"] for record in ledger.records(system, pool)]
            for name, values in metric.score(texts, references, sources).items():
                column.values[name][scored] = [values[row - pool.start] for row in scored]
