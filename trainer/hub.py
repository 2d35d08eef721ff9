"""What every conversation with the Hub shares: sentences for errors, patience, rights, and one atomic commit.

`huggingface_hub` 2.4 retries some of its calls itself (preupload, LFS, download) and others not at all (whoami,
repository info, create_repo, card validation, commit), and none of them has a time limit: `retry` goes round all.
What the client itself waits inside a call (a long Retry-After for an upload) cannot be cut short from outside.
"""

import errno
import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    RepoUrl,
    constants,
    get_session,
    get_token,
)
from huggingface_hub.errors import (
    DisabledRepoError,
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import validate_repo_id

from trainer.errors import UserError

Say = Callable[[str], None]


def aloud(text: str) -> None:
    """Prints at once, also into a pipe: a wait should be explained while it lasts."""
    print(text, flush=True)


NEW_TOKEN = (
    "Make a token with write access in the settings of your account on the Hub, "
    "then run `hf auth login` or set HF_TOKEN"
)
_KIND = {"model": "model", "dataset": "data set", "space": "Space"}


# --- Sentences -----------------------------------------------------------------------------------------------


def explain(
    error: BaseException, repo_id: str, doing: str, *, repo_type: str = "model", writing: bool = False
) -> UserError:
    """The error that a Hub call ended with, as a sentence that says what to do.

    `doing` is what was tried ("publishing ada/t5", "fetching ada/t5"); `writing` tells a refusal to write from
    a refusal to read. Libraries wrap the client's errors in their own, so the whole chain of causes is
    searched. A `UserError` comes back as it is. No token is ever part of the message.
    """
    if isinstance(error, UserError):
        return error
    sentence = _sentence(error, f"{_KIND[repo_type]} {repo_id}", writing)
    return UserError(redact(f"{doing[:1].upper()}{doing[1:]} did not work: {sentence}"))


def _sentence(error: BaseException, what: str, writing: bool) -> str:
    chain = list(_causes(error))
    for cause in chain:
        if isinstance(cause, OfflineModeIsEnabled):
            return "HF_HUB_OFFLINE is set, so nothing is asked of the Hub. Unset it and try again."
        if isinstance(cause, HfHubHTTPError) and cause.response is not None:
            return _status_sentence(cause, what, writing)
        if isinstance(cause, OSError) and cause.errno == errno.ENOSPC:
            return "the disk is full. Free some space (the Hub's cache is at HF_HOME) and try again."
        if isinstance(cause, ValueError) and "Invalid metadata in README.md" in str(cause):
            return f"the Hub does not accept the head of README.md: {_brief(cause)}"
    for cause in chain:
        if isinstance(cause, (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError)):
            return f"the Hub cannot be reached ({_brief(cause)}). Is there a network? Try again when there is."
        if isinstance(cause, httpx2.TimeoutException):
            return f"the Hub did not answer in time ({type(cause).__name__}). Try again later."
        if isinstance(cause, httpx2.TransportError):
            return f"the connection broke ({_brief(cause)}). Try again: what came through is not sent twice."
        if isinstance(cause, json.JSONDecodeError):
            return "the Hub's answer is no JSON, as when a proxy answers in its place. Try again later."
        if "Consistency check failed" in str(cause):
            return "a file arrived cut short. Try again: the part that is there is kept and the rest is fetched."
    cause = chain[0]
    if isinstance(cause, LocalEntryNotFoundError):
        return "the files are not in the local cache and the Hub cannot be asked for them. Is there a network?"
    if isinstance(cause, EntryNotFoundError):
        return f"{what} lacks a file that is needed: {_brief(cause)}"
    if isinstance(cause, HFValidationError):
        return f"{_brief(cause)} A name on the Hub looks like user/name: letters, digits, '-', '_' and '.'."
    return f"{_brief(cause)} ({type(cause).__name__})"


def _status_sentence(error: HfHubHTTPError, what: str, writing: bool) -> str:
    status = error.response.status_code
    said = f" The Hub says: {error.server_message.strip()}" if error.server_message else ""
    code = error.response.headers.get("X-Error-Code")
    if isinstance(error, GatedRepoError):
        return f"{what} is gated ({status}). Ask for access on its page, then log in with `hf auth login`."
    if isinstance(error, DisabledRepoError):
        return f"{what} has been disabled on the Hub ({status})."
    if isinstance(error, RevisionNotFoundError):
        return f"{what} exists, but not in the revision asked for (404). Check the branch, tag or commit."
    if isinstance(error, EntryNotFoundError):
        return f"{what} lacks a file that is needed (404): {error.response.url.path.rsplit('/', 1)[-1]}."
    if isinstance(error, RepositoryNotFoundError) or code == "RepoNotFound" or (status == 404 and not said):
        return (
            f"there is no {what} on the Hub, or it is private and {_whose_token()} may not see it "
            f"({status}). Check the name; for a private one run `hf auth login` with a token that may read it."
        )
    if status == 401:
        token = _whose_token()
        return f"the Hub does not accept {token} (401): it may be mistyped, revoked or too old. {NEW_TOKEN}."
    if status == 403 and writing:
        return f"{_whose_token()} may not write to {what} (403).{said} {NEW_TOKEN}, or publish under another name."
    if status == 403:
        return f"{_whose_token()} may not read {what} (403).{said}"
    if status == 402:
        return f"the Hub asks for a paid plan (402).{said}"
    if status == 404:
        return f"the Hub does not find it (404).{said}"
    if status == 409:
        return (
            f"another change to {what} is under way, or the name is already taken (409).{said} "
            "Wait a minute and run the same command again."
        )
    if status == 412:
        return (
            f"{what} was changed by somebody else in the meantime (412), so nothing was published over it. "
            "Look at that change, then run the same command again."
        )
    if status == 413:
        return f"the Hub refuses this much data (413).{said}"
    if status == 429:
        wait = retry_after(error)
        when = f"in {wait:.0f} s" if wait else "later"
        return f"too many requests for now (429). Run the same command again {when}."
    if status >= 500:
        return f"the Hub has trouble of its own ({status}). Run the same command again later."
    return f"the Hub refused ({status}).{said}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, what caused it, what caused that, and so on."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def _brief(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _whose_token() -> str:
    if os.environ.get("HF_TOKEN"):
        return "the token in HF_TOKEN"
    return "the token of the saved login" if Path(constants.HF_TOKEN_PATH).is_file() else "a request without a token"


# A user token of the Hub: "hf_" and 34 letters and digits.
_TOKEN = re.compile(rb"\bhf_[A-Za-z0-9]{30,}\b")


def redact(text: str) -> str:
    """`text` without any token: neither the one in use nor anything of a token's form."""
    token = os.environ.get("HF_TOKEN", "").strip()
    if token:
        text = text.replace(token, "hf_…")
    return _TOKEN.sub(b"hf_\xe2\x80\xa6", text.encode("utf-8", "replace")).decode("utf-8")


# --- Patience ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Patience:
    """How long a call to the Hub is tried.

    Attributes:
        total: seconds from the first try after which no further one is started.
        first_wait: seconds before the second try; each wait is twice the one before it.
        longest_wait: seconds that a wait of ours may grow to. A wait that the Hub asks for (Retry-After) is
            kept in full, however long, as long as it ends before `total`.
        silence: seconds without a byte after which a connection counts as broken (the client has no limit).
    """

    total: float = 600.0
    first_wait: float = 1.0
    longest_wait: float = 30.0
    silence: float = 120.0


def retry(call: Callable[[], Any], doing: str, *, patience: Patience | None = None, say: Say = aloud) -> Any:
    """What `call` returns, tried again while its error is one that time heals.

    Those are 408, 429 and 5xx, broken or silent connections, and answers that are not JSON. Every wait is told
    to `say`. The last error is raised as it is.
    """
    patience = patience or Patience()
    start = time.monotonic()
    own_wait, tries = patience.first_wait, 0
    while True:
        tries += 1
        try:
            with _time_limit(patience.silence):
                return call()
        except Exception as error:
            cause = _transient(error)
            if cause is None:
                raise
            asked = retry_after(cause) if isinstance(cause, HfHubHTTPError) else None
            wait = own_wait if asked is None else asked
            left = patience.total - (time.monotonic() - start)
            if wait > left:
                say(f"Giving up: the next try would be in {wait:.0f} s, past the limit of {patience.total:.0f} s.")
                raise
            status = f"{cause.response.status_code}" if isinstance(cause, HfHubHTTPError) else _brief(cause)
            say(
                redact(
                    f"The Hub: {status} while {doing}; try {tries + 1} in {wait:.0f} s "
                    f"(giving up after {patience.total:.0f} s in all)."
                )
            )
            time.sleep(wait)
            own_wait = min(own_wait * 2, patience.longest_wait)


def _transient(error: BaseException) -> BaseException | None:
    """The cause that another try may not meet, or None where trying again is useless."""
    for cause in _causes(error):
        if isinstance(cause, (UserError, OfflineModeIsEnabled)):
            return None
        if isinstance(cause, HfHubHTTPError) and cause.response is not None:
            status = cause.response.status_code
            return cause if status in (408, 429) or status >= 500 else None
        if isinstance(cause, (httpx2.TransportError, json.JSONDecodeError, ConnectionError)):
            return cause
    return None


def retry_after(error: HfHubHTTPError) -> float | None:
    """Seconds that the answer asks to wait (Retry-After in either form, or `ratelimit`), else None."""
    headers = error.response.headers
    value = (headers.get("Retry-After") or "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", value):
        return float(value)
    if value:
        try:
            return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
        except (ValueError, TypeError):
            pass
    # IETF draft: ratelimit: "api";r=0;t=55 = nothing remains, reset in 55 s
    limit = re.search(r"r\s*=\s*0\s*;\s*t\s*=\s*(\d+)", headers.get("ratelimit") or "")
    return float(limit[1]) if limit and error.response.status_code == 429 else None


@contextmanager
def _time_limit(silence: float) -> Iterator[None]:
    """Gives the client's session a limit on silence, which it lacks, for as long as the block runs."""
    session = get_session()
    before = session.timeout
    session.timeout = httpx2.Timeout(silence, connect=min(silence, 20.0))
    try:
        yield
    finally:
        session.timeout = before


# --- Who may write where -------------------------------------------------------------------------------------


def sign_in(api: HfApi, doing: str, *, patience: Patience | None = None, say: Say = aloud) -> dict:
    """What the Hub knows of the token's owner (`whoami`).

    The token is looked up as the client does: HF_TOKEN, then the saved login.

    Raises:
        UserError: there is no token, the Hub does not accept it, or cannot be reached.
    """
    token = None if api.token is False else api.token if isinstance(api.token, str) else get_token()
    if not token:
        raise UserError(f"{doing[:1].upper()}{doing[1:]} needs a token, and there is none. {NEW_TOKEN}.")
    try:
        return retry(lambda: api.whoami(token=token), doing, patience=patience, say=say)
    except Exception as error:
        raise explain(error, "", doing, writing=True) from error


def full_name(name: str, who: Mapping, option: str) -> str:
    """`name` as user/name: the token's own name is put before a bare one.

    Raises:
        UserError: `name`, which came from the command line's `option`, cannot be a repository's name.
    """
    repo_id = name if "/" in name else f"{who['name']}/{name}"
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise UserError(
            f"{option} {name!r} is no name for a repository on the Hub. Right would be user/name or just name, "
            "of letters, digits, '-', '_' and '.' (no '--' or '..', at most 96 characters), such as "
            f"{who['name']}/my-summarizer."
        ) from error
    return repo_id


def check_right(
    api: HfApi,
    who: Mapping,
    repo_id: str,
    option: str,
    *,
    repo_type: str = "model",
    private: bool = False,
    patience: Patience | None = None,
    say: Say = aloud,
) -> bool:
    """Makes sure, without a trace on the Hub, that the token may publish as `repo_id`; True if that exists.

    An existing repository is asked (`auth-check/write`); for a new one the answer is in `whoami`: the owner's
    name and organisations, the roles there, and the scopes of the token. What nobody can know beforehand:
    quotas, a plan that has to be paid for, an organisation's own rules, and a token revoked or a name taken in
    the meantime.

    Raises:
        UserError: the token may not write there, or `private` is asked of a repository that is public.
    """
    doing = f"asking the Hub about {repo_id}"
    token_lacks = _token_lacks(who, repo_id, repo_type)
    if token_lacks:
        raise UserError(f"{token_lacks} {NEW_TOKEN}.")
    try:
        info = retry(lambda: api.repo_info(repo_id, repo_type=repo_type), doing, patience=patience, say=say)
    except RepositoryNotFoundError:
        info = None
    except Exception as error:
        raise explain(error, repo_id, doing, repo_type=repo_type) from error
    name_lacks = _name_lacks(who, repo_id, option)
    if info is None:
        if name_lacks:
            raise UserError(name_lacks)
        return False
    try:
        retry(
            lambda: api.auth_check(repo_id, repo_type=repo_type, write=True),
            doing,
            patience=patience,
            say=say,
        )
    except HfHubHTTPError as error:
        if error.response.status_code in (401, 403):
            raise explain(error, repo_id, doing, repo_type=repo_type, writing=True) from error
        # A Hub that does not know this question (404): then whoami has to be enough.
        if name_lacks:
            raise UserError(name_lacks) from error
    except Exception as error:
        raise explain(error, repo_id, doing, repo_type=repo_type, writing=True) from error
    if private and info.private is False:
        raise UserError(
            f"--private was asked for, but the {_KIND[repo_type]} {repo_id} exists and is public. Make it "
            f"private in its settings, choose another {option}, or leave --private out."
        )
    return True


def _token_lacks(who: Mapping, repo_id: str, repo_type: str) -> str | None:
    """Why this kind of token cannot write to `repo_id`, or None: an answer without the fields forbids nothing."""
    access = (who.get("auth") or {}).get("accessToken") or {}
    name = f"The token {access.get('displayName')!r} of {who['name']}"
    if access.get("role") == "read":
        return f"{name} may only read, so it cannot publish {repo_id}."
    if access.get("role") != "fineGrained" or not access.get("fineGrained"):
        return None
    namespace = repo_id.split("/")[0].lower()
    for scope in access["fineGrained"].get("scoped") or []:
        entity, may = scope.get("entity") or {}, scope.get("permissions") or []
        if not any(permission.startswith("repo.") and permission.endswith("write") for permission in may):
            continue
        target = str(entity.get("name", "")).lower()
        if entity.get("type") in ("user", "org") and target == namespace:
            return None
        if entity.get("type") == repo_type and target == repo_id.lower():
            return None
    return f"{name} is fine-grained, and none of its scopes lets it write to the repositories of {namespace}."


def _name_lacks(who: Mapping, repo_id: str, option: str) -> str | None:
    """Why the token's owner cannot write under the namespace of `repo_id`, or None."""
    namespace, name = repo_id.split("/")
    roles = {str(org.get("name")).lower(): org.get("roleInOrg") for org in who.get("orgs") or []}
    if namespace.lower() == who["name"].lower():
        return None
    if namespace.lower() not in roles:
        member = f", a member of {', '.join(sorted(roles))}" if roles else ""
        return (
            f"The token belongs to {who['name']}{member}; it may not publish under {namespace!r}. "
            f"Use {option} {who['name']}/{name}, or a token of {namespace}."
        )
    if roles[namespace.lower()] == "read":
        return (
            f"{who['name']} may only read in the organisation {namespace}. Ask its admins for the role "
            f"'contributor' or 'write', or use {option} {who['name']}/{name}."
        )
    return None


# --- One commit ----------------------------------------------------------------------------------------------


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
        say(f"Publishing {len(files)} files ({size / 1e6:.1f} MB) as {repo_id} ...")
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
        with _time_limit(20.0):
            info = api.repo_info(repo_id, repo_type=repo_type, files_metadata=True)
            held = {sibling.rfilename for sibling in info.siblings or []}
            if (first is None or info.sha == first) and held <= {".gitattributes", "README.md"}:
                api.delete_repo(repo_id, repo_type=repo_type)
                say(f"Removed the empty repository {repo_id} that was made for this.")
            elif not _differences(info, hashes):
                say(f"The commit reached {repo_id} all the same; only the Hub's answer did not come back.")
    except Exception as error:
        say(redact(f"{repo_id} was made for this and is still empty: removing it failed ({_brief(error)})."))


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
        if _TOKEN.search(data) or any(token in data for token in tokens):
            raise UserError(f"{path} holds an access token, so it is not published. Take the token out of it.")
