"""The file of answers: a JSON line for each rating, only ever appended to, by any number of servers at once."""

import fcntl
import json
import os
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from trainer.errors import UserError
from trainer.runtime.files import bring_to_disk

QUESTIONS = ("faithfulness", "fluency", "relevance")
GRADES = range(1, 6)
PREFERENCES = ("first", "second", "tie")


@dataclass(frozen=True)
class Side:
    """One of the two summaries that a rater saw: whose it is, its text, and a grade from 1 to 5 for each question."""

    system: str
    summary: str
    faithfulness: int
    fluency: int
    relevance: int


@dataclass(frozen=True)
class Rating:
    """What one rater said of two summaries of an article.

    Attributes:
        key: unlike any other rating's.
        time: when it was saved, in UTC (ISO 8601).
        rater: the name that the rater gave.
        article: the article's id.
        reference: the article's reference, where there is one.
        first, second: as they were shown, A and B.
        preference: which of them is better.
    """

    key: str
    time: str
    rater: str
    article: str
    reference: str | None
    first: Side
    second: Side
    preference: Literal["first", "second", "tie"]

    @classmethod
    def of_line(cls, line: bytes) -> "Rating | None":
        """The rating that a line holds; None where it is broken."""
        try:
            values = json.loads(line)
            rating = cls(**values | {side: Side(**values[side]) for side in ("first", "second")})
        except (ValueError, TypeError, KeyError):
            return None
        return rating if rating._is_right() else None

    def _is_right(self) -> bool:
        sides = (self.first, self.second)
        texts = (self.key, self.time, self.rater, self.article, *(side.system for side in sides))
        texts += tuple(side.summary for side in sides)
        grades = [getattr(side, question) for side in sides for question in QUESTIONS]
        return (
            all(isinstance(text, str) for text in texts)
            and isinstance(self.reference, (str, type(None)))
            and self.preference in PREFERENCES
            and all(type(grade) is int and grade in GRADES for grade in grades)
        )

    @property
    def line(self) -> bytes:
        return json.dumps(asdict(self), ensure_ascii=False).encode("utf-8") + b"\n"

    @property
    def pair(self) -> tuple[str, frozenset[str]]:
        """What was compared: the article's id and the two systems, in no order."""
        return self.article, frozenset((self.first.system, self.second.system))


class RatingLog:
    """The ratings of a file, which need not be there yet.

    Every rating is on the disk when `add` returns. A process that is killed while it writes leaves one broken line at
    the most, which is skipped and counted. On a file system without locks (flock) only one server may write.

    Attributes:
        ratings: those that have been read so far.
        broken: how many lines are none.
    """

    def __init__(self, path: Path):
        self.path = path
        self.ratings: list[Rating] = []
        self.broken = 0
        self._rated: dict[str, set[Any]] = {}  # rater → pairs
        self._keys: set[str] = set()
        self._read = 0  # bytes
        self._lock = threading.Lock()
        if path.exists():
            with path.open("rb") as file:
                self._catch_up(file)

    def rated(self, rater: str) -> frozenset[Any]:
        """The pairs (`Rating.pair`) that a rater has rated."""
        with self._lock:
            return frozenset(self._rated.get(rater, ()))

    def add(self, rating: Rating) -> bool:
        """Appends a rating; False, and nothing is written, where its rater has rated that pair before."""
        return bool(self._append([rating], lambda: rating.pair not in self._rated.get(rating.rater, ())))

    def merge(self, lines: Iterable[bytes]) -> int:
        """Appends those ratings of another copy of this file that are not in this one; how many they are."""
        ratings = [rating for line in lines if (rating := Rating.of_line(line))]
        return self._append(ratings, lambda: True)

    def content(self) -> bytes:
        """The whole lines of the file."""
        with self._lock, self.path.open("rb") as file:
            whole, end, _ = file.read().rpartition(b"\n")
        return whole + end

    def _append(self, ratings: Iterable[Rating], allowed: Callable[[], bool]) -> int:
        with self._lock:
            is_new = not self.path.exists()
            with self.path.open("ab+") as file:
                _lock_file(file)
                if self._catch_up(file):  # what a kill left becomes a line of its own
                    file.write(b"\n")
                    self._catch_up(file)
                fresh = [rating for rating in ratings if rating.key not in self._keys] if allowed() else []
                file.write(b"".join(rating.line for rating in fresh))
                file.flush()
                os.fsync(file.fileno())
                self._catch_up(file)
            if is_new:
                bring_to_disk(self.path.parent)
            return len(fresh)

    def _catch_up(self, file: BinaryIO) -> bytes:
        """Reads the whole lines that came since; returns what stands behind the last of them."""
        file.flush()
        file.seek(self._read)
        whole, end, rest = file.read().rpartition(b"\n")
        self._read += len(whole) + len(end)
        for line in whole.split(b"\n") if end else ():
            rating = Rating.of_line(line)
            if rating is None:
                self.broken += bool(line.strip())
            else:
                self.ratings.append(rating)
                self._keys.add(rating.key)
                self._rated.setdefault(rating.rater, set()).add(rating.pair)
        return rest


def read_ratings(path: Path) -> tuple[list[Rating], int]:
    """All ratings of a file, and how many of its lines are broken; a last line without its end is one or the other.

    Raises:
        UserError: the file can't be read, or holds no rating.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise UserError(f"--ratings is {path}, which can't be read: {error.strerror}.") from error
    lines = [line for line in lines if line.strip()]
    ratings = [rating for line in lines if (rating := Rating.of_line(line))]
    if not ratings:
        raise UserError(f"--ratings is {path}: none of its {len(lines)} lines is a rating that `app.py --rate` saved.")
    return ratings, len(lines) - len(ratings)


def _lock_file(file: BinaryIO) -> None:
    with suppress(OSError):  # no locks here
        fcntl.flock(file, fcntl.LOCK_EX)  # until the file is closed
