"""Words and n-grams as all metrics of abstraction, repetition and facts see them."""

import re
from collections.abc import Sequence

# Letters and digits of any script, joined by inner apostrophes, hyphens and decimal points; punctuation is no
# word.
_WORD = re.compile(r"\w+(?:[’'.,-]\w+)*")
WORDS = "regex-v1"


def words_of(text: str) -> list[str]:
    """The words of `text` in lower case.

    >>> words_of("The BBC's £3.5m plan, re-opened.")
    ['the', "bbc's", '3.5m', 'plan', 're-opened']
    """
    return _WORD.findall(text.lower().replace("’", "'"))


def ngrams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    """All runs of n words, in order; none where there are fewer than n words."""
    return list(zip(*(words[start:] for start in range(n)), strict=False))
