"""One machine for every command line: groups of fields become flags, YAML recipes, `--help`, checks and sentences.

    @group
    class TrialSettings(Group):
        "What is tried."

        runs: int = setting(8, ge=1)
        "Trainings, each with other values."

    (trials,) = SettingsParser([TrialSettings], prog="study.py").parse(["--runs", "3"])

A field's name is its flag. The text under it says in `--help` what it means, its unit and source; the class's text
heads the paragraph. pydantic checks types, choices (`Literal`) and the bounds beside a field when its group is built,
so that a wrong value is told in a second and not after an hour; argparse cuts the command line. (tyro, jsonargparse and
pydantic-settings answer with boxes, tracebacks or nested names where one sentence is wanted.) This module imports
neither torch nor the model code: `--help` comes at once.
"""

import argparse
import re
import types
import typing
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, Field, asdict, field, fields
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import yaml

from trainer.errors import UserError
from trainer.settings.base import check_known, public_name

REQUIRED = MISSING  # as a default: the setting has none


def expanded(path: str | Path) -> Path:
    """`path` with the home folder in place of `~`, which a shell leaves in `--flag=~/folder` and YAML everywhere."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # ~nobody
        return Path(path)


File = Annotated[Path, pydantic.BeforeValidator(lambda path: expanded(path) if isinstance(path, str) else path)]
Text = Annotated[str, pydantic.Field(pattern=r"\S")]  # not blank
Share = Annotated[float, pydantic.Field(ge=0, le=1)]
Precision = Annotated[
    Literal["fp32", "bf16"],
    pydantic.Field(
        description="bf16 mixes in bfloat16 where GPU or processor has it, else fp32 with a note. T5 overflows in fp16."
    ),
]

_METAVARS = {int: "N", str: "NAME", Path: "FILE", bool: "yes|no"}
_BOUNDS = {"gt": "over", "ge": "at least", "lt": "below", "le": "at most"}
_SENTENCES = {  # by pydantic's name of the error
    "missing": "{flag} is missing: {help}",
    "string_pattern_mismatch": "{flag} is empty: give a value or leave it out.",
    "literal_error": "{flag} is {value!r}: it must be {expected}.",
    "extra_forbidden": "{flag} is unknown.",
    "finite_number": "{flag} is {value}: it must be a finite number.",
    "too_short": "{flag} is {value}: it must have {min_length} values.",
    "too_long": "{flag} is {value}: it must have {max_length} values.",
    **dict.fromkeys(
        ("greater_than", "greater_than_equal", "less_than", "less_than_equal"),
        "{flag} is {value}: it must be {bounds}.",
    ),
}


def setting(default: Any, **more: Any) -> Any:
    """A field that needs more than its default: a value, a function that makes one, or `REQUIRED`.

    Of `more`, pydantic reads the bounds (`ge`, `gt`, `le`, `lt`, `min_length`, `max_length`), and this module `metavar`
    (what stands for the value in `--help`), `section` (title of a paragraph of `--help` that begins here), `recipe`
    (False: no recipe may set it), `place` (True: it names models or folders, separated by commas; `~` is read, and no
    path of this machine is published) and `harmless` (True: a run may go on with another value).
    """
    return field(**{"default_factory" if callable(default) else "default": default}, metadata=more)


class Group:
    """Settings that belong together."""

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Raises `UserError` for values that are right one by one and make no sense together."""


@typing.dataclass_transform(field_specifiers=(setting,))
def group(cls: type) -> type:
    """Makes `cls` a dataclass that raises `UserError` when it is built with an unknown name or a wrong value."""
    strict = pydantic.ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)
    cls = pydantic.dataclasses.dataclass(cls, config=strict)
    validated = cls.__init__

    @wraps(validated)
    def build(self, *args, **values):
        try:
            validated(self, *args, **values)
        except pydantic.ValidationError as error:
            raise UserError(_sentence(cls, error.errors()[0])) from None

    cls.__init__ = build
    return cls


def help_of(cls: type, name: str) -> str:
    """What the field `name` of a group means."""
    return cls.__pydantic_fields__[name].description or ""


class CommandSettings:
    """What the settings of every command can do; its attributes are groups."""

    @classmethod
    def groups(cls) -> list[type]:
        """The groups' classes, in order."""
        return [item.type for item in fields(cls)]

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Group → name → value, in plain JSON types."""
        return {
            name: {key: str(value) if isinstance(value, Path) else value for key, value in values.items()}
            for name, values in asdict(self).items()
        }

    def public(self) -> dict[str, dict[str, Any]]:
        """`to_dict` for a published file: of paths on this machine only what is inside the checkout, or the name."""
        values = self.to_dict()
        for part in fields(self):
            for item in fields(part.type):
                value = getattr(getattr(self, part.name), item.name)
                if isinstance(value, Path):
                    values[part.name][item.name] = public_name(value)
                elif value and "place" in item.metadata:
                    values[part.name][item.name] = ",".join(map(public_name, listed(value)))
        return values


class SettingsParser(argparse.ArgumentParser):
    """Flags, recipes (files of the folder `recipes`) and the page of help for classes made with `group`.

    The flag `named_by` names the recipe.
    """

    def __init__(self, groups: Iterable[type], recipes: Path | None = None, *, named_by: str = "recipe", **page: Any):
        super().__init__(formatter_class=PageFormatter, allow_abbrev=False, argument_default=argparse.SUPPRESS, **page)
        self.groups, self.recipes, self.named_by = list(groups), recipes, named_by
        self.items = {item.name: item for cls in self.groups for item in fields(cls)}
        for cls in self.groups:
            section, hints = self.add_argument_group(cls.__doc__.rstrip(".")), typing.get_type_hints(cls)
            for item in fields(cls):
                if "section" in item.metadata:
                    section = self.add_argument_group(item.metadata["section"])
                _add_flag(section, item, _kinds(hints[item.name])[0], help_of(cls, item.name))

    def parse(self, argv: Sequence[str]) -> list[Any]:
        """One group of each class: defaults, then what the recipe says, then what `argv` says.

        Prints the page and exits for `--help`.

        Raises:
            UserError: an unknown name, a value that can't be read or makes no sense, no such recipe.
        """
        typed = self.typed(argv)
        return self.build(self.recipe(typed) | typed)

    def typed(self, argv: Sequence[str]) -> dict[str, Any]:
        """Only what `argv` itself says, defaults left out."""
        return vars(self.parse_args(argv))

    def build(self, values: dict[str, Any]) -> list[Any]:
        """One group of each class from name → value."""
        return [
            cls(**{item.name: values[item.name] for item in fields(cls) if item.name in values}) for cls in self.groups
        ]

    def recipe(self, typed: dict[str, Any]) -> dict[str, Any]:
        """What the recipe that `typed` (or else the default) names says; paths in it are relative to its file."""
        flag = self.named_by
        name = typed.get(flag, self.items[flag].default if flag in self.items else None)
        if name is None:
            return {}
        path = expanded(name)
        if path.suffix not in (".yaml", ".yml"):
            check_known(name, [file.stem for file in self.recipes.glob("*.yaml")], flag)
            path = self.recipes / f"{name}.yaml"
        try:
            values = yaml.safe_load(path.read_text("utf-8"))
        except OSError as error:
            raise UserError(f"--{flag} is {name}: there is no such file.") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise UserError(f"The recipe {path} is not readable YAML: {' '.join(str(error).split())}") from error
        if not isinstance(values, dict):
            raise UserError(f"The recipe {path} must be lines of `name: value`.")
        return self.read(values, path.resolve().parent, f"recipe {path}")

    def read(self, values: dict[str, Any], folder: Path, where: str) -> dict[str, Any]:
        """What the lines `name: value` of a YAML file say, as the flags of these names would read it.

        Args:
            folder: which paths are relative to.
            where: what sentences call the place.

        Raises:
            UserError: an unknown name, or a value that can't be read.
        """
        allowed = [name for name, item in self.items.items() if item.metadata.get("recipe", True)]
        for name in values:
            check_known(str(name), allowed, f"setting (in the {where})")
        try:
            return {name: self._from_yaml(name, value, folder) for name, value in values.items()}
        except UserError as error:
            raise UserError(f"The {where}: {error}") from error

    def _from_yaml(self, name: str, value: Any, folder: Path) -> Any:
        """`value` as its flag would read it: YAML itself takes 3e-4 for a string."""
        flag = self._option_string_actions.get(f"--{name}")
        if flag is None:
            return value
        if isinstance(value, list) and flag.nargs not in (None, "?"):
            return self.typed([f"--{name}", *map(str, value)])[name]
        if value is None or isinstance(value, (dict, list)):
            raise UserError(f"{name} has no single value: write `{name}: value` or leave it out.")
        if flag.type is expanded or str(value).startswith(("./", "../")):
            value = (folder / expanded(str(value))).resolve()
        return self.typed([f"--{name}={value}"])[name]

    def error(self, message: str) -> typing.NoReturn:
        raise UserError(re.sub(r"^argument (--\w+)[^:]*", r"\1", message).rstrip(".") + ".")

    def parse_known_args(self, args=None, namespace=None):
        found, rest = super().parse_known_args(args, namespace)
        for word in rest:
            if word.startswith("--"):
                check_known(word.split("=", 1)[0], self._option_string_actions, "flag")
            raise UserError(f"{word!r} belongs to no flag: values follow a flag, as in --learning_rate 3e-4.")
        return found, rest


class PageFormatter(argparse.RawDescriptionHelpFormatter):
    """One flag a paragraph: its name with the unit, then what it does, its source and its default."""

    def __init__(self, prog: str):
        super().__init__(prog, max_help_position=30, width=100)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if isinstance(action, argparse._HelpAction):
            return "-h, --help"
        flag = action.option_strings[0]
        if action.nargs == "?":
            return f"--[no_]{action.dest}" if f"--no_{action.dest}" in action.option_strings else flag
        return f"{flag} {self._format_args(action, action.dest.upper())}".rstrip()


class YesNo(argparse.Action):
    """Sets a truth value; `--no_name` turns it round."""

    def __call__(self, parser, namespace, value, option_string=None):
        setattr(namespace, self.dest, value != option_string.startswith(("--no_", "--no-")))


def listed(text: str) -> list[str]:
    """The parts of a list with commas, empty ones left out."""
    return [part for part in (one.strip() for one in text.split(",")) if part]


def _is(kind: Any, *origins: Any) -> bool:
    return typing.get_origin(kind) in origins


def _kinds(hint: Any) -> list[Any]:
    """The types that a value may have, None left out."""
    kinds = typing.get_args(hint) if _is(hint, typing.Union, types.UnionType) else (hint,)
    return [kind for kind in kinds if kind is not types.NoneType]


def _add_flag(section: argparse._ArgumentGroup, item: Field, kind: Any, about: str) -> None:
    if _is(kind, dict):  # stands in recipes only
        return
    names = [f"--{item.name}"] + [f"--no_{item.name}"] * (item.default is True)
    options = {"type": kind, "metavar": item.metadata.get("metavar", _METAVARS.get(kind))}
    if kind is bool:
        options |= {"type": _yes_or_no, "action": YesNo}
        options |= {} if item.default is None else {"nargs": "?", "const": True}
    elif _is(kind, Literal):
        options |= {"type": str, "choices": typing.get_args(kind)}
    elif _is(kind, list):
        options |= {"type": typing.get_args(kind)[0], "nargs": item.metadata.get("min_length", "+")}
    elif kind is Path:
        options["type"] = expanded
    elif "place" in item.metadata:
        options["type"] = _places
    names += [name.replace("_", "-") for name in names if "_" in name]
    help_text = (about + _shown_default(item)).replace("%", "%%")
    section.add_argument(*names, dest=item.name, help=help_text, **options)


def _shown_default(item: Field) -> str:
    value = item.default if item.default_factory is MISSING else item.default_factory()
    if value is None or value is False or value is REQUIRED:
        return ""
    if isinstance(value, (str, Path)):
        return f" [{str(value)!r}]"
    return (
        f" [{'yes' if value is True else ' '.join(f'{x:g}' for x in (value if isinstance(value, list) else [value]))}]"
    )


def _yes_or_no(text: str) -> bool:
    try:
        return pydantic.TypeAdapter(bool).validate_strings(text)
    except pydantic.ValidationError:
        raise argparse.ArgumentTypeError(f"Truthy value expected, yes or no, and not {text!r}") from None


def _places(text: str) -> str:
    return ",".join(str(expanded(part)) if part.startswith("~") else part for part in text.split(","))


def _sentence(cls: type, error: Any) -> str:
    """What pydantic found wrong, in a sentence that names the field, the value and what would be right."""
    name, *inner = [part for part in error["loc"] if part not in ("int", "float")]  # which of int | float it tried
    items = {item.name: item for item in fields(cls)}
    check_known(name, items, f"setting of {cls.__name__}")
    kinds = _kinds(typing.get_type_hints(cls)[name])
    right = {**error.get("ctx", {}), **items[name].metadata, "help": help_of(cls, name)}
    right["expected"] = str(right.get("expected")).replace("'", "")
    right["bounds"] = " and ".join(f"{word} {right[key]}" for key, word in _BOUNDS.items() if key in right)
    if "ge" in right and "le" in right:
        right["bounds"] = f"between {right['ge']} and {right['le']}"
    right["kind"] = "of type " + " or ".join(getattr(kind, "__name__", str(kind)) for kind in kinds)
    if inner:
        right["kind"] = error["msg"].removeprefix("Input should be ")
    flag = ("" if _is(kinds[0], dict) else "--") + ".".join(map(str, [name, *inner]))
    sentence = _SENTENCES.get(error["type"], "{flag} is {value!r}: it must be {kind}.")
    return sentence.format(flag=flag, value=error["input"], **right)
