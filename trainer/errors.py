"""The exceptions that a command line or a page shows as a sentence."""


class UserError(Exception):
    """Something the user can mend: its message names the field, the value and what would be right."""

    exit_code = 2  # of a command line


class Stopped(UserError):
    """What was asked was right, but it could not be brought to its end: a full disk, a Hub out of reach."""

    exit_code = 1
