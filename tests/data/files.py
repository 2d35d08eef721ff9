"""Files of pairs as people have them, written for a test."""

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainer.data.load import load_split
from trainer.data.splits import Split
from trainer.errors import UserError
from trainer.settings.groups import DataSettings

FERRY = {"id": "a1", "document": "The ferry sank.\nAll were saved.", "summary": "A ferry has sunk."}

MILL = {"id": "a2", "document": "The mill burns.", "summary": "A mill is on fire."}


def settings(path: Path, **over: Any) -> DataSettings:
    """The file as all three splits."""
    return DataSettings(train_file=path, validation_file=path, test_file=path, **over)


def read(path: Path, **over: Any) -> Split:
    return load_split(settings(path, **over), "train")


def refusal(path: Path, **over: Any) -> str:
    with pytest.raises(UserError) as caught:
        read(path, **over)
    return str(caught.value)


def jsonl(path: Path, *lines: dict | str | bytes) -> Path:
    encoded = [json.dumps(line).encode() if isinstance(line, dict) else line for line in lines]
    encoded = [line.encode() if isinstance(line, str) else line for line in encoded]
    path.write_bytes(b"\n".join(encoded) + b"\n")
    return path


def csv_file(path: Path, *rows: list[str]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def parquet(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path
