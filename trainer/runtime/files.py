"""Files by their names, and files written so that a reader never sees half of one."""

import os
from pathlib import Path

# Kinds of files with rows that can be read (trainer/data/rows.py).
TABLES = (".jsonl", ".json", ".csv", ".tsv", ".parquet")


def table_kind(path: Path) -> str | None:
    """Which of `TABLES` the file's name ends in, a `.gz` behind it aside; None where it is none of them."""
    name = path.name.lower().removesuffix(".gz")
    return next((kind for kind in TABLES if name.endswith(kind)), None)


def write_atomically(path: Path, text: str) -> None:
    """Writes a text file beside its place, makes sure that it is on the disk, and renames it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the new name itself
    finally:
        os.close(folder)
