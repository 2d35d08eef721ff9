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
# nats; and by how many nats a token another sentence must be more probable than the first for that not to be taken as
# the lead. Chosen for the starter: the weight by ROUGE on 150 XSum validation articles, the margin so that of 60
# articles with their lead nineteen in twenty keep it.
CENTRALITY_WEIGHT = 5.0
LEAD_MARGIN = 0.1


def best_supported(candidates: Sequence[Summary], source: str) -> Summary:
    """The summary that is best by, in this order:

    1. the limit of tokens has not cut it off;
    2. joined from the fewest places of the article (`trainer.metrics.copied`), none and one alike;
    3. the fewest numbers, dates and names that the article lacks (`trainer.metrics.facts`);
    4. it is from the article's first sentence, and the model finds no other clearly more probable a token: there a news
       article says what happened, if its lead was not cut off, as XSum's are;
    5. the mean log-probability of its tokens, where the system gives one, and how central the sentence is that most of
       it was copied from (`centralities`), together;
    6. the larger share of its bigrams that stand in the article.

    Of equals it is the first.

    Args:
        candidates: one or more, the most probable first.
        source: the whole article, also what of it was not read.
    """
    if len(candidates) == 1:
        return candidates[0]
    central, copied_from, article = centralities(source), CopiedFrom(source), Article(source)

    bigrams = set(ngrams(words_of(source), 2))

    scores = [candidate.score or 0.0 for candidate in candidates]

    def rank(number: int) -> tuple[bool, int, int, bool, float, float]:
        summary, score = candidates[number], scores[number]
        places = copied_from.passages(summary.text)
        origin = max(places, key=lambda runs: sum(run.length for run in runs), default=None)
        weight = central[origin[0].sentence] if origin else min(central, default=0.0)
        others = max(scores[:number] + scores[number + 1 :])
        leads = origin is not None and origin[0].sentence == 0 and score > others - LEAD_MARGIN
        pairs = ngrams(words_of(summary.text), 2)
        overlap = sum(pair in bigrams for pair in pairs) / len(pairs) if pairs else 0.0
        facts = len(unsupported(summary.text, article))
        total = score + CENTRALITY_WEIGHT * weight
        return summary.finished, -max(len(places), 1), -facts, leads, total, overlap

    return candidates[max(range(len(candidates)), key=rank)]


def centralities(source: str) -> list[float]:
    """How central each sentence of a text is: log(n × its TextRank), 0 for one like the mean of all n."""
    sentences = split_sentences(source)
    ranks = TextRank(1).ranks(sentences)
    # Equal ranks differ by rounding, and of equals the first is to be taken.
    return [round(math.log(len(sentences) * rank), 9) for rank in ranks]
