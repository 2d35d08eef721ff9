"""The copied-from map: which pieces of a summary stand in its article, and where, as places in both texts."""

import string
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise

from space.markup import escape
from trainer.data.sentences import split_sentences
from trainer.metrics.copied import CopiedFrom, Run
from trainer.metrics.words import word_spans

TINTS = 6  # colours that pieces have in turn
Bounds = tuple[int, int]


@dataclass(frozen=True)
class Piece:
    """One place of the article that the summary was put together from.

    Attributes:
        letter: that marks it in both texts.
        tint: number of its colour, below `TINTS`.
        in_summary, in_article: (start, end) of its runs of words, in characters.
        sentence: number of the article's sentence that it stands in, from 1.
        sentence_text: that sentence.
        words: copied.
    """

    letter: str
    tint: int
    in_summary: tuple[Bounds, ...]
    in_article: tuple[Bounds, ...]
    sentence: int
    sentence_text: str
    words: int


@dataclass(frozen=True)
class CopiedMap:
    """`pieces` in the summary's order; `lacking`: (start, end) of the summary's words that the article lacks."""

    pieces: tuple[Piece, ...]
    lacking: tuple[Bounds, ...]


def copied_map(summary: str, article: str) -> CopiedMap:
    """The alignment of `trainer.metrics.copied`, as places in both texts."""
    copied = CopiedFrom(article)
    written, read = word_spans(summary), word_spans(article)
    sentences = split_sentences(article)
    found = set()
    for run in copied.runs(summary):
        found.update(range(run.start, run.start + run.length))
    pieces = tuple(
        _piece(number, runs, written, read, sentences) for number, runs in enumerate(copied.passages(summary))
    )
    return CopiedMap(pieces, tuple(span for place, span in enumerate(written) if place not in found))


def _piece(number: int, runs: list[Run], written: list[Bounds], read: list[Bounds], sentences: list[str]) -> Piece:
    letters = string.ascii_lowercase
    again = number // len(letters)
    return Piece(
        letter=letters[number % len(letters)] + (str(again + 1) if again else ""),
        tint=number % TINTS,
        in_summary=tuple((written[run.start][0], written[run.start + run.length - 1][1]) for run in runs),
        in_article=tuple((read[run.source_start][0], read[run.source_end - 1][1]) for run in runs),
        sentence=runs[0].sentence + 1,
        sentence_text=sentences[runs[0].sentence],
        words=sum(run.length for run in runs),
    )


def whole_words(text: str, runs: tuple[Bounds, ...]) -> tuple[Bounds, ...]:
    """Stretches of a text, each with the punctuation that stands at its ends without white space between."""
    found = []
    for start, end in runs:
        while start and not text[start - 1].isspace():
            start -= 1
        while end < len(text) and not text[end].isspace():
            end += 1
        found.append((start, end))
    return tuple(found)


def marked(
    text: str,
    atoms: list[tuple[int, int, str]],
    places: list[tuple[Piece, tuple[Bounds, ...]]],
    inserts: dict[int, str] | None = None,
) -> str:
    """`text` as HTML with its pieces marked; the text of the HTML is `text`, character for character.

    Args:
        atoms: (start, end, opening tag) of stretches with an element of their own, such as a word with a score, in
            order and without overlap; an element that a piece's end cuts becomes two.
        places: the pieces with their runs in this text; those of two pieces may overlap.
        inserts: HTML without text that stands before a character.
    """
    inserts = inserts or {}
    bounds = [(start, end, piece) for piece, runs in places for start, end in runs]
    cuts = sorted({0, len(text), *inserts, *(cut for start, end, _ in [*atoms, *bounds] for cut in (start, end))})
    cut_atoms = list(_cut(cuts, atoms))
    html = []
    for held, group in groupby(cut_atoms, key=lambda atom: _held(bounds, atom[0])):
        zone = list(group)
        inner = "".join(
            inserts.get(start, "") + (f"{tag}{escape(text[start:end])}</span>" if tag else escape(text[start:end]))
            for start, end, tag in zone
        )
        html.append(_mark(inner, held, bounds, zone[-1][1]) if held else inner)
    return "".join(html)


def _cut(cuts: list[int], atoms: list[tuple[int, int, str]]) -> Iterator[tuple[int, int, str]]:
    """All stretches between two cuts, each with the tag of the atom that it is in, or none."""
    waiting = iter(atoms)
    atom = next(waiting, None)
    for start, end in pairwise(cuts):
        while atom and atom[1] <= start:
            atom = next(waiting, None)
        yield start, end, atom[2] if atom and atom[0] <= start else ""


def _held(bounds: list[tuple[int, int, Piece]], start: int) -> tuple[Piece, ...]:
    return tuple(dict.fromkeys(piece for first, end, piece in bounds if first <= start < end))


def _mark(inner: str, held: tuple[Piece, ...], bounds: list[tuple[int, int, Piece]], end: int) -> str:
    """The letter stands behind a piece's last run: it is drawn by the style sheet, and no part of the text."""
    ends = {piece: max(last for _, last, other in bounds if other is piece) for piece in held}
    letter = "".join(piece.letter for piece in held if ends[piece] == end)
    label = f' data-letter="{letter}"' if letter else ""
    names = " ".join(piece.letter for piece in held)
    return f'<mark class="piece tint{held[0].tint}" data-piece="{names}"{label}>{inner}</mark>'
