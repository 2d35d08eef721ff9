"""Names on the Hub: user/name, and user/name@revision where a version can be chosen."""

from pathlib import Path

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id


def can_be_name(name: str) -> bool:
    """Whether a repository of the Hub could be called so: user/name, or a bare name; not a path."""
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return not name.startswith((".", "/", "~"))


def name_and_revision(spec: str) -> tuple[str, str | None]:
    """`user/name@revision` as (name, branch, tag or commit); the revision of a folder, or of a bare name, is None."""
    name, _, revision = spec.partition("@")
    return (name, revision) if name and revision and not Path(spec).is_dir() else (spec, None)
