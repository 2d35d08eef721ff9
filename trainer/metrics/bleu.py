"""BLEU (Papineni et al. 2002) as sacrebleu counts it (Post 2018).

The figure is that of the whole corpus, not the mean of sentences: n-gram matches and lengths are summed
first. Its interval resamples the examples' counts. Values are in [0, 1]; sacrebleu prints them × 100.
"""

from collections.abc import Callable, Sequence

import numpy as np
from sacrebleu.metrics import BLEU
from sacrebleu.metrics.base import Metric

from trainer.metrics.base import Figure, same_number


def bleu(predictions: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> dict[str, Figure]:
    """`bleu`, with sacrebleu's defaults (13a tokenisation, case kept, exponential smoothing).

    The examples' own values are sentence BLEU with effective order, as sacrebleu advises for single
    sentences. An empty prediction has 0.

    Raises:
        ValueError: the lists differ in length.
    """
    same_number(predictions=predictions, references=references)
    return {"bleu": corpus_figure("bleu", BLEU(force=True), predictions, references, BLEU(effective_order=True))}


def corpus_figure(
    name: str, metric: Metric, predictions: Sequence[str], references: Sequence[str], by_sentence: Metric
) -> Figure:
    """A figure of one of sacrebleu's metrics, from its own counts of each example.

    sacrebleu's tests of significance work on these same methods. They are not part of what it promises to
    keep, and its version is pinned; the tests compare with its public functions and its command line.
    """
    counts = metric._extract_corpus_statistics(predictions, [references])
    per_example = [by_sentence._compute_score_from_stats(row).score / 100 for row in counts]
    signature = f"{name}|{metric.get_signature()}"
    return Figure(np.array(counts, dtype=np.float64), _scores(metric), signature, np.array(per_example))


def _scores(metric: Metric) -> Callable[[np.ndarray], np.ndarray]:
    def combine(sums: np.ndarray) -> np.ndarray:
        return np.apply_along_axis(lambda row: metric._compute_score_from_stats(list(row)).score / 100, -1, sums)

    return combine
