"""An article with words or sentences struck out: what its summary loses by that, and what it loses by chance."""

import difflib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from trainer.attribution.folding import run_bounds, sentence_bounds
from trainer.errors import UserError

DRAWS = 10


@dataclass(frozen=True)
class Deletion:
    """What striking words out did to the probability of a summary.

    Attributes:
        article: what is left.
        words: how many words were struck out.
        before: Σ log p of the summary given the whole article; nats.
        after: the same given what is left.
        random_after: the same without as many words drawn at random, for each draw.
    """

    article: str
    words: int
    before: float
    after: float
    random_after: tuple[float, ...]

    @property
    def fall(self) -> float:
        """By how much the log probability fell; nats, negative where it rose."""
        return self.before - self.after

    @property
    def random_fall(self) -> float:
        """The mean fall of the random draws; nats."""
        return self.before - sum(self.random_after) / len(self.random_after)


class Change(NamedTuple):
    """Words in which an old and a new text agree or differ."""

    kind: Literal["kept", "removed", "added"]
    text: str


def places_of(article: str, words: Sequence[int] = (), sentences: Sequence[int] = ()) -> list[int]:
    """The places of all words that are meant, rising: those numbered, and those of the sentences numbered.

    Words are the runs without white space (`run_bounds`), sentences those of `sentence_bounds`; both count from 0.

    Raises:
        UserError: there is no such word or sentence, none is meant, or nothing would be left.
    """
    runs, bounds = run_bounds(article), sentence_bounds(article)
    for what, numbers, count in (("words", words, len(runs)), ("sentences", sentences, len(bounds))):
        for number in numbers:
            if not 0 <= number < count:
                raise UserError(f"{what} holds {number}: the article's {what} are numbered from 0 to {count - 1}.")
    meant = set(words)
    for start, end in (bounds[number] for number in sentences):
        meant |= {place for place, run in enumerate(runs) if start <= run[0] < end}
    if not meant:
        raise UserError("No word or sentence is named that is to be struck out.")
    if len(meant) == len(runs):
        raise UserError("Every word of the article is struck out: leave some.")
    return sorted(meant)


def without(article: str, places: Sequence[int]) -> str:
    """The article without these words; of the white space around a word only that before it is kept.

    >>> without("Two boats sank off Dover.", [1, 3])
    'Two sank Dover.'
    """
    runs = run_bounds(article)
    gone = set(places)
    kept, end = [], 0
    for place, run in enumerate(runs):
        if place not in gone:
            kept.append(article[end : run[1]])
        elif "\n" in article[end : run[0]]:  # a line that begins with the word still begins there
            kept.append("\n")
        end = run[1]
    return "".join(kept).strip() + article[end:]


def delete(
    article: str,
    places: Sequence[int],
    log_probs: Callable[[list[str]], list[float]],
    *,
    read_words: int | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Deletion:
    """Strikes words out and asks how probable the summary still is.

    Args:
        places: of the words (`places_of`).
        log_probs: gives Σ log p of the summary for each of several articles; nats.
        read_words: how many of the article's first words the model reads; random words are drawn among them, those
            struck out aside.
        draws, seed: of the random words. Where fewer words are left than were struck out, all of them are drawn.
    """
    draw, gone = random.Random(seed), set(places)
    others = [place for place in range(read_words or len(run_bounds(article))) if place not in gone]
    drawn = [draw.sample(others, min(len(gone), max(len(others) - 1, 0))) for _ in range(draws)]
    left = without(article, places)
    before, after, *random_after = log_probs([article, left, *(without(article, words) for words in drawn)])
    return Deletion(left, len(gone), before, after, tuple(random_after))


def changes(old: str, new: str) -> list[Change]:
    """What of an old text a new one keeps, in words, runs of the same kind together.

    >>> [tuple(change) for change in changes("Two boats sank today.", "Two ships sank.")]
    [('kept', 'Two'), ('removed', 'boats'), ('added', 'ships'), ('removed', 'sank today.'), ('added', 'sank.')]
    """
    before, after = old.split(), new.split()
    found = []
    for kind, start, end, new_start, new_end in difflib.SequenceMatcher(None, before, after, False).get_opcodes():
        if kind == "equal":
            found.append(Change("kept", " ".join(before[start:end])))
            continue
        found += [Change("removed", " ".join(before[start:end]))] if end > start else []
        found += [Change("added", " ".join(after[new_start:new_end]))] if new_end > new_start else []
    return found
