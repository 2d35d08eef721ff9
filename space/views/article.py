"""The article as it is read: what was copied, what influenced the model, where reading stopped; and the meter."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING

from space.markup import escape
from space.views.copied import Bounds, CopiedMap, marked
from space.views.methods import unit_of
from trainer.data.sentences import split_sentences
from trainer.runtime.figures import signed

if TYPE_CHECKING:  # torch comes with it: the page opens first
    from space.engine import Reading
    from trainer.attribution.folding import Span

LAST_WORDS = 5  # that the meter names, of those that are read


def article(
    text: str,
    read_to: int,
    copied: CopiedMap | None = None,
    spans: "Sequence[Span] | None" = None,
    coloured: Sequence[Bounds] | None = None,
    *,
    by: str | None = None,
    strikes: bool = False,
) -> str:
    """The article as HTML, whose text is the article, character for character.

    Args:
        read_to: the character at which reading stops.
        copied: the pieces that a summary took from it.
        spans: its words with scores, which tint them and draw a bar before each sentence.
        coloured: (start, end) of the words that are tinted, rising; None: all that have a score.
        by: the compared method whose scores they are.
        strikes: whether each sentence that is read has a box with which it can be struck out.
    """
    unit = unit_of(by)
    atoms = _words(spans, coloured) if spans else []
    starts = _starts(text[:read_to]) if spans or strikes else []
    bars = _bars(starts, spans, unit) if spans else {}
    if strikes:
        bars = {start: _box(number) + bars.get(start, "") for number, start in enumerate(starts)}
    places = [(piece, piece.in_article) for piece in copied.pieces] if copied else []
    read, unread = _split(atoms, places, read_to)
    html = marked(text[:read_to], *read, bars)
    if text[read_to:].strip():
        html += f'<span class="unread">{marked(text[read_to:], *unread)}</span>'
    else:
        html += escape(text[read_to:])
    of = f' data-by="{escape(by)}"' if by else ""
    return f'<div class="article" dir="auto" tabindex="-1" data-unit="{unit}"{of}>{html}</div>'


def _starts(read: str) -> list[int]:
    """The first character of each sentence."""
    starts, place = [], 0
    for sentence in split_sentences(read):
        first = sentence.split()[0]
        place = read.index(first, place)
        starts.append(place)
        place += len(first)
    return starts


def _box(number: int) -> str:
    label = f"Strike sentence {number + 1} out"
    return f'<input type="checkbox" class="strike" data-sentence="{number}" aria-label="{label}">'


def _words(spans: "Sequence[Span]", coloured: Sequence[Bounds] | None) -> list[tuple[int, int, str]]:
    """(start, end, opening tag) of the words with a score."""
    atoms, start = [], 0
    ends = [end for _, end in coloured or ()]
    largest = max((abs(span.score) for span in spans if span.score is not None), default=0.0) or 1.0
    for text, score in spans:
        end = start + len(text)
        if score is not None:
            sign = "up" if score >= 0 else "down"
            paint = math.sqrt(abs(score) / largest)
            if coloured is not None:
                place = bisect_right(ends, start)
                paint *= place < len(ends) and coloured[place][0] < end
            style = f"--a:{paint:.3f}"
            atoms.append((start, end, f'<span class="w {sign}" style="{style}" data-nats="{signed(score, 3)}">'))
        start = end
    return atoms


def _bars(starts: list[int], spans: "Sequence[Span]", unit: str) -> dict[int, str]:
    """A bar before each sentence that was read, by the sentence's first character.

    It is as high as its words' scores are together, of the strongest sentence's. A word is of one sentence only, so the
    bars add up as the words do.
    """
    scores, start = [], 0
    for text, score in spans:
        scores.append((start, score or 0.0))
        start += len(text)
    totals = dict.fromkeys(starts, 0.0)
    for start, score in scores:
        if starts and start >= starts[0]:
            totals[starts[bisect_right(starts, start) - 1]] += score
    largest = max(map(abs, totals.values()), default=0.0) or 1.0
    return {
        start: f'<i class="strength {"up" if total >= 0 else "down"}" style="--s:{abs(total) / largest:.3f}" '
        f'title="this sentence: {signed(total)}{unit}"></i>'
        for start, total in totals.items()
    }


def _split(atoms: list, places: list, cut: int) -> tuple[tuple[list, list], tuple[list, list]]:
    """Atoms and pieces of the text before a cut, and of that behind it, counted from the cut."""

    def within(start: int, end: int, low: int, high: float) -> tuple[int, int] | None:
        start, end = max(start, low), min(end, high)
        return (start - low, int(end) - low) if start < end else None

    parts = []
    for low, high in ((0, cut), (cut, math.inf)):
        kept_atoms = [(*place, tag) for start, end, tag in atoms if (place := within(start, end, low, high))]
        kept_places = [
            (piece, tuple(place for run in runs if (place := within(*run, low, high)))) for piece, runs in places
        ]
        parts.append((kept_atoms, kept_places))
    return parts[0], parts[1]


def meter(text: str, reading: "Reading", stale: bool = False) -> str:
    """Words, tokens of the limit and where reading stops; `stale` where what is shown is of an older text."""
    read = min(reading.tokens, reading.limit)
    full = min(100.0, 100 * reading.tokens / reading.limit)
    parts = [
        f"<b>{reading.words:,}</b> {'word' if reading.words == 1 else 'words'}",
        f"<b>{read:,}</b> of {reading.limit:,} tokens",
    ]
    line = "".join(f"<span>{part}</span>" for part in parts)
    if reading.tokens > reading.limit:
        last = " ".join(text[: reading.end].split()[-LAST_WORDS:])
        unread = reading.words - reading.words_read
        line += f'<span class="stops">reads up to “…{escape(last)}”: {unread:,} words are not read</span>'
    kind = "meter stale" if stale else "meter"
    return f'<div class="{kind}"><i class="fill" style="--w:{full:.1f}%" aria-hidden="true"></i><p>{line}</p></div>'
