"""Turns groups of settings into a command line: flags, `--help`, and errors that name the nearest flag."""

import argparse
import typing
from collections.abc import Sequence
from typing import Any

from transformers.hf_argparser import HfArgumentParser

from trainer.errors import UserError
from trainer.settings.base import check_known


class SettingsParser(HfArgumentParser):
    """HfArgumentParser that raises `UserError`, knows the nearest name, and whose help reads like a page.

    Groups follow the dataclasses' `_argument_group_name`; defaults are shown where there is one.
    """

    def __init__(self, groups: Sequence[type], **kwargs: Any):
        super().__init__(groups, formatter_class=PageFormatter, allow_abbrev=False, **kwargs)

    def error(self, message: str) -> typing.NoReturn:
        raise UserError(message[0].upper() + message[1:].rstrip(".") + ".")

    def parse_known_args(self, args=None, namespace=None):
        found, rest = super().parse_known_args(args, namespace)
        for word in rest:
            if word.startswith("--"):
                check_known(word.split("=", 1)[0], self._option_string_actions, "flag")
            raise UserError(f"{word!r} belongs to no flag: values follow a flag, as in --learning_rate 3e-4.")
        return found, rest

    def explicit(self, argv: Sequence[str]) -> dict[str, Any]:
        """Only what `argv` itself says, defaults left out."""
        bare = type(self)(self.dataclass_types)
        for action in bare._actions:
            action.default = argparse.SUPPRESS
        return vars(bare.parse_args(argv))


class PageFormatter(argparse.RawDescriptionHelpFormatter):
    """One flag a paragraph: its name with the unit, then what it does, its source and its default."""

    def __init__(self, prog: str):
        super().__init__(prog, max_help_position=30, width=100)

    def add_argument(self, action: argparse.Action) -> None:
        if not isinstance(action, argparse._StoreFalseAction):  # shown with its positive twin
            super().add_argument(action)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if isinstance(action, argparse._HelpAction):
            return "-h, --help"
        flag = action.option_strings[0]
        if action.nargs == "?":
            return f"--[no_]{flag[2:]}" if action.default is True else flag
        return f"{flag} {self._format_args(action, action.dest.upper())}"

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        if action.default is None or action.default is False or action.default == argparse.SUPPRESS:
            return text
        if isinstance(action.default, str):
            return f"{text} [{action.default!r}]".replace("%%", "%").replace("%", "%%")
        value = "yes" if action.default is True else f"{action.default:g}"
        return f"{text} [{value}]"
