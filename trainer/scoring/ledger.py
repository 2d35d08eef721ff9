"""What an evaluation keeps on the disk, so that memory stays flat and a kill costs one block.

`Spool` holds the pairs, `Ledger` the predictions as they are made. Both are JSON lines with the place of each line in
memory (9 bytes a line), and nothing else.
"""

import json
import os
from array import array
from collections.abc import Iterable, Iterator, MutableSequence, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trainer.data.splits import Example
from trainer.errors import UserError


class Spool(MutableSequence):
    """Examples on the disk, read one at a time; `labels` are kept with them where there are any.

    The sequence grows at its end and does not change otherwise. One process writes; others may open the file when
    `close_writing` has been called.
    """

    def __init__(self, path: Path, offsets: array):
        self.path = path
        self.label: str | None = None  # of the example that is appended next
        self._offsets = offsets
        self._writer: Any = None
        self._reader: Any = None

    @classmethod
    def create(cls, path: Path) -> "Spool":
        path.parent.mkdir(parents=True, exist_ok=True)
        spool = cls(path, array("q"))
        spool._writer = path.open("wb")
        return spool

    @classmethod
    def open(cls, path: Path) -> "Spool":
        """One that another process has filled."""
        offsets = array("q")
        with path.open("rb") as file:
            place = 0
            for line in file:
                offsets.append(place)
                place += len(line)
        return cls(path, offsets)

    def append(self, example: Example) -> None:
        self._offsets.append(self._writer.tell())
        line = [example.id, example.source, example.target, self.label]
        self._writer.write(json.dumps(line, ensure_ascii=False).encode("utf-8") + b"\n")

    def close_writing(self) -> None:
        if self._writer:
            self._writer.close()
            self._writer = None

    def labelled(self) -> Iterator[tuple[Example, str | None]]:
        """Each example with its label."""
        self._flush()
        with self.path.open("rb") as file:
            for line in file:
                *texts, label = json.loads(line)
                yield Example(*texts), label

    def blocks(self, size: int) -> Iterator[list[Example]]:
        """All examples in order, `size` at a time."""
        block: list[Example] = []
        for example in self:
            block.append(example)
            if len(block) == size:
                yield block
                block = []
        if block:
            yield block

    def __iter__(self) -> Iterator[Example]:
        return (example for example, _ in self.labelled())

    def __len__(self) -> int:
        return len(self._offsets)

    def __getitem__(self, place: int | slice) -> Any:
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        self._flush()
        if self._reader is None:
            self._reader = self.path.open("rb")
        self._reader.seek(self._offsets[place])
        return Example(*json.loads(self._reader.readline())[:3])

    def __setitem__(self, place: Any, value: Any) -> None:
        raise TypeError("examples on the disk do not change")

    __delitem__ = __setitem__

    def insert(self, place: int, example: Example) -> None:
        if place != len(self):
            raise TypeError("examples on the disk grow at their end only")
        self.append(example)

    def close(self) -> None:
        self.close_writing()
        if self._reader:
            self._reader.close()
            self._reader = None

    def __del__(self) -> None:
        self.close()

    def _flush(self) -> None:
        if self._writer:
            self._writer.flush()


class Ledger:
    """Where the line of each row of each system is, in files that several processes and several runs have written.

    A line is a JSON object that begins with `system` and `row`.
    """

    def __init__(self, n: int):
        self.n = n
        self._files: list[Path] = []
        self._places: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def scan(self, files: Iterable[Path], systems: Sequence[str] | None = None) -> None:
        """Notes the lines of the files, of these systems only; of two lines for a row the later counts.

        Raises:
            UserError: a line that is not the last is broken.
        """
        for path in files:
            if path not in self._files:
                self._files.append(path)
            number = self._files.index(path)
            with path.open("rb") as file:
                place = 0
                for count, line in enumerate(file, start=1):
                    try:
                        record = json.loads(line)
                        system, row = record["system"], record["row"]
                    except (ValueError, KeyError, TypeError):
                        raise UserError(
                            f"{path}, line {count} is broken, and not by a kill: only a last line can be torn. "
                            "Take the line out, or begin anew with --from_start."
                        ) from None
                    if (systems is None or system in systems) and 0 <= row < self.n:
                        offsets, which = self._of(system)
                        offsets[row], which[row] = place, number
                    place += len(line)

    def systems(self) -> list[str]:
        return list(self._places)

    def done(self, system: str) -> np.ndarray:
        """(n,) whether there is a line for the row."""
        return self._of(system)[0] >= 0

    def lines(self, system: str) -> Iterator[bytes]:
        """The lines of a system in the order of the rows."""
        offsets, which = self._of(system)
        with _Readers(self._files) as readers:
            for row in np.flatnonzero(offsets >= 0):
                yield readers.line(int(which[row]), int(offsets[row]))

    def records(self, system: str, rows: Sequence[int] | None = None) -> Iterator[dict[str, Any]]:
        """The records of a system: all in the order of the rows, or those asked for in that order."""
        if rows is None:
            yield from map(json.loads, self.lines(system))
            return
        offsets, which = self._of(system)
        with _Readers(self._files) as readers:
            for row in rows:
                yield json.loads(readers.line(int(which[row]), int(offsets[row])))

    def _of(self, system: str) -> tuple[np.ndarray, np.ndarray]:
        if system not in self._places:
            self._places[system] = np.full(self.n, -1, np.int64), np.zeros(self.n, np.int16)
        return self._places[system]


class _Readers:
    def __init__(self, paths: Sequence[Path]):
        self._paths = paths
        self._open: dict[int, Any] = {}

    def __enter__(self) -> "_Readers":
        return self

    def __exit__(self, *_: Any) -> None:
        for file in self._open.values():
            file.close()

    def line(self, number: int, place: int) -> bytes:
        if number not in self._open:
            self._open[number] = self._paths[number].open("rb")
        self._open[number].seek(place)
        return self._open[number].readline()


def mend(path: Path) -> int:
    """Cuts off a last line that a kill has torn; returns how many bytes that were.

    A line is whole if it ends with a line break and is JSON: after a power cut a file can also end in zeros.
    """
    with path.open("rb+") as file:
        good = place = 0
        for line in file:
            place += len(line)
            if line.endswith(b"\n") and line[:1] == b"{" and line.rstrip().endswith(b"}"):
                good = place
        if good < place:
            file.truncate(good)
        return place - good


def append_lines(path: Path, records: Iterable[dict[str, Any]]) -> None:
    """Adds records to a file and makes sure that they are on the disk.

    Raises:
        OSError: the disk is full.
    """
    text = "".join(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n" for record in records)
    with path.open("ab") as file:
        file.write(text.encode("utf-8"))
        file.flush()
        os.fsync(file.fileno())
