"""What every group of settings is built on: one field a flag, types checked when a group is built.

This module imports neither torch nor the model code: `--help` comes at once.
"""

import difflib
import re
import types
import typing
from dataclasses import field, fields
from pathlib import Path
from typing import Any, Literal

from trainer.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


def setting(default: Any, help: str, **kwargs: Any) -> Any:
    """A dataclass field with the metadata that HfArgumentParser hands to `add_argument`."""
    return field(default=default, metadata={"help": help, **kwargs})


class Group:
    """Checks types when built and offers the checks of values that the groups share."""

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self))
        for item in fields(self):
            value = getattr(self, item.name)
            setattr(self, item.name, _typed(item.name, value, hints[item.name]))
        self.check()

    def check(self) -> None:
        """Raises `UserError` for a value that has the right type and still makes no sense."""

    def _over(self, name: str, low: float) -> None:
        value = getattr(self, name)
        if value is not None and not value > low:
            raise UserError(f"--{name} is {value}: it must be over {low}.")

    def _within(self, name: str, low: float, high: float | None = None) -> None:
        value = getattr(self, name)
        if value is None or (value >= low and (high is None or value <= high)):
            return
        right = f"at least {low}" if high is None else f"between {low} and {high}"
        raise UserError(f"--{name} is {value}: it must be {right}.")

    def _not_blank(self, name: str) -> None:
        value = getattr(self, name)
        if value is not None and not value.strip():
            raise UserError(f"--{name} is empty: give a value or leave it out.")


def public_name(name_or_path: str | Path) -> str:
    """A path without what it tells of this machine: relative to the checkout, or its last part; a Hub name as it is."""
    path = Path(name_or_path)
    if not isinstance(name_or_path, Path) and not path.exists():
        return name_or_path
    path = path.resolve()
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name


def check_known(name: str, names: typing.Iterable[str], kind: str) -> None:
    """Raises `UserError` with the nearest name where `name` is none of `names`."""
    names = sorted(names)
    if name in names:
        return
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(names)}." if len(names) < 12 else "see --help."
    raise UserError(f"There is no {kind} {name}: {hint}")


def slug(text: str) -> str:
    """`text` in the letters that a repository's name may have."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-.") or "local"


def _typed(name: str, value: Any, hint: Any) -> Any:
    """`value` as `hint` wants it; only str → Path and int → float are converted."""
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if value is None and types.NoneType in options:
        return None
    for option in options:
        if typing.get_origin(option) is Literal:
            if value in typing.get_args(option):
                return value
            right = " or ".join(typing.get_args(option))
            raise UserError(f"--{name} is {value!r}: it must be {right}.")
        if option is Path and isinstance(value, (str, Path)):
            return Path(value)
        if option is float and isinstance(value, (int, float)) and not isinstance(value, bool):
            if value != value or value in (float("inf"), float("-inf")):
                raise UserError(f"--{name} is {value}: it must be a finite number.")
            return float(value)
        if isinstance(option, type) and isinstance(value, option) and (option is bool or not isinstance(value, bool)):
            return value
    kinds = " or ".join(getattr(option, "__name__", str(option)) for option in options if option is not types.NoneType)
    raise UserError(f"--{name} is {value!r}: it must be of type {kinds}.")
