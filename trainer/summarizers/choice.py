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
    if len(candidates) == 1:
        return candidates[0]
    sentences = split_sentences(source)
    central, copied_from, article = centralities(sentences), CopiedFrom(source), Article(source)
    weighing = weighing or fitted()
    begins_with_lead = weighing.lead_test.passed(sentences, central)
    bigrams = set(ngrams(words_of(source), 2))

    def rank(summary: Summary) -> tuple[bool, int, int, bool, float, float]:
        places = copied_from.passages(summary.text)
        origin = max(places, key=lambda runs: sum(run.length for run in runs), default=None)
        weight = central[origin[0].sentence] if origin else min(central, default=0.0)
        first = origin is not None and origin[0].sentence == 0
        pairs = ngrams(words_of(summary.text), 2)
        overlap = sum(pair in bigrams for pair in pairs) / len(pairs) if pairs else 0.0
        facts = len(unsupported(summary.text, article))
        total = (summary.score or 0.0) + weighing.centrality_weight * weight + weighing.first_bonus * first
        return summary.finished, -max(len(places), 1), -facts, first and begins_with_lead, total, overlap

    return max(candidates, key=rank)


def centralities(sentences: list[str]) -> list[float]:
    """How central each sentence of a text is: log(n × its TextRank), 0 for one like the mean of all n."""
    ranks = TextRank(1).ranks(sentences)
    # Equal ranks differ by rounding, and of equals the first is to be taken.
    return [round(math.log(len(sentences) * rank), 9) for rank in ranks]
