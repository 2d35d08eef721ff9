"""Rows of JSONL, CSV and Parquet files, with the place of each and what is wrong with it.

The readers of `datasets` turn a missing column into None, "N/A" in a CSV file into None and whole numbers
into fractions, and count lines within a block, so that nobody learns which row was bad. Here a row that
cannot be read comes as a `Bad` in its place, and reading goes on behind it.

Read as they are: gzip under any name, UTF-8 and UTF-16 with and without a byte order mark, tables separated by commas,
semicolons, tabs or bars, and JSON objects one a line or all in one array.
"""

import csv
import gzip
import io
import json
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from trainer.errors import UserError
from trainer.runtime.files import table_kind

_ARRAY = re.compile(r"\s*\[\s*\{")  # how an array of objects begins
_FOLLOWS = re.compile(r"\s*([,\]])\s*")
SEPARATORS = (",", ";", "\t", "|")


class Bad(Exception):
    """Why a row cannot be used, and how many lines of the file it takes."""

    def __init__(self, reason: str, lines: int = 1) -> None:
        super().__init__(reason)
        self.lines = lines


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
    kind_of_file = table_kind(path)
    if kind_of_file is None:
        raise UserError(f"{path} must end in .jsonl, .csv or .parquet.")
    with path.open("rb"):
        pass  # that it may not be read should be known now
    if kind_of_file == ".parquet":
        return _whole(path, _parquet(path, choose)), "row"
    return _whole(path, (_csv if kind_of_file in (".csv", ".tsv") else _jsonl)(path, choose)), "line"


def _whole(path: Path, rows: Rows) -> Rows:
    """The rows; a file whose compression or encoding breaks in the middle ends in a sentence."""
    try:
        yield from rows
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path} is a broken gzip file: {str(error).rstrip('.')}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} looks like UTF-16 and is not: {error.reason} at byte {error.start}.") from error


@contextmanager
def _bytes(path: Path) -> Iterator[BinaryIO]:
    """The file's content, decompressed where it begins as gzip does, whatever its name."""
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(0)
        if start == b"PK\x03\x04":
            raise UserError(
                f"{path} is a ZIP archive, as an Excel workbook is too: unpack it, or save the table as CSV."
            )
        if start[:2] == b"\x1f\x8b":
            with gzip.open(file) as content:
                yield content
        else:
            yield file


@contextmanager
def _text(path: Path, newline: str) -> Iterator[TextIO]:
    """The file's content as text. Bytes that are no UTF-8 come as lone surrogates and spoil one row, not the file."""
    with _bytes(path) as file:
        start = file.read(200)
        file.seek(0)
        encoding = _utf16(start)
        errors = "surrogatepass" if encoding else "surrogateescape"
        with io.TextIOWrapper(file, encoding or "utf-8-sig", errors, newline) as text:
            yield text


def _utf16(start: bytes) -> str | None:
    """The kind of UTF-16 that a file with these first bytes has: by its mark, or by the zero bytes of Latin letters."""
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    zeros = {"utf-16-be": start[0::2].count(0), "utf-16-le": start[1::2].count(0)}
    encoding = max(zeros, key=zeros.get)
    return encoding if zeros[encoding] > max(len(start) / 20, 4 * min(zeros.values())) else None


def kind(value: Any) -> str:
    """The value and its type in plain words: `a number (7)`."""
    words = {bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}
    shown = repr(value)
    shown = shown if len(shown) <= 40 else shown[:39] + "…"
    return f"{words.get(type(value), type(value).__name__)} ({shown})"


def _jsonl(path: Path, choose: Choose) -> Rows:
    """One JSON object a line, or one array of them; empty lines are passed over, and a byte order mark at the start."""
    with _text(path, newline="\n") as file:
        begun = False
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            value = _json_object(line.rstrip("\r\n"))
            if not begun and isinstance(value, Bad) and (text := _one_json(path)):
                yield from _json_array(path, text)
                return
            begun = True
            yield number, value


def _one_json(path: Path) -> str | None:
    """The file's text where that is one array of objects; None where it is no single JSON value.

    Raises:
        UserError: it is one object.
    """
    with _text(path, newline="\n") as file:
        text = file.read()
    if _ARRAY.match(text):
        return text
    try:
        one = isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        one = False
    if one:
        raise UserError(
            f"{path} is one JSON object over many lines, in which no rows can be told apart. Write one object a line "
            "(JSONL), or an array of objects."
        )
    return None


def _json_array(path: Path, text: str) -> Rows:
    """The objects of an array, each with the line where it begins.

    Raises:
        UserError: the array is broken, and behind that place nothing can be read.
    """
    decoder = json.JSONDecoder()
    place = _ARRAY.match(text).end() - 1
    line = 1 + text.count("\n", 0, place)
    while True:
        try:
            value, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError) as error:
            raise UserError(
                f"{path}, line {line}: broken JSON in an array, whose rest can't be read: {error}."
            ) from error
        yield line, value if isinstance(value, dict) else Bad(f"{kind(value)} where a JSON object is needed")
        follows = _FOLLOWS.match(text, end)
        if follows is None:
            raise UserError(f"{path}: a comma or ] is missing behind the object that begins in line {line}.")
        if follows[1] == "]":
            return
        line += text.count("\n", place, follows.end())
        place = follows.end()


def _json_object(line: str) -> dict[str, Any] | Bad:
    array = " (the file looks like one JSON array: JSONL has one object a line)" if line[:1] == "[" else ""
    try:
        line.encode("utf-8")
        value = json.loads(line)
    except UnicodeEncodeError as error:
        before, code = line[: error.start].encode("utf-8"), ord(line[error.start])
        if 0xDC80 <= code <= 0xDCFF:  # Python's own mark for a byte that it could not decode
            return Bad(f"not UTF-8 (byte 0x{code - 0xDC00:02x} at position {len(before) + 1} of the line)")
        return Bad(f"half of a character (\\u{code:04x}) at position {error.start + 1} of the line")
    except json.JSONDecodeError as error:
        return Bad(f"broken JSON: {error.msg}, column {error.colno}{array}")
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, or nested too deep
        return Bad(f"broken JSON: {error}")
    if not isinstance(value, dict):
        return Bad(f"{kind(value)} where a JSON object is needed{array}")
    return value


def _csv(path: Path, choose: Choose) -> Rows:
    """RFC 4180: a header, commas, newlines within double quotes. A row has the number of its first line.

    Other separators are found by the columns that are wanted. A column without a name is left out, so commas at the
    ends of lines do no harm.
    """
    separator = _separator(path, choose)
    with _text(path, newline="") as file, _any_field_size():
        reader = csv.reader(file, strict=True, delimiter=separator)
        header: list[str] = []
        least = 0  # fields of a row
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
                choose(_names(header))
                twice = [name for name, n in Counter(_names(header)).items() if n > 1]
                if twice:
                    raise UserError(f"{path}, line {number}: two columns are named {twice[0]!r}.")
                least = max(place for place, name in enumerate(header, start=1) if name.strip())
                continue
            while len(fields) > least and not fields[-1]:
                fields.pop()
            if not least <= len(fields) <= len(header):
                fields_found = "1 field" if len(fields) == 1 else f"{len(fields)} fields"
                yield number, Bad(f"{fields_found} where the header names {len(_names(header))} columns")
            else:
                yield number, {name: field for name, field in zip(header, fields, strict=False) if name.strip()}


def _names(header: Sequence[str]) -> list[str]:
    return [name for name in header if name.strip()]


def _separator(path: Path, choose: Choose) -> str:
    """The first of `SEPARATORS` that gives the columns `choose` wants; where none does, that of the most columns."""
    columns: dict[str, int] = {}
    for separator in SEPARATORS:
        with _text(path, newline="") as file, _any_field_size():
            try:
                header = _names(next(filter(None, csv.reader(file, delimiter=separator)), []))
            except csv.Error:
                continue
        try:
            choose(header)
        except UserError:
            columns[separator] = len(header)
        else:
            return separator
    return max(columns, key=columns.get, default=SEPARATORS[0])


def _csv_fault(error: csv.Error, first: int, last: int) -> Bad:
    if "unexpected end of data" in str(error):
        return Bad(f"a quote that opens here is never closed: lines {first} to {last} are lost", last - first + 1)
    lost = f": lines {first} to {last} are lost" if last > first else ""
    return Bad(f"broken CSV: {error}{lost}", last - first + 1)


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
        with _bytes(path) as content, pq.ParquetFile(_seekable(content)) as file:
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


def _seekable(content: BinaryIO) -> BinaryIO:
    """A Parquet file is read from its end: one that is packed has to be unpacked first."""
    return io.BytesIO(content.read()) if isinstance(content, gzip.GzipFile) else content


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
