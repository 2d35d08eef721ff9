"""From pieces back to the text that was pasted: words with scores, whose texts joined are the article.

A vocabulary's pieces are no text for people: `▁ding`, `wall`, `<unk>`. And the article is not to be had from
them: the tokenizer drops line ends, repeated spaces and zero-width characters, and rewrites others ("ﬁ" as f
and i). So the article is cut into words by itself, and each piece's score goes to one of them, by offset.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from trainer.attribution.base import Attribution, Offset
from trainer.data.sentences import split_sentences

# Punctuation that belongs to the word beside it: 50%, #tag, @name, R&D.
_PART_OF_WORD = frozenset("#%&@‰")
# Its last dot is not the sentence's: U.S., p.m., Ph.D.
_ABBREVIATION = re.compile(r"(?:[^\W\d_]{1,2}\.){2,}")
_PUNCTUATION = frozenset({"Ps", "Pe", "Pi", "Pf", "Pd", "Po"})
_MARKS = frozenset({"Mn", "Me", "Mc", "Cf"})


class Span(NamedTuple):
    """A stretch of the article; `score` in nats, or None where the model read nothing of it."""

    text: str
    score: float | None


def fold_to_words(article: str, attribution: Attribution) -> list[Span]:
    """The article cut into words, punctuation and the space between, with the sums of their pieces' scores.

    A word is a run of characters without white space, less the punctuation at its two ends, which makes spans
    of its own: `"Dingwall,` is `"`, `Dingwall`, `,`. A piece goes, whole, to the span that holds most of its
    characters, the earlier one of two that hold as many: the model knows no halves of it. A piece of nothing
    but white space goes to the word after it, which it introduces, or else to the last word.

    Score None: white space, words of which the tokenizer keeps nothing, and all past the limit on the source's
    length (a word that the limit cuts is two spans). Neighbours without score are one span.

    `"".join(span.text for span in spans) == article`, whatever the article; and the scores add up to those of
    the attribution's pieces, prefix and `</s>` aside.
    """
    if not article:
        return []
    bounds, places = place(article, attribution.offsets, cut=attribution.tokens_read < attribution.tokens_total)
    scores: list[float | None] = [None] * len(bounds)
    for index, score in zip(places, attribution.scores, strict=True):
        if index is not None:
            scores[index] = (scores[index] or 0.0) + score
    spans: list[Span] = []
    unscored = 0  # start of the unscored stretch that ends here
    for (start, end), score in zip(bounds, scores, strict=True):
        if score is not None:
            if unscored < start:
                spans.append(Span(article[unscored:start], None))
            spans.append(Span(article[start:end], score))
            unscored = end
    if unscored < len(article):
        spans.append(Span(article[unscored:], None))
    return spans


def place(text: str, offsets: Sequence[Offset], *, cut: bool) -> tuple[list[tuple[int, int]], list[int | None]]:
    """Cuts `text` into words, punctuation and white space, and says to which of them each piece belongs.

    Args:
        offsets: (start, end) of each piece in the text's characters, None for what is not of the text.
        cut: whether the last piece is where a limit ended the reading; what lies behind is in no part.

    Returns:
        (start, end) of the parts, without gaps, and for each piece the part's index, None where its offset is None.
    """
    placed = [offset for offset in offsets if offset is not None]
    limit = len(text)
    if cut:
        limit = min(limit, max((1, *(end for _, end in placed))))
        while limit < len(text) and _is_mark(text[limit]):
            limit += 1
    bounds = _segments(text, limit)
    words = [index for index, (start, _) in enumerate(bounds) if not text[start].isspace()]
    return bounds, [None if offset is None else _holder(bounds, words, *offset) for offset in offsets]


def run_bounds(text: str) -> list[tuple[int, int]]:
    """(start, end) of each run of characters without white space: what a reader points at as a word."""
    return [(run.start(), run.end()) for run in re.finditer(r"\S+", text)]


def sentence_bounds(text: str) -> list[tuple[int, int]]:
    """(start, end) of each sentence that `trainer.data.sentences.split_sentences` finds, in the text's characters."""
    visible = [index for index, character in enumerate(text) if not character.isspace()]
    bounds, first = [], 0
    for sentence in split_sentences(text):
        last = first + sum(not character.isspace() for character in sentence)
        bounds.append((visible[first], visible[last - 1] + 1))
        first = last
    return bounds


def fold_to(bounds: Sequence[tuple[int, int]], offsets: Sequence[Offset], scores: np.ndarray) -> np.ndarray:
    """Sums of `scores` (..., pieces) over the pieces of each stretch of text: (..., stretches).

    A piece goes, whole, to the stretch that holds most of its characters; one of white space between two stretches
    goes to the later one. Pieces without an offset go to none, so that the sums add up to those of the others.

    Args:
        bounds: (start, end) of the stretches, rising: words, runs or sentences.
        offsets: of each piece, as in `Attribution`.
    """
    sums = np.zeros((*scores.shape[:-1], len(bounds)))
    for piece, stretch in enumerate(holders(bounds, offsets)):
        if stretch is not None:
            sums[..., stretch] += scores[..., piece]
    return sums


def holders(bounds: Sequence[tuple[int, int]], offsets: Sequence[Offset]) -> list[int | None]:
    """The index in `bounds` of the stretch that each piece belongs to, as `fold_to` has it."""
    stretches = range(len(bounds))
    return [_holder(bounds, stretches, *offset) if offset is not None and bounds else None for offset in offsets]


def display_scores(spans: Sequence[Span]) -> list[float | None]:
    """The spans' scores divided by the largest absolute one: in [-1, 1], None where there is no score."""
    largest = max((abs(span.score) for span in spans if span.score is not None), default=0.0)
    return [None if span.score is None else span.score / (largest or 1.0) for span in spans]


def strongest(spans: Sequence[Span], k: int) -> list[Span]:
    """The `k` words with the largest absolute scores, strongest first, each word once.

    Occurrences of a word, case aside, are one entry: the sum of their scores (nats), since scores add up,
    spelled as it first stands in the article. Spans without a letter or digit are no words.
    """
    totals: dict[str, Span] = {}
    for text, score in spans:
        if score is not None and any(character.isalnum() for character in text):
            first, total = totals.get(text.casefold(), Span(text, 0.0))
            totals[text.casefold()] = Span(first, total + score)
    return sorted(totals.values(), key=lambda span: -abs(span.score))[:k]


def _segments(article: str, limit: int) -> list[tuple[int, int]]:
    """(start, end) of words, punctuation and white space, without gaps; the rest past `limit` is left out."""
    bounds = []
    for run in re.finditer(r"\s+|\S+", article[:limit]):
        cuts = [0, len(run[0])] if run[0].isspace() else _peel(run[0])
        bounds += [(run.start() + left, run.start() + right) for left, right in pairwise(cuts)]
    return bounds


def _peel(run: str) -> list[int]:
    """Where to cut a run without white space into opening punctuation, word, closing punctuation."""
    left, right = 0, len(run)
    # A mark is drawn on the character before it (accents, keycap emoji): nothing may come between them.
    while left < right and _is_punctuation(run[left]) and not _is_mark(run[left + 1 : left + 2]):
        left += 1
    while left < right and _is_punctuation(run[right - 1]):
        right -= 1
    if _ABBREVIATION.fullmatch(run[left : right + 1]):
        right += 1
    return sorted({0, left, right, len(run)})


def _is_punctuation(character: str) -> bool:
    return unicodedata.category(character) in _PUNCTUATION and character not in _PART_OF_WORD


def _is_mark(character: str) -> bool:
    return character != "" and unicodedata.category(character) in _MARKS


def _holder(bounds: Sequence[tuple[int, int]], words: Sequence[int], start: int, end: int) -> int:
    """The index in `bounds` of the word that characters [start, end) belong to; `words` are such indices."""
    if not words:
        return 0
    first = min(bisect_right(words, start, key=lambda index: bounds[index][1]), len(words) - 1)
    best, most = first, 0
    for index in range(first, len(words)):
        left, right = bounds[words[index]]
        if left >= end:
            break
        held = min(right, end) - max(left, start)
        if held > most:
            best, most = index, held
    return words[best]
