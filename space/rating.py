"""Who compares which two summaries next, and what becomes of the answer. Names of systems stay in here."""

import random
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations, zip_longest
from pathlib import Path

from trainer.errors import UserError
from trainer.ratings.articles import RatedArticle, read_articles
from trainer.ratings.log import GRADES, PREFERENCES, QUESTIONS, Rating, RatingLog, Side

LONGEST_NAME = 80  # characters of a rater's name
SEED = 0  # of the order of the comparisons, which is the same for all raters


@dataclass(frozen=True)
class Comparison:
    """Two summaries of an article, as a rater sees them.

    Attributes:
        systems: whose they are, A and B; not to be shown.
        done, total: how many comparisons the rater has answered, and how many there are.
    """

    article: RatedArticle
    systems: tuple[str, str]
    done: int
    total: int

    @property
    def texts(self) -> tuple[str, str]:
        first, second = self.systems
        return self.article.summaries[first], self.article.summaries[second]


class Desk:
    """Gives each rater one comparison after the other, and saves the answers.

    All raters get the same comparisons in the same order, so that soon several have rated each, and every article comes
    before any comes again. Which summary is A is drawn anew for each rater. Two systems that wrote the same text are
    not compared.

    Args:
        path: what `trainer.ratings.articles.read_articles` reads.

    Attributes:
        log: the file of answers beside `path`, `….ratings.jsonl`, or in it, where it is a folder.

    Raises:
        UserError: as `read_articles`.
    """

    def __init__(self, path: Path):
        self._pairs = _ordered(read_articles(path))
        if not self._pairs:
            raise UserError(f"{path} holds the same summary twice for each article: there is nothing to compare.")
        self.log = RatingLog(path / "ratings.jsonl" if path.is_dir() else path.with_suffix(".ratings.jsonl"))
        self._shown: dict[str, tuple[tuple, tuple[str, str]]] = {}  # rater → pair that waits for an answer, A and B
        self._lock = threading.Lock()
        self._random = random.SystemRandom()

    def next(self, rater: str) -> Comparison | None:
        """What a rater is to compare now: the same until it is answered; None when all has been.

        Raises:
            UserError: the name is empty or too long.
        """
        rater = rater_name(rater)
        with self._lock:
            rated = self.log.rated(rater)
            left = [(article, pair) for article, pair in self._pairs if (article.id, frozenset(pair)) not in rated]
            if not left:
                return None
            article, pair = left[0]
            key = (article.id, pair)
            if self._shown.get(rater, (None, None))[0] != key:
                first, second = self._random.sample(pair, 2)
                self._shown[rater] = key, (first, second)
            return Comparison(article, self._shown[rater][1], len(self._pairs) - len(left), len(self._pairs))

    def save(
        self, rater: str, comparison: Comparison, preference: str | None, grades: Mapping[str, tuple[int | None, ...]]
    ) -> bool:
        """Saves an answer; False, and nothing is saved, where this rater has answered this before.

        Args:
            preference: "first", "second" or "tie".
            grades: for each question the grades of the first and of the second summary.

        Raises:
            UserError: something is left out, or the answer can't be written.
        """
        missing = [question for question in QUESTIONS if not all(grade in GRADES for grade in grades[question])]
        if preference not in PREFERENCES or missing:
            asked = [*(["which one is better"] if preference not in PREFERENCES else []), *missing]
            raise UserError(f"Not saved yet: please answer {_listed(asked)}.")
        article = comparison.article
        sides = [
            Side(system, article.summaries[system], *(grades[question][place] for question in QUESTIONS))
            for place, system in enumerate(comparison.systems)
        ]
        now = datetime.now(UTC).isoformat(timespec="seconds")
        key = uuid.uuid4().hex
        try:
            return self.log.add(
                Rating(key, now, rater_name(rater), article.id, article.reference, *sides, preference=preference)
            )
        except OSError as error:
            raise UserError(f"Not saved: {error.strerror}. Please tell who asked you, and try again.") from error


def rater_name(text: str) -> str:
    """A rater's name as it is saved: without white space at its ends, and single spaces inside.

    Raises:
        UserError: it is empty or too long.
    """
    name = " ".join(text.split())
    if not name:
        raise UserError("Please give a name: with it you go on where you stopped, and see nothing twice.")
    if len(name) > LONGEST_NAME:
        raise UserError(f"The name has {len(name)} characters: at most {LONGEST_NAME}, please.")
    return name


def _ordered(articles: list[RatedArticle]) -> list[tuple[RatedArticle, tuple[str, str]]]:
    """All comparisons, in an order that depends on nothing but the articles: each article once, then each again."""
    draw = random.Random(SEED)
    pairs_of = []
    for article in draw.sample(articles, len(articles)):
        pairs = [
            pair for pair in combinations(sorted(article.summaries), 2) if len({article.summaries[s] for s in pair}) > 1
        ]
        pairs_of.append([(article, pair) for pair in draw.sample(pairs, len(pairs))])
    return [one for turn in zip_longest(*pairs_of) for one in turn if one is not None]


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
