"""Numbers, dates and names that a summary states and its article does not: the errors that do most harm.

A small, strict reading of texts without a model: it finds what looks like a fact by its spelling and asks whether
the article has it too. So it sees invented facts, and not true ones in the wrong place; what it flags may also follow
from the article ("the UK" is known to be the United Kingdom, "London" is not known to be the capital). References of
XSum have many such facts themselves (Maynez et al. 2020), so read the figures beside those of the references.

- **number**: digits with their decimals (1,200 is 1200 and 7.50 is 7.5), and number words from two to ninety.
- **date**: years from 1000 to 2099, months, days of the week. "May" and "March" count beside a number.
- **name**: a run of capitalised words inside a sentence, or of two or more at its beginning. One capitalised word that
  opens a sentence may be any word and is left out, and a text in one case has no names.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from trainer.data.sentences import SENTENCE_SPLIT, split_sentences
from trainer.metrics.base import Metric, means

KINDS = ("number", "date", "name")
FIGURES = (*(f"unsupported_{kind}_share" for kind in KINDS), "unsupported_facts_share")
SIGNATURE = f"tool:trainer|facts:regex-v1|split:{SENTENCE_SPLIT}"

# A number (letters behind it, as in 3.5m, are a token of their own); a word, digits inside it allowed; anything else.
_TOKEN = re.compile(r"\d+(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|[^\W\d_][^\W_]*(?:['’-][^\W\d_]+)*|[^\w\s]")
_YEAR = re.compile(r"1\d{3}|20\d{2}")
_UNITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_UNITS += ("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_NUMBER_WORDS = {word: str(value) for value, word in enumerate(_UNITS)}
_NUMBER_WORDS |= {word: str(10 * value) for value, word in enumerate(_TENS, start=2)}
_NOT_COUNTED = ("zero", "one")  # "one" is more often a pronoun
_MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october")
_MONTHS += ("november", "december")
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_ALSO_WORDS = ("march", "may")
# Capitalised in the middle of a sentence and yet no names.
_NO_NAMES = frozenset(
    {"i", "i'm", "i've", "i'll", "i'd", "mr", "mrs", "ms", "miss", "dr", "sir", "lord", "lady", "prof"}
)
# Opens a sentence before a name ("When Marine Le Pen", "Using Bayesian"): no part of that name.
_OPENER = re.compile(
    r"the|an?|this|that|these|those|his|her|its|their|our|my|your|he|she|it|they|we|you|there|here|in|on|at|by|for|from|to"
    r"|with|of|as|and|but|or|so|if|when|while|where|who|what|why|how|after|before|since|until|although|because|all|both"
    r"|some|many|most|more|no|not|\w+ing|\w+ly"
)
_LINKS = ("of", "de", "van", "von", "der", "bin", "al", "la", "le", "du", "da")


@dataclass(frozen=True)
class Fact:
    """One fact as it stands in a text: its kind, its spelling, and the normal forms of its parts."""

    kind: str
    text: str
    keys: tuple[str, ...]


class Article:
    """What a text offers in support of facts."""

    def __init__(self, text: str):
        self._text = text

    @cached_property
    def words(self) -> frozenset[str]:
        """All words and numbers in normal form, in whatever case they stand; also the parts of hyphenated ones."""
        words = {_normal(token) for token in _TOKEN.findall(self._text)}
        words |= {part for word in words for part in word.split("-")}
        return frozenset(words | {_NUMBER_WORDS[word] for word in words if word in _NUMBER_WORDS})

    @cached_property
    def initials(self) -> frozenset[str]:
        """Initials of names: "bbc" of British Broadcasting Corporation."""
        names = (fact.keys for fact in facts_of(self._text) if fact.kind == "name" and len(fact.keys) > 1)
        return frozenset("".join(word[0] for word in words if word not in _LINKS) for words in names)

    def supports(self, fact: Fact) -> bool:
        """Whether every part of the fact stands in the text, or it abbreviates a name of the text."""
        if all(key in self.words for key in fact.keys):
            return True
        return fact.kind == "name" and fact.text.isupper() and "".join(fact.keys) in self.initials


def _score(predictions: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> dict[str, Any]:
    """`unsupported_number_share`, `…_date_share`, `…_name_share` and `unsupported_facts_share`.

    The first three are the share of a summary's facts of that kind that its source lacks, the mean of the summaries
    that state any (the figure's n); the last is the share of all summaries that state at least one such fact.
    """
    columns: dict[str, list[float]] = {kind: [] for kind in KINDS}
    flawed = []
    for prediction, source in zip(predictions, sources, strict=True):
        article = Article(source)
        stated = list(facts_of(prediction))
        lacking = [fact for fact in stated if not article.supports(fact)]
        flawed.append(bool(lacking))
        for kind in KINDS:
            total = sum(fact.kind == kind for fact in stated)
            columns[kind].append(sum(fact.kind == kind for fact in lacking) / total if total else float("nan"))
    figures = {f"unsupported_{kind}_share": column for kind, column in columns.items()}
    return figures | {"unsupported_facts_share": flawed}


facts = Metric("facts", means(FIGURES, SIGNATURE), _score, needs=("sources",))


def unsupported(summary: str, source: "str | Article") -> list[Fact]:
    """The facts of a summary that its source lacks, in order; an `Article` in place of its text is looked up sooner.

    >>> [fact.text for fact in unsupported("Ann Orm said 12 boats sank in May 2019.", "Ann Vell saw two boats sink.")]
    ['Ann Orm', '12', 'May', '2019']
    """
    article = Article(source) if isinstance(source, str) else source
    return [fact for fact in facts_of(summary) if not article.supports(fact)]


def facts_of(text: str) -> Iterator[Fact]:
    """The numbers, dates and names of a text, in order."""
    for sentence in split_sentences(text):
        tokens = _TOKEN.findall(sentence)
        place = 0
        while place < len(tokens):
            fact, place = _fact_at(tokens, place)
            if fact:
                yield fact


def _fact_at(tokens: list[str], place: int) -> tuple[Fact | None, int]:
    """The fact that begins at a place, if any, and the place behind it."""
    token = tokens[place]
    word = _normal(token)
    if token[0].isdigit():
        kind = "date" if _YEAR.fullmatch(token) else "number"
        return Fact(kind, token, (word,)), place + 1
    if word in _NUMBER_WORDS and word not in _NOT_COUNTED:
        return Fact("number", token, (_NUMBER_WORDS[word],)), place + 1
    if _is_date(tokens, place, word):
        return Fact("date", token, (word,)), place + 1
    if token[0].isupper() and word not in _NO_NAMES:
        return _name_at(tokens, place)
    return None, place + 1


def _name_at(tokens: list[str], start: int) -> tuple[Fact | None, int]:
    """The name that begins here, if it is one, and the place behind the run of capitalised words."""
    end = start + 1
    while end < len(tokens):
        link = tokens[end] in _LINKS and end + 1 < len(tokens) and tokens[end + 1][0].isupper()
        if not (link or tokens[end][0].isupper()) or _is_date(tokens, end, _normal(tokens[end])):
            break
        end += 1
    words = tokens[start:end]
    opens = not any(token[0].isalnum() for token in tokens[:start]) or tokens[start - 1] in '"“‘:'
    if opens and _OPENER.fullmatch(words[0].lower()):
        return (None, start + 1) if len(words) == 1 else _name_at(tokens, start + 1)
    if len(words) == 1 and (len(words[0]) == 1 or (opens and not _is_acronym(words[0]))):
        return None, end
    keys = [part for token in words if token not in _LINKS for part in _normal(token).split("-")]
    return Fact("name", " ".join(words), tuple(keys)), end


def _is_acronym(token: str) -> bool:
    return len(token) > 1 and token.removesuffix("s").isupper()


def _is_date(tokens: list[str], place: int, word: str) -> bool:
    if word in _ALSO_WORDS:
        beside = tokens[max(place - 1, 0) : place] + tokens[place + 1 : place + 2]
        return tokens[place][0].isupper() and any(token[0].isdigit() for token in beside)
    return word in _MONTHS or word in _DAYS


def _normal(token: str) -> str:
    """A token as it is compared: lower case, no possessive, no thousands separators, no zeros behind the point."""
    if token[0].isdigit():
        number = token.replace(",", "")
        return number.rstrip("0").rstrip(".") if "." in number else number
    token = re.sub(r"['’]s?$", "", token)
    if len(token) > 2 and _is_acronym(token):  # GPs are GP
        token = token.removesuffix("s")
    return token.lower().replace("’", "'")
