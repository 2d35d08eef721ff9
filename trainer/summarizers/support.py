"""Of several summaries of an article, the one to be believed first.

Beam search ranks by probability, and a small model finds a sentence joined from pieces, or an invented name, as likely
as a true one. Looking for both needs no reference: the summary is compared with the article alone.
"""

import math
from collections.abc import Sequence

from trainer.data.sentences import split_sentences
from trainer.metrics.copied import CopiedFrom
from trainer.metrics.facts import Article, unsupported
from trainer.metrics.words import ngrams, words_of
from trainer.summarizers.base import Summary
from trainer.summarizers.extractive import TextRank

CHOICE = "support-v2"  # what records call this choice
# How much a sentence's centrality (log of its TextRank over the mean) counts beside the log-probability of a token, in
# nats. Chosen on XSum validation and on articles with their lead (trainer/records/starter).
CENTRALITY_WEIGHT = 0.3


def best_supported(candidates: Sequence[Summary], source: str) -> Summary:
    """The summary that is best by, in this order:

    1. the limit of tokens has not cut it off;
    2. joined from the fewest places of the article (`trainer.metrics.copied`), none and one alike;
    3. the fewest numbers, dates and names that the article lacks (`trainer.metrics.facts`);
    4. the mean log-probability of its tokens, where the system gives one, and how central the sentence is that most of
       it was copied from (`centralities`), together;
    5. the larger share of its bigrams that stand in the article.

    Of equals it is the first.

    Args:
        candidates: one or more, the most probable first.
        source: the whole article, also what of it was not read.
    """
    if len(candidates) == 1:
        return candidates[0]
    central, copied_from, article = centralities(source), CopiedFrom(source), Article(source)

    bigrams = set(ngrams(words_of(source), 2))

    def rank(summary: Summary) -> tuple[bool, int, int, float, float]:
        places = copied_from.passages(summary.text)
        origin = max(places, key=lambda runs: sum(run.length for run in runs), default=None)
        weight = central[origin[0].sentence] if origin else min(central, default=0.0)
        score = (summary.score or 0.0) + CENTRALITY_WEIGHT * weight
        pairs = ngrams(words_of(summary.text), 2)
        overlap = sum(pair in bigrams for pair in pairs) / len(pairs) if pairs else 0.0
        return summary.finished, -max(len(places), 1), -len(unsupported(summary.text, article)), score, overlap

    return max(candidates, key=rank)


def centralities(source: str) -> list[float]:
    """How central each sentence of a text is: log(n × its TextRank), 0 for one like the mean of all n."""
    sentences = split_sentences(source)
    ranks = TextRank(1).ranks(sentences)
    # Equal ranks differ by rounding, and of equals the first is to be taken.
    return [round(math.log(len(sentences) * rank), 9) for rank in ranks]
