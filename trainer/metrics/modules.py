"""Our metrics through `evaluate`'s interface: `module("rouge").compute(predictions=…, references=…)`.

`evaluate.load` fetches the code of a metric from the Hub; these are classes that are here already, so they work
without a network, and in `evaluate.combine` like any other.
"""

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate

from trainer.errors import UserError, nearest
from trainer.metrics.base import Metric
from trainer.metrics.registry import METRICS


class FigureModule(evaluate.Metric):
    """A metric of `trainer.metrics` as an `evaluate.EvaluationModule`.

    `compute(predictions=…, references=…)`, and `sources=…` where the metric reads the articles, gives a dictionary of
    figure → value (NaN where no example defines it). With `per_example=True` it gives for each figure a list of the
    examples' own values, with `signatures=True` also `signatures`, figure → signature.

    Args:
        metric: whose figures it gives.
        options: those of `evaluate.EvaluationModule`. Texts are kept in memory unless `keep_in_memory=False`, which
            several processes need.
    """

    def __init__(self, metric: Metric, **options: Any):
        self._metric = metric
        alone = options.get("num_process", 1) == 1
        super().__init__(**{"keep_in_memory": alone, **options})
        self.info.module_name = metric.name

    def _info(self) -> evaluate.MetricInfo:
        inputs = ["predictions", "references", *(["sources"] if "sources" in self._metric.needs else [])]
        return evaluate.MetricInfo(
            description=self._metric.about,
            citation="",
            inputs_description=f"Lists of texts, as many of each: {', '.join(inputs)}.",
            features=datasets.Features({name: datasets.Value("string") for name in inputs}),
        )

    def _compute(
        self,
        predictions: Sequence[str],
        references: Sequence[str],
        sources: Sequence[str] | None = None,
        per_example: bool = False,
        signatures: bool = False,
    ) -> dict[str, Any]:
        predictions, references = list(predictions), list(references)
        figures = self._metric(predictions, references, references if sources is None else list(sources))
        found: dict[str, Any] = {
            name: figure.per_example.tolist() if per_example else figure.value for name, figure in figures.items()
        }
        if signatures:
            found["signatures"] = {name: figure.signature for name, figure in figures.items()}
        return found


def module(name: str, **options: Any) -> FigureModule:
    """The module of one of `trainer.metrics.registry.METRICS`; `options` are those of `evaluate.EvaluationModule`.

    Raises:
        UserError: there is no such metric (with the nearest name).
    """
    if name not in METRICS:
        near = nearest(name, METRICS)
        hint = f"did you mean {near!r}?" if near else f"there are {', '.join(METRICS)}."
        raise UserError(f"No metric is called {name!r}: {hint}")
    return FigureModule(METRICS[name], **options)
