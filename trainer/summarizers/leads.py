"""Does a text begin with its lead, the sentence in which a news article says what happened?

A whole article does, and there its first sentence is the best simple summary by far; a text whose lead was cut off, as
XSum's are, begins somewhere in the story. A logistic regression on what the first two sentences look like tells them
apart. `python -m trainer.pretraining.choice` fits its weights and writes them to `choice.json`, with how that was done.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from trainer.metrics.words import FUNCTION_WORDS, words_of
from trainer.summarizers.extracts import tidied

# A first word that stands for somebody or something named before.
_POINTING_BACK = "he she it they his her their its this that these those him them we our i"
_POINTS_BACK = frozenset(_POINTING_BACK.split())
_DAY = re.compile(r"\b(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day\b")
_AGE = re.compile(r", \d\d,|-year-old")
_TITLE = re.compile(r"\b(?:Mr|Mrs|Ms|Dr) ")


@dataclass(frozen=True)
class LeadTest:
    """A logistic regression on `lead_features`.

    Attributes:
        weights: by the name of the feature.
        intercept: of the regression, in logits.
        threshold: the probability from which on the first sentence is taken as the lead.
    """

    weights: dict[str, float]
    intercept: float
    threshold: float

    def probability(self, features: dict[str, float]) -> float:
        """That the text begins with its lead, from 0 to 1."""
        logit = self.intercept + sum(self.weights[name] * value for name, value in features.items())
        return 1 / (1 + math.exp(-max(-500.0, min(500.0, logit))))

    def passed(self, sentences: Sequence[str], centralities: Sequence[float]) -> bool:
        """Whether the first of the sentences is to be taken as the lead; of a single one there is nothing to ask."""
        return len(sentences) < 2 or self.probability(lead_features(sentences, centralities)) >= self.threshold


def lead_features(sentences: Sequence[str], centralities: Sequence[float]) -> dict[str, float]:
    """What tells a lead from another beginning: of a text of two sentences or more, by name.

    Args:
        sentences: all of the text.
        centralities: of each, as `trainer.summarizers.choice.centralities` gives them.
    """
    first = tidied(sentences[0])
    words, *others = [words_of(text) for text in (first, *sentences[1:])]
    content = [word for word in words if word not in FUNCTION_WORDS]
    return {
        "centrality": centralities[0],
        "log_sentences": math.log(len(sentences)),
        "words": len(words),
        "log_words": math.log(len(words) + 1),
        "content_words": len(content),
        "log_words_of_second": math.log(len(others[0]) + 1),
        "share_repeated": _share_in(content, others),
        "share_repeated_soon": _share_in(content, others[:3]),
        "says_has": float(not {"has", "have"}.isdisjoint(words)),
        "says_was": float(not {"was", "were", "had"}.isdisjoint(words)),
        "begins_with_pronoun": float(not _POINTS_BACK.isdisjoint(words[:1])),
        "second_begins_with_pronoun": float(not _POINTS_BACK.isdisjoint(others[0][:1])),
        "begins_with_the": float(words[:1] == ["the"]),
        "second_begins_with_the": float(others[0][:1] == ["the"]),
        "names_a_weekday": float(_DAY.search(first) is not None),
        "names_an_age": float(_AGE.search(first) is not None),
        "names_by_title": float(_TITLE.search(first) is not None),
        "commas": float(first.count(",")),
    }


def _share_in(words: Sequence[str], sentences: Sequence[Sequence[str]]) -> float:
    """The share of the words, in [0, 1], that stand in one of the sentences; of no words 0."""
    found = set().union(*sentences)
    return sum(word in found for word in words) / max(1, len(words))
