"""Names: what a published file calls a path, what a repository may be called, and the nearest to an unknown name."""

import re
from collections.abc import Iterable
from pathlib import Path

from trainer.errors import UserError, nearest

ROOT = Path(__file__).resolve().parents[2]


def public_name(name_or_path: str | Path) -> str:
    """A path without what it tells of this machine: relative to the checkout, or its last part; a Hub name as it is."""
    path = Path(name_or_path)
    if not isinstance(name_or_path, Path) and not path.exists():
        return name_or_path
    path = path.resolve()
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name


def check_known(name: str, names: Iterable[str], kind: str, flag: str | None = None) -> None:
    """Raises `UserError` with the nearest name where `name`, of those that `flag` takes, is none of `names`.

    Where none is near and no flag is given, more than a dozen names are not listed but looked up by --help.
    """
    names = list(dict.fromkeys(names))
    if name in names:
        return
    near = nearest(name, names)
    listed = f"known: {', '.join(names if flag else sorted(names))}."
    hint = f"did you mean {near}?" if near else listed if flag or len(names) < 12 else "see --help."
    raise UserError(f"{flag}: there is no {kind} {name!r}: {hint}" if flag else f"There is no {kind} {name}: {hint}")


def slug(text: str) -> str:
    """`text` in the letters that a repository's name may have."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-.") or "local"
