"""Figures that every evaluation has: ROUGE, and what a system says of its own summaries."""

import math
from collections.abc import Sequence

from trainer.metrics.base import Figure, mean_of
from trainer.metrics.rouge import rouge
from trainer.summarizers.base import Summary


def rouge_figures(predictions: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> dict[str, Figure]:
    """ROUGE as the other metrics are called; the sources are not looked at."""
    return rouge(predictions, references).figures()


def generation_figures(summaries: Sequence[Summary]) -> dict[str, Figure]:
    """What the system says of its summaries: `summary_tokens`, `unfinished_share`, `source_cut_share`."""
    written = [math.nan if summary.tokens_written is None else summary.tokens_written for summary in summaries]
    columns = {
        "summary_tokens": written,
        "unfinished_share": [not summary.finished for summary in summaries],
        "source_cut_share": [summary.tokens_read < summary.tokens_total for summary in summaries],
    }
    return {name: mean_of(column, f"{name}|tool:trainer|tokens:the system's own") for name, column in columns.items()}
