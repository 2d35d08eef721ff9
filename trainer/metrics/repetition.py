"""How much a summary repeats itself, the weakness of small models and greedy decoding."""

from collections.abc import Sequence
from typing import Any

from trainer.metrics.base import Metric, means
from trainer.metrics.words import WORDS, ngrams, words_of

FIGURE = "repeated_trigram_share"
SIGNATURE = f"tool:trainer|words:{WORDS}|case:lower"


def _score(predictions: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> dict[str, Any]:
    """`repeated_trigram_share`: the share of a summary's trigrams that it has had before, 1 - distinct / all.

    This is seq-rep-n of Welleck et al. 2020 with n = 3, the mean of the examples' own values. A summary of
    fewer than three words has no trigram and is left out.
    """
    return {FIGURE: [repeated_share(text, 3) for text in predictions]}


repetition = Metric("repetition", means([FIGURE], SIGNATURE), _score, needs=())


def repeated_share(text: str, n: int) -> float:
    """1 - distinct n-grams / n-grams; NaN where there is none."""
    found = ngrams(words_of(text), n)
    return 1 - len(set(found)) / len(found) if found else float("nan")
