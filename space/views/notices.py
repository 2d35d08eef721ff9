"""Sentences in the place of a result or beside a field."""

from collections.abc import Sequence

from space.guards import Guard
from space.markup import escape


def notice(sentence: str, kind: str = "quiet") -> str:
    """A sentence in the place of a result; `kind` is "quiet", "busy" or "problem"."""
    role = ' role="alert"' if kind == "problem" else ""
    return f'<div class="notice {kind}"{role}><p>{escape(sentence)}</p></div>'


def guarded(guards: Sequence[Guard]) -> str:
    """What is wrong with a pasted article, and the ways on: without its tags, or all the same."""
    told = "".join(f"<p>{escape(guard.text)}</p>" for guard in guards)
    strip = any(guard.mended for guard in guards)
    mend = '<button type="button" data-do="strip">Strip the tags</button> ' if strip else ""
    return (
        f'<div class="notice guard" role="alert">{told}<p>{mend}'
        '<button type="button" data-do="anyway">Summarise all the same</button></p></div>'
    )
