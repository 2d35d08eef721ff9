"""Of several summaries of an article, the one that the article supports best.

Beam search ranks by probability, and a small model finds an invented name as likely as the right one. Among its best
few there is mostly one that states nothing the article lacks, and looking for it needs no reference.
"""

from collections.abc import Sequence

from trainer.metrics.facts import unsupported
from trainer.metrics.words import ngrams, words_of
from trainer.summarizers.base import Summary

CHOICE = "support"  # what records call this choice


def best_supported(candidates: Sequence[Summary], source: str) -> Summary:
    """The summary with the fewest numbers, dates and names that `source` lacks (`trainer.metrics.facts`).

    One that the limit of tokens cut off comes last. Of equals it is the one with the larger share of bigrams that stand
    in the source, and of those the first.

    Args:
        candidates: one or more, the most probable first.
        source: the whole article, also what of it was not read.
    """
    given = set(ngrams(words_of(source), 2))

    def rank(summary: Summary) -> tuple[bool, int, float]:
        pairs = ngrams(words_of(summary.text), 2)
        overlap = sum(pair in given for pair in pairs) / len(pairs) if pairs else 0.0
        return summary.finished, -len(unsupported(summary.text, source)), overlap

    return max(candidates, key=rank)
