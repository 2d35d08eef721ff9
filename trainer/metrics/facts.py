"""Numbers, dates and names that a summary states and its article does not: the errors that do most harm.

A small, strict reading of texts without a model: it finds what looks like a fact by its spelling and asks whether
the article has it too. So it sees invented facts, and not true ones in the wrong place; what it flags may also follow
from the article ("London" is not known to be the capital). References of XSum have many such facts themselves (Maynez
et al. 2020), so read the figures beside those of the references.

- **number**: digits and number words from two on, compared by their value (`trainer.metrics.quantities`); a number
  rounded to two figures or more is supported by the exact one. Ranks count from "third" on.
- **date**: years from 1000 to 2099, months, days of the week. "May" and "March" count beside a number.
- **name**: a run of capitalised words, without titles, compared part by part. A word that opens a sentence is none if
  it usually is written in lower case (`trainer.metrics.ordinary`). A text in one case has no names.

How often it is right, with facts planted in real summaries: trainer/records/planted.json.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from trainer.data.sentences import SENTENCE_SPLIT, split_sentences
from trainer.metrics.base import Metric, means
from trainer.metrics.ordinary import is_ordinary
from trainer.metrics.quantities import IMPLIED, NUMBER, RANKS, begins_quantity, is_digits, quantity_at, rounds_to
from trainer.metrics.words import FUNCTION_WORDS

KINDS = ("number", "date", "name")
FIGURES = (*(f"unsupported_{kind}_share" for kind in KINDS), "unsupported_facts_share")
SIGNATURE = f"tool:trainer|facts:regex-v2|split:{SENTENCE_SPLIT}"

# A number; a word, digits inside it allowed; anything else.
_TOKEN = re.compile(rf"{NUMBER}|[^\W\d_][^\W_]*(?:['’-][^\W\d_]+)*|[^\w\s]")
_POINTS = re.compile(r"\b(?:[A-Z]\.){2,}")  # U.S.
_YEAR = re.compile(r"1\d{3}|20\d{2}")
_YEARS = re.compile(r"\b((?:1\d|20)\d\d)[-–/](\d\d)\b")  # 2018-19
_MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october")
_MONTHS += ("november", "december")
_MONTH_OF = {month[:3]: month for month in _MONTHS} | {"sept": "september"}
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_ALSO_WORDS = ("march", "may", *_MONTH_OF)
_NOT_COUNTED = (0, 1)  # "one" is more often a pronoun
_RANKS_COUNTED = 3  # "second" is more often a moment
# Capitalised before a name and no part of it.
_TITLE_WORDS = """
i i'm i've i'll i'd mr mrs ms miss dr sir dame lord lady prof professor rev reverend st saint king queen prince princess
pope president vice prime minister secretary chancellor senator governor mayor mp mps msp msps ams cllr councillor judge
justice captain sergeant sgt inspector constable pc superintendent general colonel major bishop archbishop cardinal
father sister baroness baron duke duchess earl shadow deputy chief ex pm
"""
_TITLES = frozenset(_TITLE_WORDS.split())
# Names of the same, a line each, in normal form; and endings by which a people or a language is named after a country.
_SAME_NAMES = """
uk britain british
us usa america american americans
wales welsh
france french
netherlands dutch holland
spain spanish
ireland irish
denmark danish
switzerland swiss
greece greek greeks
norway norwegian
poland polish
finland finnish
gop republican republicans
dems democrats
"""
_OTHER_NAMES = {name: frozenset(line.split()) for line in _SAME_NAMES.splitlines() for name in line.split()}
_ENDING_WORDS = "a ain al an and ans en er ers ese ey i ia ian ians is ish istan land n ns tish um uese y"
_ENDINGS = ("", *_ENDING_WORDS.split())
_STEM = 4  # letters at least
_LINKS = ("of", "de", "van", "von", "der", "bin", "al", "la", "le", "du", "da")


@dataclass(frozen=True)
class Fact:
    """One fact as it stands in a text.

    Attributes:
        kind: "number", "date" or "name".
        text: its spelling.
        keys: the normal forms of its parts; of a number its value.
        opens: whether it is a name of one word that opens a sentence, where every word has a capital.
    """

    kind: str
    text: str
    keys: tuple[str, ...]
    opens: bool = False


class Article:
    """What a text offers in support of facts."""

    def __init__(self, text: str):
        self._text = text

    @cached_property
    def words(self) -> frozenset[str]:
        """All words and numbers in normal form, in whatever case they stand; also the parts of hyphenated ones."""
        words = {_normal(token) for token in _tokens(self._text)}
        words |= {part for word in words for part in word.split("-")}
        words |= {year[:2] + end for year, end in _YEARS.findall(self._text)}
        return frozenset(words | {_MONTH_OF[word] for word in words if word in _MONTH_OF})

    @cached_property
    def values(self) -> frozenset[float]:
        """The values of all numbers, and those that words such as "both" or "third" stand for."""
        values = {float(year[:2] + end) for year, end in _YEARS.findall(self._text)}
        for tokens in map(_tokens, split_sentences(self._text)):
            values |= {float(IMPLIED[word]) for word in map(str.lower, tokens) if word in IMPLIED}
            place = 0
            while place < len(tokens):
                value, place = quantity_at(tokens, place) or (None, place + 1)
                values |= set() if value is None else {value}
        return frozenset(values)

    @cached_property
    def initials(self) -> frozenset[str]:
        """Initials of capitalised words that follow each other, but for little ones: "rspb", and its parts."""
        found = set()
        for tokens in map(_tokens, split_sentences(self._text)):
            words = [word for word in " ".join(tokens).replace("-", " ").split() if word not in FUNCTION_WORDS]
            letters = "".join(word[0].lower() if word[0].isupper() else " " for word in words)
            for run in letters.split():
                found |= {run[start:end] for start in range(len(run)) for end in range(start + 2, start + 9)}
        return frozenset(found)

    @cached_property
    def capitalised(self) -> frozenset[str]:
        """The words that stand with a capital somewhere; all of them in a text that has no capitals."""
        tokens = [token for token in _tokens(self._text) if token[0].isupper()]
        words = {_normal(token) for token in tokens}
        return frozenset(words | {part for word in words for part in word.split("-")}) if words else self.words

    @cached_property
    def stems(self) -> frozenset[str]:
        """Capitalised words without the endings that make a people's name of a country's."""
        return frozenset(stem for token in _tokens(self._text) if token[0].isupper() for stem in _stems(_normal(token)))

    def supports(self, fact: Fact) -> bool:
        """Whether the text has the number's value, every part of the date or name, or the name's initials."""
        if fact.kind == "number":
            (stated,) = map(float, fact.keys)
            return stated in self.values or any(rounds_to(value, stated) for value in self.values)
        known = self.words if fact.kind == "date" or fact.opens else self.capitalised
        if all(key in known for key in fact.keys):
            return True
        if fact.kind == "date":
            return False
        if all(self._has(key, known, in_capitals=key.upper() in fact.text) for key in fact.keys):
            return True
        return len(fact.keys) > 1 and "".join(key[0] for key in fact.keys) in self.words

    def _has(self, part: str, known: frozenset[str], in_capitals: bool) -> bool:
        """Whether a part of a name is among `known` words, in another form, or spelled out if it is in capitals."""
        if not known.isdisjoint((part, part.removesuffix("s"), f"{part}s")):
            return True
        if in_capitals and len(part) > 1 and part in self.initials:
            return True
        return not self.words.isdisjoint(_OTHER_NAMES.get(part, ())) or not self.stems.isdisjoint(_stems(part))


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
        tokens = _tokens(sentence)
        place = 0
        while place < len(tokens):
            fact, place = _fact_at(tokens, place)
            if fact:
                yield fact


def _fact_at(tokens: list[str], place: int) -> tuple[Fact | None, int]:
    """The fact that begins at a place, if any, and the place behind it."""
    token = tokens[place]
    word = _normal(token)
    if _YEAR.fullmatch(token):
        return Fact("date", token, (word,)), place + 1
    quantity = quantity_at(tokens, place)
    if quantity:
        value, end = quantity
        counts = is_digits(token) or value not in _NOT_COUNTED
        return Fact("number", " ".join(tokens[place:end]), (f"{value:.15g}",)) if counts else None, end
    if RANKS.get(word, 0) >= _RANKS_COUNTED:
        return Fact("number", token, (str(RANKS[word]),)), place + 1
    if _is_date(tokens, place, word):
        return Fact("date", token, (_MONTH_OF.get(word, word),)), place + 1
    if token[0].isupper() and word not in _TITLES:
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
    if opens and _only_opens(words[0]):
        return (None, start + 1) if len(words) == 1 else _name_at(tokens, start + 1)
    parts = [part for token in words for part in token.split("-") if part[:1].isupper()]
    keys = [key for key in map(_normal, parts) if key not in _TITLES]
    if not keys or (len(words) == 1 and len(words[0]) == 1):
        return None, end
    return Fact("name", " ".join(words), tuple(keys), opens=opens and len(words) == 1), end


def _only_opens(token: str) -> bool:
    """Whether a capitalised word is no name at the beginning of a sentence ("When Marine Le Pen", "Police said")."""
    word = _normal(token)
    return token[1:] == token[1:].lower() and (word.partition("'")[0] in FUNCTION_WORDS or is_ordinary(word))


def _is_acronym(token: str) -> bool:
    return len(token) > 1 and token.removesuffix("s").isupper()


def _is_date(tokens: list[str], place: int, word: str) -> bool:
    if word in _ALSO_WORDS:
        beside = tokens[max(place - 1, 0) : place] + tokens[place + 1 : place + 2]
        return tokens[place][0].isupper() and any(token[0].isdigit() for token in beside)
    return word in _MONTHS or word in _DAYS


def _tokens(sentence: str) -> list[str]:
    """Words, numbers and signs; "three-year" and "mid-July" are two words, "twenty-five" is one."""
    tokens = []
    for token in _TOKEN.findall(_POINTS.sub(lambda short: short[0].replace(".", ""), sentence)):
        first, hyphen, rest = token.partition("-")
        counts = begins_quantity(first) and not begins_quantity(token)
        tokens += [first, rest] if hyphen and (counts or rest.lower() in _MONTHS + _DAYS) else [token]
    return tokens


def _stems(name: str) -> set[str]:
    """A name without each of the endings that it has: "virgini", "virgin" of "virginian"."""
    return {name.removesuffix(end) for end in _ENDINGS if name.endswith(end) and len(name) - len(end) >= _STEM}


def _normal(token: str) -> str:
    """A token as it is compared: lower case, no accents, no possessive, no thousands separators."""
    if token[0].isdigit():
        return token.replace(",", "")
    token = re.sub(r"['’]s?$", "", token)
    if len(token) > 2 and _is_acronym(token):  # GPs are GP
        token = token.removesuffix("s")
    folded = unicodedata.normalize("NFKD", token.lower().replace("’", "'"))
    return "".join(letter for letter in folded if not unicodedata.combining(letter))
