"""What an engine gives: plain values, without the model."""

from dataclasses import dataclass
from typing import Any

from space.verdict import Remark
from trainer.attribution.deletion import Change, Deletion
from trainer.attribution.folding import Span
from trainer.attribution.gradients import Attribution
from trainer.attribution.proof import Necessity


@dataclass(frozen=True)
class Reading:
    """How much of an article the model reads.

    Attributes:
        words: of the article.
        words_read: of them, those that are read whole.
        tokens: of the article in all, prefix and end token included.
        limit: tokens that are read at most.
        end: the character of the article at which reading stops; the article's length where all of it is read.
    """

    words: int
    words_read: int
    tokens: int
    limit: int
    end: int


@dataclass(frozen=True)
class Answer:
    """A summary and how it came about.

    Attributes:
        text: the summary; may be empty.
        tokens_read, tokens_total: of the source, prefix and end token included, read and in all.
        tokens_written, finished: tokens generated; False if a limit cut the summary off.
        unknown: how many of the tokens read are `<unk>`: characters that the vocabulary lacks.
        remarks: what to know before believing it, worst first.
        decoding: the settings, as a record states them.
        seconds: that it took.
        words_unread: at the article's end, past what is read.
        asked: whether the model was; False of a sentence of the article that rules chose alone: its lead, or the only
            one that could be taken (`trainer.summarizers.sentence_choice`).
    """

    text: str
    tokens_read: int
    tokens_total: int
    tokens_written: int
    finished: bool
    unknown: int
    remarks: tuple[Remark, ...]
    decoding: dict[str, Any]
    seconds: float
    words_unread: int
    asked: bool


@dataclass(frozen=True)
class Explanation:
    """Why a summary: the article's words with scores.

    Attributes:
        spans: their texts joined are the article, character for character; scores in nats.
        shown: the scores divided by the largest absolute one; None as in `spans`.
        strongest: words with the largest absolute scores, strongest first.
        attribution: what the spans are folded from, with completeness and shares.
    """

    spans: tuple[Span, ...]
    shown: tuple[float | None, ...]
    strongest: tuple[Span, ...]
    attribution: Attribution


@dataclass(frozen=True)
class Weight:
    """What leaving words out says about an explanation, in short.

    Attributes:
        bounds: (start, end) of the article's words that do more than random ones; the others should not be coloured.
        necessity: the fall without the five strongest words (fewer, where the article has fewer).
    """

    bounds: tuple[tuple[int, int], ...]
    necessity: Necessity


@dataclass(frozen=True)
class AskedAgain:
    """The model asked again after words were struck out of the article.

    Attributes:
        deletion: what is left, and how far the old summary's probability fell.
        answer: the new summary.
        changes: from the old summary to the new one, in words.
    """

    deletion: Deletion
    answer: Answer
    changes: tuple[Change, ...]
