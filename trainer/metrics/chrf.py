"""chrF2: F-score of character n-grams up to 6 (Popović 2015), as sacrebleu counts it.

It needs no words, so it also sees near misses ("councillor", "councils") and works for any script.
"""

from collections.abc import Sequence

from sacrebleu.metrics import CHRF

from trainer.metrics.base import Figure, same_number
from trainer.metrics.bleu import corpus_figure


def chrf(predictions: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> dict[str, Figure]:
    """`chrf`, over the whole corpus with sacrebleu's defaults, in [0, 1]; an empty prediction has 0.

    Raises:
        ValueError: the lists differ in length.
    """
    same_number(predictions=predictions, references=references)
    metric = CHRF()
    return {"chrf": corpus_figure("chrf", metric, predictions, references, metric)}
