"""Token-overlap F1: how many words two summaries share, whatever their order.

This is SQuAD's F1 (Rajpurkar et al. 2016), which the report calls "human evaluation with the F1 score".
Unlike ROUGE-1 it leaves out articles and doesn't stem.
"""

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import Any

from trainer.metrics.base import Metric, means

FIGURES = ("overlap_precision", "overlap_recall", "overlap_fmeasure")
SIGNATURE = "tool:trainer|normalization:squad-1.1|case:lower"
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def _score(predictions: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> dict[str, Any]:
    """`overlap_precision`, `overlap_recall` and `overlap_fmeasure`, each the mean of the examples' own in [0, 1].

    A prediction or reference without words has 0 on all three; so have two without words, as with ROUGE
    (SQuAD gives those 1, for there an empty answer can be right).
    """
    values = [token_overlap(*pair) for pair in zip(predictions, references, strict=True)]
    return {figure: [value[column] for value in values] for column, figure in enumerate(FIGURES)}


overlap = Metric("overlap", means(FIGURES, SIGNATURE), _score)


def token_overlap(prediction: str, reference: str) -> tuple[float, float, float]:
    """Precision, recall and F1 of one pair.

    >>> token_overlap("The cat sat.", "a cat ran off")
    (0.5, 0.3333333333333333, 0.4)
    """
    predicted, expected = _tokens(prediction), _tokens(reference)
    shared = sum((Counter(predicted) & Counter(expected)).values())
    if not shared:
        return 0.0, 0.0, 0.0
    precision, recall = shared / len(predicted), shared / len(expected)
    return precision, recall, 2 * precision * recall / (precision + recall)


def _tokens(text: str) -> list[str]:
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()
