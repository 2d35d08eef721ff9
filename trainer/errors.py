"""The one exception that a command line or a page shows as a sentence."""


class UserError(Exception):
    """Something the user can mend: its message names the field, the value and what would be right."""
