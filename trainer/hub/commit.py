"""Publishes files on the Hub in one atomic commit."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, RepoUrl, constants, get_token
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

from trainer.errors import UserError
from trainer.hub.explain import TOKEN, brief, explain, redact
from trainer.hub.patience import Patience, Say, aloud, retry, time_limit
from trainer.runtime.sizes import spoken_size


@dataclass(frozen=True)
class Published:
    """Where the files are now: address of the repository, its id, the commit that holds them."""

    url: str
    repo_id: str
    commit: str


def publish_files(
    api: HfApi,
    repo_id: str,
    files: Mapping[str, Path | bytes],
    *,
    message: str,
    repo_type: str = "model",
    private: bool = False,
    obsolete: Callable[[str], bool] = lambda path: False,
    variables: Mapping[str, str] | None = None,
    patience: Patience | None = None,
    say: Say = aloud,
) -> Published:
    """Publishes `files` (path in the repository → file or bytes) in one commit: all of them, or nothing.

    The repository is made where there is none (`variables`: those of a new Space). Files there that are not in
    `files` and that `obsolete` names are deleted by the same commit. The commit names its parent, so a change
    that somebody else makes in the meantime is never overwritten; a commit that went through although its
    answer was lost is recognised. Afterwards every file's hash is compared with what the Hub says it holds.

    A repository that was made here and got no commit is removed again: an empty one under the name of a model
    would be half a publication. One that was there before is left as it was.

    Raises:
        UserError: nothing was published, and why; or the Hub holds something else than what was sent.
    """
    refuse_secrets(files, api)
    doing = f"publishing {repo_id}"

    def ask(call: Callable[[], Any]) -> Any:
        return retry(call, doing, patience=patience, say=say)

    def info() -> Any:
        return api.repo_info(repo_id, repo_type=repo_type, files_metadata=True)

    hashes = {path: _hashes(content) for path, content in files.items()}
    created, head = False, None
    try:
        try:
            head = ask(info)
        except RepositoryNotFoundError:
            created = _create(api, repo_id, repo_type, private, variables, ask)
            head = ask(info)
        stale = sorted(
            sibling.rfilename
            for sibling in head.siblings or []
            if sibling.rfilename not in files and obsolete(sibling.rfilename)
        )

        def commit() -> str:
            now = info()
            if not _differences(now, hashes) and not set(stale) & {s.rfilename for s in now.siblings or []}:
                return now.sha  # already there: unchanged, or only the answer to an earlier try was lost
            if now.sha != head.sha:
                raise UserError(
                    f"{doing[:1].upper()}{doing[1:]} stopped: the repository was changed by somebody else in the "
                    "meantime, and nothing was published over that. Look at the change, then run the same "
                    "command again."
                )
            # The client marks operations as it goes, so every try needs its own.
            operations = [CommitOperationAdd(path, content) for path, content in files.items()]
            operations += [CommitOperationDelete(path) for path in stale]
            return api.create_commit(
                repo_id,
                operations,
                commit_message=message,
                repo_type=repo_type,
                parent_commit=head.sha,
            ).oid

        size = sum(content.stat().st_size if isinstance(content, Path) else len(content) for content in files.values())
        say(f"Publishing {len(files)} files ({spoken_size(size)}) as {repo_id} ...")
        oid = ask(commit)
    except BaseException as error:
        if created:
            _tidy_up(api, repo_id, repo_type, head and head.sha, hashes, say)
        if not isinstance(error, Exception):
            raise
        raise explain(error, repo_id, doing, repo_type=repo_type, writing=True) from error
    try:
        now = ask(lambda: api.repo_info(repo_id, repo_type=repo_type, revision=oid, files_metadata=True))
    except Exception as error:
        say(f"The commit went through. {explain(error, repo_id, 'checking it', repo_type=repo_type)}")
        now = None
    if now and (differences := _differences(now, hashes)):
        raise UserError(
            f"The Hub took the commit {oid[:12]} of {repo_id}, but does not hold what was sent: "
            f"{', '.join(differences)}. Run the same command again."
        )
    if stale:
        say(f"Removed from {repo_id} what belonged to an earlier version: {', '.join(stale)}.")
    prefix = constants.REPO_TYPES_URL_PREFIXES.get(repo_type, "")
    return Published(str(RepoUrl(f"{api.endpoint}/{prefix}{repo_id}", endpoint=api.endpoint)), repo_id, oid)


def _create(
    api: HfApi,
    repo_id: str,
    repo_type: str,
    private: bool,
    variables: Mapping[str, str] | None,
    ask: Callable[[Callable[[], Any]], Any],
) -> bool:
    """Makes the repository; False when it turns out to be there already."""
    space: dict[str, Any] = {}
    if repo_type == "space":
        space["space_sdk"] = "gradio"
        space["space_variables"] = [{"key": key, "value": value} for key, value in (variables or {}).items()]
    try:
        # `private=None` leaves an organisation's own default in force; False would override it.
        ask(lambda: api.create_repo(repo_id, repo_type=repo_type, private=private or None, **space))
    except HfHubHTTPError as error:
        if error.response.status_code == 409:
            return False
        raise
    return True


def _tidy_up(
    api: HfApi,
    repo_id: str,
    repo_type: str,
    first: str | None,
    hashes: Mapping[str, tuple[str, str]],
    say: Say,
) -> None:
    """Removes a repository that this process made and that nobody has committed to since its `first` commit."""
    try:
        with time_limit(20.0):
            info = api.repo_info(repo_id, repo_type=repo_type, files_metadata=True)
            held = {sibling.rfilename for sibling in info.siblings or []}
            if (first is None or info.sha == first) and held <= {".gitattributes", "README.md"}:
                api.delete_repo(repo_id, repo_type=repo_type)
                say(f"Removed the empty repository {repo_id} that was made for this.")
            elif not _differences(info, hashes):
                say(f"The commit reached {repo_id} all the same; only the Hub's answer did not come back.")
    except Exception as error:
        say(redact(f"{repo_id} was made for this and is still empty: removing it failed ({brief(error)})."))


def _hashes(content: Path | bytes) -> tuple[str, str]:
    """(sha256 of the content, as LFS names it; sha1 of the git blob)."""
    size = content.stat().st_size if isinstance(content, Path) else len(content)
    sha256, blob = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % size)
    if isinstance(content, Path):
        with content.open("rb") as file:
            while block := file.read(1 << 20):
                sha256.update(block)
                blob.update(block)
    else:
        sha256.update(content)
        blob.update(content)
    return sha256.hexdigest(), blob.hexdigest()


def _differences(info: Any, hashes: Mapping[str, tuple[str, str]]) -> list[str]:
    """Paths whose content in the repository is absent or another than ours."""
    there = {sibling.rfilename: sibling for sibling in info.siblings or []}
    return [
        path
        for path, (sha256, blob) in hashes.items()
        if path not in there or (there[path].lfs.sha256 != sha256 if there[path].lfs else there[path].blob_id != blob)
    ]


def refuse_secrets(files: Mapping[str, Path | bytes], api: HfApi) -> None:
    """Raises UserError where a file that is about to be published holds the token in use, or one like it."""
    tokens = [value.encode() for value in (api.token, get_token()) if isinstance(value, str) and value]
    for path, content in files.items():
        if path.endswith(".safetensors"):
            continue  # a header of shapes and numbers
        data = content.read_bytes() if isinstance(content, Path) else content
        if TOKEN.search(data) or any(token in data for token in tokens):
            raise UserError(f"{path} holds an access token, so it is not published. Take the token out of it.")
