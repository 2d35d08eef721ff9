"""Files: kinds by their names, digests and modes; and files written so that a reader never sees half of one."""

import hashlib
import json
import os
import stat
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


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal; about a second a gigabyte."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def give_usual_mode(folder: Path) -> None:
    """Gives the weights in a folder the mode that any other new file has there, as the umask says.

    safetensors writes its files for their owner alone (0600), so that nobody else on the machine, and no web server,
    could read a model.
    """
    probe = folder / f".mode.{os.getpid()}"
    probe.touch()
    try:
        mode = stat.S_IMODE(probe.stat().st_mode)
    finally:
        probe.unlink()
    for file in folder.glob("*.safetensors"):
        file.chmod(mode)


def same_content(one: Any, other: Any) -> bool:
    """Whether two values are paths of one file or folder, or of two that hold the same bytes under the same names."""
    if not isinstance(one, str) or not isinstance(other, str):
        return False
    first, second = Path(one), Path(other)
    if not (first.exists() and second.exists()):
        return False
    return first.samefile(second) or (first.is_dir() == second.is_dir() and _digests(first) == _digests(second))


def _digests(path: Path) -> dict[str, str]:
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    return {str(file.relative_to(path)): sha256_of(file) for file in files}
