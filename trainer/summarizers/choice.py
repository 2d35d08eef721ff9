"""Of several summaries of an article, the one to be believed first.

Beam search ranks by probability, and a small model finds a sentence joined from pieces, or an invented name, as likely
as a true one. Looking for both needs no reference: the summary is compared with the article alone.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from trainer.data.sentences import split_sentences
from trainer.metrics.copied import CopiedFrom
from trainer.metrics.facts import Article, unsupported
from trainer.metrics.words import ngrams, words_of
from trainer.summarizers.base import Summary
from trainer.summarizers.extractive import TextRank
from trainer.summarizers.leads import LeadTest

CHOICE = "choice-v4"  # what records call this choice
# `python -m trainer.pretraining.choice` writes it, with how its numbers were made.
FITTED = Path(__file__).with_name("choice.json")


@dataclass(frozen=True)
class Weighing:
    """The fitted numbers of the choice.

    Attributes:
        lead_test: tells whether the article begins with its lead.
        centrality_weight: how much a sentence's centrality counts beside the mean log-probability of a token, in nats.
        first_bonus: what the first sentence is given where it does not look like a lead, in nats.
    """

    lead_test: LeadTest
    centrality_weight: float
    first_bonus: float


@cache
def fitted() -> Weighing:
    """The weighing of `choice.json`."""
    values = json.loads(FITTED.read_text("utf-8"))
    return Weighing(LeadTest(**values["lead_test"]), values["centrality_weight"], values["first_bonus"])


@dataclass(frozen=True)
class Contender:
    """A summary that may be the best; which of them it is depends on log-probabilities.

    Attributes:
        centrality, bonus: what is added to the mean log-probability of its tokens, in nats.
        overlap: the share of its bigrams that stand in the article.
    """

    summary: Summary
    centrality: float
    bonus: float
    overlap: float

    def total(self, mean_log_prob: float) -> float:
        """By which contenders are ranked. It is at its most for 0: no log-probability is greater."""
        return mean_log_prob + self.centrality + self.bonus


def best_supported(candidates: Sequence[Summary], source: str, weighing: Weighing | None = None) -> Summary:
    """The summary that is best by, in this order:

    1. the limit of tokens has not cut it off;
    2. joined from the fewest places of the article (`trainer.metrics.copied`), none and one alike;
    3. the fewest numbers, dates and names that the article lacks (`trainer.metrics.facts`);
    4. it is from the article's first sentence, and that looks like a lead (`trainer.summarizers.leads`);
    5. together, the mean log-probability of its tokens, where the system gives one, `centrality_weight` times how
       central the sentence is that most of it was copied from (`centralities`), and `first_bonus` if that is the first;
    6. the larger share of its bigrams that stand in the article.

    Of equals it is the first.

    Args:
        candidates: one or more, the most probable first.
        source: the whole article, also what of it was not read.
        weighing: default `fitted()`.
    """
    return best_of(contenders(candidates, source, weighing))


def best_of(contenders: Sequence[Contender]) -> Summary:
    """The best of the contenders by their scores, 0 where there is none; of equals the first."""
    best = max(contenders, key=lambda one: (one.total(one.summary.score or 0.0), one.overlap))
    return best.summary


def contenders(candidates: Sequence[Summary], source: str, weighing: Weighing | None = None) -> list[Contender]:
    """Those of the candidates that are best by the rules of `best_supported` which need no log-probability (1 to 4).

    Arguments are those of `best_supported`; scores are not looked at.
    """
    if len(candidates) == 1:
        return [Contender(candidates[0], 0.0, 0.0, 0.0)]
    sentences = split_sentences(source)
    central, copied_from, article = centralities(sentences), CopiedFrom(source), Article(source)
    weighing = weighing or fitted()
    begins_with_lead = weighing.lead_test.passed(sentences, central)
    bigrams = set(ngrams(words_of(source), 2))

    def ranked(summary: Summary) -> tuple[tuple[bool, int, int, bool], Contender]:
        places = copied_from.passages(summary.text)
        origin = max(places, key=lambda runs: sum(run.length for run in runs), default=None)
        weight = central[origin[0].sentence] if origin else min(central, default=0.0)
        first = origin is not None and origin[0].sentence == 0
        pairs = ngrams(words_of(summary.text), 2)
        overlap = sum(pair in bigrams for pair in pairs) / len(pairs) if pairs else 0.0
        facts = len(unsupported(summary.text, article))
        rank = (summary.finished, -max(len(places), 1), -facts, first and begins_with_lead)
        return rank, Contender(summary, weighing.centrality_weight * weight, weighing.first_bonus * first, overlap)

    ranks = [ranked(summary) for summary in candidates]
    best = max(rank for rank, _ in ranks)
    return [contender for rank, contender in ranks if rank == best]


def centralities(sentences: list[str]) -> list[float]:
    """How central each sentence of a text is: log(n × its TextRank), 0 for one like the mean of all n."""
    ranks = TextRank(1).ranks(sentences)
    # Equal ranks differ by rounding, and of equals the first is to be taken.
    return [round(math.log(len(sentences) * rank), 9) for rank in ranks]
