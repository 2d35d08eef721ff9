"""Files by their names, and files written so that a reader never sees half of one."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Kinds of files with rows that can be read (trainer/data/rows.py).
TABLES = (".jsonl", ".json", ".csv", ".tsv", ".parquet")


def table_kind(path: Path) -> str | None:
    """Which of `TABLES` the file's name ends in, a `.gz` behind it aside; None where it is none of them."""
    name = path.name.lower().removesuffix(".gz")
    return next((kind for kind in TABLES if name.endswith(kind)), None)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to: what is there when the block ends takes the place of `path`, whole.

    At any moment, even if the machine loses power, `path` is the old file or the new one. A block that fails leaves the
    old one; what a kill leaves is overwritten by the next write.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        bring_to_disk(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    bring_to_disk(path.parent)  # the new name itself


def write_atomically(path: Path, text: str) -> None:
    """Writes a text file as `replacing` says."""
    with replacing(path) as part:
        part.write_text(text, "utf-8")


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file as `replacing` says."""
    write_atomically(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def bring_to_disk(path: Path) -> None:
    """Has the system bring a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
