"""BLEU (Papineni et al. 2002) as sacrebleu counts it (Post 2018).

The figure is that of the whole corpus, not the mean of sentences: n-gram matches and lengths are summed
first. Its interval resamples the examples' counts. Values are in [0, 1]; sacrebleu prints them × 100.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sacrebleu.metrics import BLEU
from sacrebleu.metrics.base import Metric as SacreMetric

from trainer.metrics.base import Combine, FigureKind, Metric


def corpus_kind(name: str, corpus: SacreMetric, sentence: SacreMetric) -> FigureKind:
    """How a figure of one of sacrebleu's metrics is made of its own counts of each example.

    sacrebleu's tests of significance work on these same methods. They are not part of what it promises to
    keep, and its version is pinned; the tests compare with its public functions and its command line.

    Args:
        corpus: the metric of the whole.
        sentence: the metric of a single example.
    """
    corpus.num_refs = 1  # each prediction has one reference; sacrebleu would note that at its first text
    return FigureKind(f"{name}|{corpus.get_signature()}", _scores(corpus), _scores(sentence))


def counts(metric: SacreMetric, predictions: Sequence[str], references: Sequence[str]) -> np.ndarray:
    """What the metric counts in each example, (n, k)."""
    return np.array(metric._extract_corpus_statistics(predictions, [references]), dtype=np.float64)


def _scores(metric: SacreMetric) -> Combine:
    def combine(sums: np.ndarray) -> np.ndarray:
        return np.apply_along_axis(lambda row: metric._compute_score_from_stats(list(row)).score / 100, -1, sums)

    return combine


_CORPUS = BLEU(force=True)


def _score(predictions: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> dict[str, Any]:
    """`bleu`, with sacrebleu's defaults (13a tokenisation, case kept, exponential smoothing).

    The examples' own values are sentence BLEU with effective order, as sacrebleu advises for single
    sentences. An empty prediction has 0.
    """
    return {"bleu": counts(_CORPUS, predictions, references)}


bleu = Metric("bleu", {"bleu": corpus_kind("bleu", _CORPUS, BLEU(effective_order=True))}, _score)
