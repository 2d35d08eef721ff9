"""From rows of any source to examples: both texts are there, are text and are not empty.

A bad row is named by file, line and reason.
"""

import math
import unicodedata
from collections.abc import Callable, Mapping, MutableSequence, Sequence
from typing import Any, Literal

from trainer.data.rows import Bad, Rows, kind
from trainer.data.splits import BadRow, Example
from trainer.errors import UserError, nearest
from trainer.settings.groups import DataSettings

SWALLOWED = 10  # lines that a broken CSV row may take; more are rows lost to a quote that is not closed

Keep = MutableSequence[Example] | None

Prepare = Callable[[Mapping[str, Any]], Mapping[str, Any]] | None


def collect_examples(
    rows: Rows,
    data: DataSettings,
    limit: int | None,
    file: str,
    unit: Literal["line", "row"],
    keep: Keep = None,
    prepare: Prepare = None,
) -> tuple[MutableSequence[Example], list[BadRow], int]:
    """(examples, bad rows, rows read) of the first `limit` usable rows."""
    examples: MutableSequence[Example] = [] if keep is None else keep
    skipped: list[BadRow] = []
    read = 0
    named = data.id_column == DataSettings.id_column  # the usual name may be absent: rows are numbered then
    for read, (number, values) in enumerate(rows, start=1):
        try:
            if isinstance(values, Bad):
                raise values
            values = prepare(values) if prepare else values
            examples.append(_example(values, data, number=read))
            named = named or data.id_column in values
        except Bad as reason:
            bad = BadRow(file, unit, number, str(reason), reason.lines)
            if bad.lines >= SWALLOWED:
                raise UserError(
                    f"{bad}. So many lines are more than one bad row, so they are not left out: mend the quote."
                ) from None
            if not data.skip_bad_rows:
                raise UserError(f"{bad}. Mend it, or leave bad rows out with --skip_bad_rows.") from None
            skipped.append(bad)
        if limit is not None and len(examples) == limit:
            break
    if read == 0:
        raise UserError(f"{file} holds no rows: it should have one article and its summary a {unit}.")
    if not examples:
        raise UserError(f"{file} has no usable row: all {read:,} are bad. The first is {skipped[0]}.")
    if not named:
        raise UserError(f"--id_column is {data.id_column!r}, and no row of {file} has such a column.")
    return examples, skipped, read


def _example(values: Mapping[str, Any], data: DataSettings, number: int) -> Example:
    source = _text(values, data.source_column, "source_column")
    target = _text(values, data.target_column, "target_column")
    return Example(_id(values.get(data.id_column), data.id_column, number), source, target)


def _text(values: Mapping[str, Any], column: str, option: str) -> str:
    if column not in values:
        raise Bad(f"no column {unknown_name(column, list(values))}; --{option} names another")
    value = values[column]
    if value is None:
        raise Bad(f"column {column!r} is null, not text")
    if not isinstance(value, str):
        raise Bad(f"column {column!r} holds {kind(value)}, not text")
    _check_unicode(value, column)
    if not any(unicodedata.category(char)[0] not in "ZC" for char in value):  # white space and control only
        raise Bad(f"column {column!r} is empty")
    return value


def _id(value: Any, column: str, number: int) -> str:
    """The id as text; the number of the row where there is none."""
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return str(number)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Bad(f"column {column!r} holds {kind(value)}, not an id")
    if isinstance(value, float) and value.is_integer():  # so pandas writes them when one is missing
        value = int(value)
    value = str(value)
    _check_unicode(value, column)
    return value


def _check_unicode(text: str, column: str) -> None:
    """A lone surrogate can be in a string, and can be neither written nor tokenised."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        code = ord(text[error.start])
        if 0xDC80 <= code <= 0xDCFF:  # Python's own mark for a byte that it could not decode
            raise Bad(f"column {column!r} is not UTF-8 (byte 0x{code - 0xDC00:02x})") from None
        raise Bad(f"column {column!r} holds half of a character (\\u{code:04x})") from None


def needed_columns(columns: Sequence[str], data: DataSettings, where: str) -> list[str]:
    """Those of `columns` that are needed; UserError where one is missing that the rows cannot do without."""
    needed = {"source_column": data.source_column, "target_column": data.target_column}
    if data.id_column != DataSettings.id_column:
        needed["id_column"] = data.id_column
    for option, column in needed.items():
        if column not in columns:
            raise UserError(f"{where} has no column {unknown_name(column, columns)}. Name it with --{option}.")
    wanted = (data.id_column, data.source_column, data.target_column, *getattr(data, "also_read", ()))
    return [name for name in dict.fromkeys(wanted) if name in columns]


def unknown_name(name: str, known: Sequence[str]) -> str:
    """`'documnt'; there are 'document', 'summary' (did you mean 'document'?)`"""
    if not known:
        return f"{name!r}; there are none"
    near = nearest(name, known)
    hint = f" (did you mean {near!r}?)" if near else ""
    verb = "is" if len(known) == 1 else "are"
    return f"{name!r}; there {verb} {', '.join(repr(other) for other in known)}{hint}"
