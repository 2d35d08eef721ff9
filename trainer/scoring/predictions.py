"""One line of predictions.jsonl: what it holds, and how it is made of a summary and its scores."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from trainer.data.splits import Example
from trainer.metrics.base import FigureKind, Metric, means
from trainer.scoring.intervals import json_number
from trainer.summarizers.base import Summary

# What a system says of its own summaries; every evaluation has these figures before those of its metrics.
GENERATION = means(("summary_tokens", "unfinished_share", "source_cut_share"), "tool:trainer|tokens:the system's own")


@dataclass(frozen=True)
class Prediction:
    """A summary, what it was compared with, and its own scores.

    Attributes:
        row: number of the example in its split, from 0.
        score: as the system gives it (`trainer.summarizers.base.Summary`).
        tokens_read, tokens_total, tokens_written, finished: the same.
        scores: figure → the example's own value; None where it has none.
        counts: corpus score → the numbers whose sums it is computed from; the line has no such field where it is empty.
    """

    system: str
    row: int
    id: str
    prediction: str
    reference: str
    score: float | None
    tokens_read: int
    tokens_total: int
    tokens_written: int | None
    finished: bool
    scores: dict[str, float | None]
    counts: dict[str, list[float]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        values = asdict(self)
        if not values["counts"]:
            del values["counts"]
        return values


def figure_kinds(metrics: Sequence[Metric]) -> dict[str, FigureKind]:
    """Every figure of an evaluation by these metrics, in the order of its record."""
    kinds = dict(GENERATION)
    for metric in metrics:
        kinds |= metric.figures
    return kinds


def predictions_of(
    system: str,
    start: int,
    examples: Sequence[Example],
    summaries: Sequence[Summary],
    metrics: Sequence[Metric],
) -> Iterator[Prediction]:
    """The lines of a block of examples whose first row is `start`.

    The metrics must be such that need no other examples (`Metric.pools`).
    """
    figures = {name: kind.figure(_generation(summaries)[name]) for name, kind in GENERATION.items()}
    texts = [summary.text for summary in summaries]
    for metric in metrics:
        figures |= metric(texts, [one.target for one in examples], [one.source for one in examples])
    corpus_scores = [name for name, kind in figure_kinds(metrics).items() if not kind.is_mean]
    for place, (example, summary) in enumerate(zip(examples, summaries, strict=True)):
        yield Prediction(
            system=system,
            row=start + place,
            id=example.id,
            prediction=summary.text,
            reference=example.target,
            score=summary.score,
            tokens_read=summary.tokens_read,
            tokens_total=summary.tokens_total,
            tokens_written=summary.tokens_written,
            finished=summary.finished,
            scores={name: json_number(figure.per_example[place]) for name, figure in figures.items()},
            counts={name: figures[name].rows[place].tolist() for name in corpus_scores},
        )


def _generation(summaries: Sequence[Summary]) -> Mapping[str, list[float]]:
    return {
        "summary_tokens": [
            math.nan if summary.tokens_written is None else summary.tokens_written for summary in summaries
        ],
        "unfinished_share": [not summary.finished for summary in summaries],
        "source_cut_share": [summary.tokens_read < summary.tokens_total for summary in summaries],
    }
