"""What a command line or a page shows as a sentence: the exceptions, and the nearest name that it offers."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something the user can mend: its message names the field, the value and what would be right."""

    exit_code = 2  # of a command line


class Stopped(UserError):
    """What was asked was right, but it could not be brought to its end: a full disk, a Hub out of reach."""

    exit_code = 1


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The one of `names` that `name` was probably meant to be, whatever its case; None where none is near."""
    by_lower = {one.lower(): one for one in names}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return by_lower[near[0]] if near else None
