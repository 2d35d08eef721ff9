"""Where the words of a summary come from: the longest runs of words that it shares with the article.

One alignment serves all that asks about copying: the choice among candidate summaries, the page's map and its warning
of sentences that were joined, and the metric `copied`. Words are compared as `trainer.metrics.words` finds them, so
case and punctuation do not count. Longest runs first, as in greedy string tiling (Wise 1993), but the article may be
copied from more than once.
"""

import heapq
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trainer.data.sentences import SENTENCE_SPLIT, split_sentences
from trainer.metrics.base import FigureKind, Metric
from trainer.metrics.words import FUNCTION_WORDS, WORDS, words_of

# A shorter run is a name or a turn of phrase that any two texts on a subject share, not a passage that was taken over.
PASSAGE_WORDS = 3
MANY_PLACES = 3
SIGNATURE = f"tool:trainer|words:{WORDS}|case:lower|passage:{PASSAGE_WORDS}|sentences:{SENTENCE_SPLIT}"


@dataclass(frozen=True)
class Run:
    """Words that stand in this order in both texts.

    Attributes:
        start: number of the first word in the summary.
        source_start: number of the same word in the article.
        length: words.
        sentence: number of the article's sentence that the run begins in.
    """

    start: int
    source_start: int
    length: int
    sentence: int

    @property
    def source_end(self) -> int:
        return self.source_start + self.length


class CopiedFrom:
    """An article whose words are looked up, of as many summaries as one likes.

    Attributes:
        source: the article.
    """

    def __init__(self, source: str):
        self.source = source
        self._firsts: list[int] = []  # number of each sentence's first word
        self._words: list[str] = []
        self._places: dict[str, list[int]] = defaultdict(list)
        for sentence in split_sentences(source):
            self._firsts.append(len(self._words))
            self._words += words_of(sentence)
        for place, word in enumerate(self._words):
            self._places[word].append(place)

    def runs(self, summary: str) -> list[Run]:
        """The runs of words that a summary shares with the article, in the summary's order; none overlap there.

        Of places with the same words, the one that follows the run before it most closely counts, else the first. A
        word of the summary that is in no run stands nowhere in the article.
        """
        written = words_of(summary)
        runs: list[Run] = []
        for start, length in _tiles(written, self._places):
            words = written[start : start + length]
            same = [place for place in self._places[words[0]] if self._words[place : place + length] == words]
            end = runs[-1].source_end if runs else 0
            source_start = next((place for place in same if place >= end), same[0])
            runs.append(Run(start, source_start, length, bisect_right(self._firsts, source_start) - 1))
        return runs

    def passages(self, summary: str) -> list[list[Run]]:
        """The places of the article that a summary was put together from, each as its runs.

        Runs that follow each other within one sentence are of one place, so words left out of a sentence do not make
        two of it. A run of fewer than three words, or of function words only, makes no place.
        """
        words = words_of(summary)
        found: list[list[Run]] = []
        for run in self.runs(summary):
            if run.length < PASSAGE_WORDS or FUNCTION_WORDS.issuperset(words[run.start : run.start + run.length]):
                continue
            last = found[-1][-1] if found else None
            if last and last.sentence == run.sentence and last.source_end <= run.source_start:
                found[-1].append(run)
            else:
                found.append([run])
        return found


def _score(predictions: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> dict[str, Any]:
    """`joined_places` and `joined_share`: from how many places of its article a summary was put together.

    The first is the mean number of places; the second the share of summaries put together from three or more, where a
    small model's summary has mostly lost its sense.
    """
    numbers = [len(CopiedFrom(source).passages(summary)) for summary, source in zip(predictions, sources, strict=True)]
    return {"joined_places": numbers, "joined_share": [number >= MANY_PLACES for number in numbers]}


copied = Metric(
    "copied",
    {
        "joined_places": FigureKind(f"joined_places|{SIGNATURE}"),
        "joined_share": FigureKind(f"joined_share|places:{MANY_PLACES}|{SIGNATURE}"),
    },
    _score,
    needs=("sources",),
)


def _tiles(written: list[str], places: dict[str, list[int]]) -> list[tuple[int, int]]:
    """(first word, length) of the runs that cover the summary, longest first taken, in order."""
    longest = [0] * (len(written) + 1)
    lengths: dict[int, int] = {}  # place in the article → length of the run from the summary's word on
    for start in range(len(written) - 1, -1, -1):
        lengths = {place: lengths.get(place + 1, 0) + 1 for place in places.get(written[start], ())}
        longest[start] = max(lengths.values(), default=0)
    waiting = [(-length, start) for start, length in enumerate(longest) if length]
    heapq.heapify(waiting)
    taken = [False] * len(written)
    tiles = []
    while waiting:
        length, start = waiting[0]
        room = 0
        while room < -length and not taken[start + room]:
            room += 1
        if room < -length:  # another run has taken its end, or all of it
            heapq.heapreplace(waiting, (-room, start)) if room else heapq.heappop(waiting)
            continue
        heapq.heappop(waiting)
        taken[start : start + room] = [True] * room
        tiles.append((start, room))
    return sorted(tiles)
