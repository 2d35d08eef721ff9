"""Rows of JSONL, CSV and Parquet files, with the place of each and what is wrong with it.

The readers of `datasets` turn a missing column into None, "N/A" in a CSV file into None and whole numbers
into fractions, and count lines within a block, so that nobody learns which row was bad. Here a row that
cannot be read comes as a `Bad` in its place, and reading goes on behind it.
"""

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from trainer.errors import UserError


class Bad(Exception):
    """Why a row cannot be used."""


# The line (JSONL, CSV) or row (Parquet) from 1, and the columns or what is wrong.
Rows = Iterator[tuple[int, Mapping[str, Any] | Bad]]
# Gets the names of a table's columns and returns those to read; raises UserError where one is missing.
Choose = Callable[[Sequence[str]], Sequence[str]]


def read_rows(path: Path, choose: Choose) -> tuple[Rows, Literal["line", "row"]]:
    """The rows of a file, read as they are asked for, and what their numbers count.

    `choose` is asked when a CSV or Parquet file has been opened; a JSON object has the columns that it has.

    Raises:
        UserError: the file is none of the three kinds, or cannot be read as a whole. (Some of it while
        iterating.) OSError: there is no such file, or it may not be read.
    """
    kinds: dict[str, tuple[Callable[[Path, Choose], Rows], Literal["line", "row"]]] = {
        ".jsonl": (_jsonl, "line"),
        ".json": (_jsonl, "line"),
        ".csv": (_csv, "line"),
        ".parquet": (_parquet, "row"),
    }
    if path.suffix.lower() not in kinds:
        raise UserError(f"{path} must end in .jsonl, .csv or .parquet.")
    with path.open("rb") as file:
        if file.read(2) in (b"\xff\xfe", b"\xfe\xff"):
            raise UserError(f"{path} is UTF-16: save it as UTF-8.")
    read, unit = kinds[path.suffix.lower()]
    return read(path, choose), unit


def kind(value: Any) -> str:
    """The value and its type in plain words: `a number (7)`."""
    words = {bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}
    shown = repr(value)
    shown = shown if len(shown) <= 40 else shown[:39] + "…"
    return f"{words.get(type(value), type(value).__name__)} ({shown})"


def _jsonl(path: Path, choose: Choose) -> Rows:
    """One JSON object a line; empty lines are passed over, and a byte order mark at the start."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if line.strip():
                yield number, _json_object(line.rstrip(b"\r\n"))


def _json_object(line: bytes) -> dict[str, Any] | Bad:
    array = " (the file looks like one JSON array: JSONL has one object a line)" if line[:1] == b"[" else ""
    try:
        value = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return Bad(f"not UTF-8 (byte 0x{line[error.start]:02x} at position {error.start + 1} of the line)")
    except json.JSONDecodeError as error:
        return Bad(f"broken JSON: {error.msg}, column {error.colno}{array}")
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, or nested too deep
        return Bad(f"broken JSON: {error}")
    if not isinstance(value, dict):
        return Bad(f"{kind(value)} where a JSON object is needed{array}")
    return value


def _csv(path: Path, choose: Choose) -> Rows:
    """RFC 4180: a header, commas, newlines within double quotes. A row has the number of its first line."""
    # Bytes that are no UTF-8 come through as lone surrogates and spoil one row, not the file.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file, _any_field_size():
        reader = csv.reader(file, strict=True)
        header: list[str] = []
        while True:
            number = reader.line_num + 1
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                fault = _csv_fault(error, number, reader.line_num)
                if not header:
                    raise UserError(f"{path}, line {number}: {fault}, where columns should be named.") from None
                yield number, fault
                continue
            if not fields:
                continue
            if not header:
                header = fields
                choose(header)
                twice = [name for name, n in Counter(header).items() if n > 1]
                if twice:
                    raise UserError(f"{path}, line {number}: two columns are named {twice[0]!r}.")
            elif len(fields) != len(header):
                fields_found = "1 field" if len(fields) == 1 else f"{len(fields)} fields"
                yield number, Bad(f"{fields_found} where the header names {len(header)} columns")
            else:
                yield number, dict(zip(header, fields, strict=True))


def _csv_fault(error: csv.Error, first: int, last: int) -> Bad:
    if "unexpected end of data" in str(error):
        return Bad(f"a quote that opens here is never closed: lines {first} to {last} are lost")
    return Bad(f"broken CSV: {error}")


@contextmanager
def _any_field_size() -> Iterator[None]:
    """The csv module refuses fields over 131,072 characters, by a limit for the whole process."""
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _parquet(path: Path, choose: Choose) -> Rows:
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            columns = list(choose(file.schema_arrow.names))
            for batch in file.iter_batches(batch_size=1024, columns=columns):
                for values in _batch_rows(batch):
                    number += 1
                    yield number, values
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the disk; what pyarrow finds wrong with the content has no number
        where = f"is broken after row {number}" if number else "is not a whole Parquet file"
        raise UserError(f"{path} {where}: {' '.join(str(error).split()).rstrip('.')}.") from error


def _batch_rows(batch: pa.RecordBatch) -> Iterator[Mapping[str, Any] | Bad]:
    try:
        rows: Sequence[Mapping[str, Any] | Bad] = batch.to_pylist()
    except UnicodeDecodeError:  # nobody checks the strings of a Parquet file: find the rows with the bad ones
        rows = [_batch_row(batch.slice(i, 1)) for i in range(batch.num_rows)]
    yield from rows


def _batch_row(batch: pa.RecordBatch) -> Mapping[str, Any] | Bad:
    try:
        return batch.to_pylist()[0]
    except UnicodeDecodeError as error:
        return Bad(f"not UTF-8 (byte 0x{error.object[error.start]:02x})")
