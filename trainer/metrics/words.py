"""Words and n-grams as all metrics of abstraction, repetition and facts see them."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate

# Letters and digits of any script, joined by inner apostrophes, hyphens and decimal points; punctuation is no
# word.
_WORD = re.compile(r"\w+(?:[’'.,-]\w+)*")
WORDS = "regex-v1"
# Words that texts on any subject share: TextRank would link every sentence to every other by them,
# and Word Mover's Distance would move little else.
_FUNCTION_WORDS = """
a about after again all also am an and any are as at be because been before being between both but by can could did
do does down during each for from further had has have he her here hers him his how i if in into is it its just me more
most my no nor not now of off on once only or other our out over own said same say says she should so some such than
that the their them then there these they this those through to too under until up us very was we were what when where
which while who whom why will with would you your
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())


def words_of(text: str) -> list[str]:
    """The words of `text` in lower case.

    >>> words_of("The BBC's £3.5m plan, re-opened.")
    ['the', "bbc's", '3.5m', 'plan', 're-opened']
    """
    return _WORD.findall(text.lower().replace("’", "'"))


def word_spans(text: str) -> list[tuple[int, int]]:
    """Where each word of `words_of(text)` stands in `text`: (start, end), in characters.

    >>> word_spans("The BBC's plan.")
    [(0, 3), (4, 9), (10, 14)]
    """
    lower = text.lower()
    found = [match.span() for match in _WORD.finditer(lower.replace("’", "'"))]
    if len(lower) == len(text):
        return found
    # A few capitals become two characters: the end of each character of `text` in `lower`.
    ends = list(accumulate(len(character.lower()) for character in text))
    return [(bisect_right(ends, start), bisect_left(ends, end) + 1) for start, end in found]


def ngrams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    """All runs of n words, in order; none where there are fewer than n words."""
    return list(zip(*(words[start:] for start in range(n)), strict=False))
