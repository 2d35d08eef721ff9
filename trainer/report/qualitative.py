"""Examples of what goes well and wrong: which summaries to look at, and their words marked by where they come from."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainer.metrics.error_classes import CLASSES, content_words, function_stems, tokenizer
from trainer.metrics.facts import unsupported
from trainer.scoring.ledger import Ledger, Spool

SHOWN_SOURCE = 4000  # characters of an article on the page

_WORD = re.compile(r"[^\W_]+", re.ASCII)  # what rouge_score takes for a word, letters in either case


@dataclass(frozen=True)
class Shown:
    """One summary on the page.

    Attributes:
        groups: why it is shown: "best", "worst", "drawn" or a class of error.
        errors: all classes that it has.
        score: the figure that best and worst go by, in [0, 1].
        summary, reference, source: spans (text, mark): see `marked`.
        cut: characters of the article that are not shown.
    """

    system: str
    row: int
    id: str
    groups: tuple[str, ...]
    errors: tuple[str, ...]
    score: float
    summary: list[tuple[str, str]]
    reference: list[tuple[str, str]]
    source: list[tuple[str, str]]
    cut: int


def choose(values: Mapping[str, np.ndarray], by: str, number: int, seed: int) -> dict[int, list[str]]:
    """Row → why it is worth a look: the best, the worst, some drawn, and some of each class of error.

    Args:
        values: the columns of one system, figure → (n,).
        by: the figure that best and worst go by.
        number: rows of each group.
    """
    scores = values[by]
    order = np.argsort(-np.nan_to_num(scores, nan=-1.0), kind="stable")
    draw = np.random.default_rng(seed)
    n = min(number, len(order))
    groups = {
        "best": order[:n],
        "worst": order[::-1][:n],
        "drawn": np.sort(draw.choice(len(order), n, replace=False)),
    }
    for name, (_, figure) in CLASSES.items():
        if figure in values:
            having = np.flatnonzero(values[figure] == 1.0)
            groups[name] = np.sort(draw.choice(having, min(n, len(having)), replace=False))
    rows: dict[int, list[str]] = {}
    for name, chosen in groups.items():
        for row in chosen:
            rows.setdefault(int(row), []).append(name)
    return rows


def shown(
    system: str, values: Mapping[str, np.ndarray], by: str, number: int, seed: int, ledger: Ledger, spool: Spool
) -> list[Shown]:
    """The chosen summaries of a system with their texts, read from the disk."""
    rows = choose(values, by, number, seed)
    flags = {name: values[figure] == 1.0 for name, (_, figure) in CLASSES.items() if figure in values}
    found = []
    for row, record in zip(rows, ledger.records(system, list(rows)), strict=True):
        example = spool[row]
        source = example.source[:SHOWN_SOURCE]
        found.append(
            Shown(
                system,
                row,
                record["id"],
                tuple(rows[row]),
                tuple(name for name, flag in flags.items() if flag[row]),
                float(np.nan_to_num(values[by][row])),
                marked_summary(record["prediction"], record["reference"], example.source),
                marked(record["reference"], content_words(record["prediction"]), "shared"),
                marked(source, content_words(record["prediction"]), "used"),
                len(example.source) - len(source),
            )
        )
    return found


def marked(text: str, stems: set[str], mark: str) -> list[tuple[str, str]]:
    """`text` in spans; content words whose stem is in `stems` are marked. Joined, the spans are the text."""
    return _spans(text, lambda word, _: mark if _stem(word) in stems else "")


def marked_summary(prediction: str, reference: str, source: str) -> list[tuple[str, str]]:
    """A summary in spans: "shared" with the reference, from the article only ("used"), in neither ("new").

    What `unsupported` finds is "invented", whatever else it is.
    """
    theirs, given = content_words(reference), content_words(source)
    lacking = {word.lower() for fact in unsupported(prediction, source) for word in _WORD.findall(fact.text)}

    def mark(word: str, stem: str) -> str:
        if word.lower() in lacking:
            return "invented"
        if not stem or stem in function_stems():
            return ""
        return "shared" if stem in theirs else "used" if stem in given else "new"

    return _spans(prediction, mark)


def _stem(word: str) -> str:
    return next(iter(tokenizer().tokenize(word)), "")


def _spans(text: str, mark: Any) -> list[tuple[str, str]]:
    spans: list[tuple[str, str]] = []
    end = 0
    for word in _WORD.finditer(text):
        if word.start() > end:
            spans.append((text[end : word.start()], ""))
        spans.append((word[0], mark(word[0], _stem(word[0]))))
        end = word.end()
    if end < len(text):
        spans.append((text[end:], ""))
    merged: list[tuple[str, str]] = []
    for span in spans:
        if merged and not span[1] and not merged[-1][1]:
            merged[-1] = (merged[-1][0] + span[0], "")
        else:
            merged.append(span)
    return merged
