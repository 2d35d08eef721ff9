"""What the demo accepts: every value that comes from outside is checked here, whether a page or a program
sent it.

A page's sliders keep people within these ranges; the HTTP interface keeps nobody, so ranges are checked again
on the server. What is refused is refused in a sentence (`trainer.errors.UserError`).
"""

import math
import re
from dataclasses import dataclass
from typing import Any

from trainer.errors import UserError

# Characters. A longer article is no article; it would only be cut after its first thousand tokens anyway.
ARTICLE_CHARACTERS = 1_000_000
# ROUGE-L compares every word with every word: 20,000 × 20,000 characters take about a second.
SUMMARY_CHARACTERS = 20_000

_SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Range:
    """A setting's least and greatest value (both allowed), and whether only whole numbers will do."""

    name: str
    least: float
    greatest: float
    whole: bool = True

    def check(self, value: Any) -> int | float:
        """`value` as a number of the right kind.

        Raises:
            UserError: it is no number, not a whole one, or out of range.
        """
        kind = "a whole number" if self.whole else "a number"
        wanted = f"{self.name} must be {kind} from {self.least:g} to {self.greatest:g}"
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise UserError(f"{wanted}, not {_shown(value)}.")
        if self.whole and value != int(value):
            raise UserError(f"{wanted}, not {value:g}.")
        if not self.least <= value <= self.greatest:
            raise UserError(f"{wanted}, not {value:g}.")
        return int(value) if self.whole else float(value)


NUM_BEAMS = Range("num_beams", 1, 8)
MAX_NEW_TOKENS = Range("max_new_tokens", 4, 256)
LENGTH_PENALTY = Range("length_penalty", -2, 4, whole=False)
N_STEPS = Range("n_steps", 4, 128)
TYPOS = Range("typos", 0, 30)  # per cent of the letters


def steps(value: Any) -> int | None:
    """The steps of an explanation; None, as many as its scores need to add up, where 0 or nothing was given.

    Raises:
        UserError: it is neither, nor in range.
    """
    return None if value is None or (value == 0 and not isinstance(value, bool)) else N_STEPS.check(value)


def decoding(num_beams: Any = None, max_new_tokens: Any = None, length_penalty: Any = None) -> dict[str, int | float]:
    """The decoding settings that were given, checked; those that are None stay the model's own and are left
    out.

    Raises:
        UserError: one of them is out of range.
    """
    given = ((NUM_BEAMS, num_beams), (MAX_NEW_TOKENS, max_new_tokens), (LENGTH_PENALTY, length_penalty))
    return {limit.name: limit.check(value) for limit, value in given if value is not None}


def text(value: Any, name: str, most: int) -> str:
    """`value` if it is text that something can be done with, unchanged but for surrogates without a partner.

    Broken JSON can hold such halves of a character; no tokenizer and no UTF-8 takes them. Each becomes
    U+FFFD, one character for one, so that places in the text stay the same.

    Raises:
        UserError: it is not text, empty, nothing but white space and invisible characters, or longer than
            `most`.
    """
    if not isinstance(value, str):
        raise UserError(f"The {name} must be text, not {_shown(value)}.")
    if not value.strip():
        raise UserError(f"The {name} is empty. Paste some text first.")
    if len(value) > most:
        raise UserError(f"The {name} has {len(value):,} characters; at most {most:,} are accepted.")
    value = without_surrogates(value)
    if not any(character.isprintable() and not character.isspace() for character in value):
        raise UserError(f"The {name} holds only invisible characters. Paste some text first.")
    return value


def without_surrogates(value: str) -> str:
    """`value` with U+FFFD for each surrogate without a partner."""
    return _SURROGATES.sub("\ufffd", value)


def numbers(value: Any, name: str) -> list[int]:
    """A list of whole numbers from 0 on; None is an empty one.

    Raises:
        UserError: it is no such list.
    """
    if value is None:
        return []
    if not isinstance(value, list) or not all(type(one) is int and one >= 0 for one in value):
        raise UserError(f"{name} must be a list of whole numbers from 0 on, not {_shown(value)}.")
    return value


def _shown(value: Any) -> str:
    described = repr(value)
    return described if len(described) <= 40 else f"{described[:37]}…"
