"""What goes wrong: classes of error by rule.

The rules are plain on purpose, so that anybody can check a flag by eye; each is the share of summaries that have it.

- **missing the point**: it has less than a fifth of the reference's content words (stemmed, function words left out).
- **invented**: it states a number, date or name that the article lacks (`trainer.metrics.facts`).
- **repeated**: more than a fifth of its trigrams occurred before, or a sentence stands in it twice.
- **cut off**: the limit of new tokens ended it (the system says so itself: `unfinished_share`).
- **longer than the article**: in words; **empty**: no word at all (`empty_share`).

A summary may have several or none. The same rules applied to references would flag some of them too: they are no
verdict on a single summary.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

from trainer.data.sentences import split_sentences
from trainer.metrics.base import Metric, means
from trainer.metrics.facts import unsupported
from trainer.metrics.repetition import repeated_share
from trainer.metrics.rouge import RougeTokenizer
from trainer.metrics.words import FUNCTION_WORDS

MISSING_BELOW = 0.2

REPEATED_ABOVE = 0.2

FIGURES = ("missing_point_share", "invented_share", "repeated_share", "overlong_share")
SIGNATURE = "tool:trainer|errors:rules-v1"

# Class → (what people read, the figure whose examples' own value is 1 where a summary has it).
CLASSES = {
    "missing": ("missing the main point", "missing_point_share"),
    "invented": ("invented name, number or date", "invented_share"),
    "repeated": ("repeats itself", "repeated_share"),
    "cut": ("cut off", "unfinished_share"),
    "overlong": ("longer than the article", "overlong_share"),
    "empty": ("empty", "empty_share"),
}


def _score(predictions: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> dict[str, Any]:
    """`missing_point_share`, `invented_share`, `repeated_share` and `overlong_share`, as the module's head defines.

    A reference without content words leaves its example out of the first.
    """
    columns: dict[str, list[float]] = {name: [] for name in FIGURES}
    for prediction, reference, source in zip(predictions, references, sources, strict=True):
        found = content_recall(prediction, reference)
        columns["missing_point_share"].append(float("nan") if found is None else found < MISSING_BELOW)
        columns["invented_share"].append(bool(unsupported(prediction, source)))
        columns["repeated_share"].append(repeats(prediction))
        columns["overlong_share"].append(len(prediction.split()) > len(source.split()))
    return columns


errors = Metric("errors", means(FIGURES, SIGNATURE), _score, needs=("references", "sources"))


def content_recall(prediction: str, reference: str) -> float | None:
    """The share of the reference's distinct content words that the prediction has; None where there are none."""
    wanted = content_words(reference)
    return len(wanted & content_words(prediction)) / len(wanted) if wanted else None


def content_words(text: str) -> set[str]:
    """Stems of the words of a text that are no function words."""
    return set(tokenizer().tokenize(text)) - function_stems()


def repeats(text: str) -> bool:
    """Whether a summary says the same again."""
    sentences = [sentence.lower() for sentence in split_sentences(text) if len(sentence.split()) > 2]
    return len(set(sentences)) < len(sentences) or repeated_share(text, 3) > REPEATED_ABOVE


@cache
def tokenizer() -> RougeTokenizer:
    return RougeTokenizer()


@cache
def function_stems() -> frozenset[str]:
    return frozenset(tokenizer().tokenize(" ".join(FUNCTION_WORDS)))
