"""chrF2: F-score of character n-grams up to 6 (Popović 2015), as sacrebleu counts it.

It needs no words, so it also sees near misses ("councillor", "councils") and works for any script.
"""

from collections.abc import Sequence
from typing import Any

from sacrebleu.metrics import CHRF

from trainer.metrics.base import Metric
from trainer.metrics.bleu import corpus_kind, counts

_CHRF = CHRF()


def _score(predictions: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> dict[str, Any]:
    """`chrf`, over the whole corpus with sacrebleu's defaults, in [0, 1]; an empty prediction has 0."""
    return {"chrf": counts(_CHRF, predictions, references)}


chrf = Metric("chrf", {"chrf": corpus_kind("chrf", _CHRF, _CHRF)}, _score)
