"""A summary beside others of the same article, each measured alike; nothing here needs a model of its own.

It imports scipy, NLTK and sacrebleu, which takes longer than opening a page may: `space.answering` imports it when
there is something to compare.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rouge_score.rouge_scorer import _lcs_table

from space import limits
from trainer.errors import UserError
from trainer.metrics.abstraction import abstraction
from trainer.metrics.bleu import bleu
from trainer.metrics.chrf import chrf
from trainer.metrics.facts import Article, unsupported
from trainer.metrics.rouge import ROUGE_TYPES, rouge, rouge_spans
from trainer.summarizers.extractive import LeadN, TextRank

# Characters of an article up to which TextRank ranks its sentences: that takes some seconds with a longer one.
TEXTRANK_CHARACTERS = 200_000
Bounds = tuple[int, int]


@dataclass(frozen=True)
class Row:
    """One summary and what was measured of it.

    Attributes:
        name: of the system, as people read it.
        text: empty where there is none; then `problem` says why.
        seconds: that it took; None where nothing was computed.
        rouge: F1 in [0, 1] by ROUGE type; None without a reference.
        novel: share of its distinct words that the article lacks, in [0, 1]; None for a text without words.
        unsupported: names, dates and numbers that the article lacks.
        problem: why there is no text.
    """

    name: str
    text: str
    seconds: float | None = None
    rouge: dict[str, float] | None = None
    novel: float | None = None
    unsupported: tuple[str, ...] = ()
    problem: str | None = None


@dataclass(frozen=True)
class Overlap:
    """A summary against a reference.

    Attributes:
        scores: as `score`.
        bleu, chrf: in [0, 1].
        in_summary, in_reference: (start, end, whether in the longest common subsequence, which ROUGE-L counts) of the
            words that both texts have, in characters.
    """

    scores: dict[str, Any]
    bleu: float
    chrf: float
    in_summary: tuple[tuple[int, int, bool], ...]
    in_reference: tuple[tuple[int, int, bool], ...]


def rows(article: str, model: tuple[str, str, float], reference: str | None, others: Sequence[Row] = ()) -> list[Row]:
    """The model's summary (name, text, seconds), the first sentence, TextRank's, `others` and the reference."""
    texts = [Row(*model), _extract("First sentence", LeadN(1), article)]
    if len(article) <= TEXTRANK_CHARACTERS:
        texts.append(_extract("TextRank’s sentence", TextRank(1), article))
    texts += others
    if reference:
        texts.append(Row("Reference", reference))
    facts = Article(article)
    return [_measured(row, article, facts, reference) for row in texts]


def _extract(name: str, system: LeadN | TextRank, article: str) -> Row:
    start = time.perf_counter()
    text = system.summarize([article])[0].text
    return Row(name, text, time.perf_counter() - start)


def _measured(row: Row, article: str, facts: Article, reference: str | None) -> Row:
    if not row.text:
        return row
    novel = float(abstraction([row.text], [""], [article])["novel_1grams"].per_example[0])
    return Row(
        row.name,
        row.text,
        row.seconds,
        rouge={kind: score["fmeasure"] for kind, score in _scores(row.text, reference).items()} if reference else None,
        novel=novel if novel == novel else None,
        unsupported=tuple(fact.text for fact in unsupported(row.text, facts)),
    )


def reference_of(value: Any) -> str | None:
    """The reference, None where there is none.

    Raises:
        UserError: it is too long, or ROUGE finds no word in it.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    text = limits.text(value, "reference", limits.SUMMARY_CHARACTERS)
    if not any(character.isascii() and character.isalnum() for character in text):
        raise UserError("ROUGE counts words of the letters a–z and digits, and the reference has none.")
    return text


def score(summary: Any, reference: Any) -> dict[str, Any]:
    """ROUGE of one summary: for each type precision, recall and fmeasure in [0, 1], and the signatures.

    Raises:
        UserError: a text is empty, too long, or has no word that ROUGE counts.
    """
    summary = limits.text(summary, "summary", limits.SUMMARY_CHARACTERS)
    reference = reference_of(limits.text(reference, "reference", limits.SUMMARY_CHARACTERS))
    return {**_scores(summary, reference), "signatures": dict(rouge([summary], [reference]).signatures)}


def _scores(summary: str, reference: str) -> dict[str, dict[str, float]]:
    values = rouge([summary], [reference]).values
    return {
        kind: dict(zip(("precision", "recall", "fmeasure"), map(float, values[kind][0]), strict=True))
        for kind in ROUGE_TYPES
    }


def overlap(summary: str, reference: str) -> Overlap:
    """What a summary shares with a reference, by ROUGE's words.

    Raises:
        UserError: as `score`.
    """
    ours, theirs = rouge_spans(summary), rouge_spans(reference)
    first, second = [word for *_, word in ours], [word for *_, word in theirs]
    in_first, in_second = _longest_common(first, second)
    return Overlap(
        scores=score(summary, reference),
        bleu=float(bleu([summary], [reference], [""])["bleu"].per_example[0]),
        chrf=float(chrf([summary], [reference], [""])["chrf"].per_example[0]),
        in_summary=_shared(ours, in_first, set(second)),
        in_reference=_shared(theirs, in_second, set(first)),
    )


def _longest_common(first: list[str], second: list[str]) -> tuple[set[int], set[int]]:
    """The places of one longest common subsequence in two lists of words."""
    table = _lcs_table(first, second)
    row, column = len(first), len(second)
    rows_of, columns_of = set(), set()
    while row and column:
        if first[row - 1] == second[column - 1]:
            row, column = row - 1, column - 1
            rows_of.add(row)
            columns_of.add(column)
        elif table[row][column - 1] > table[row - 1][column]:
            column -= 1
        else:
            row -= 1
    return rows_of, columns_of


def _shared(spans: list[tuple[int, int, str]], common: set[int], others: set[str]) -> tuple[tuple[int, int, bool], ...]:
    return tuple(
        (start, end, place in common)
        for place, (start, end, word) in enumerate(spans)
        if place in common or word in others
    )
