"""What went wrong between us and the Hub, in a sentence that says what to do."""

import errno
import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx2
from huggingface_hub import constants
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

from trainer.errors import UserError

NEW_TOKEN = (
    "Make a token with write access in the settings of your account on the Hub, "
    "then run `hf auth login` or set HF_TOKEN"
)

KIND = {"model": "model", "dataset": "data set", "space": "Space"}


class HubError(UserError):
    """A call to the Hub that did not work, in a sentence; the client's error is its `__cause__`."""


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
    sentence = _sentence(error, f"{KIND[repo_type]} {repo_id}", writing)
    return HubError(redact(f"{doing[:1].upper()}{doing[1:]} did not work: {sentence}"))


def _sentence(error: BaseException, what: str, writing: bool) -> str:
    chain = list(causes(error))
    for cause in chain:
        if isinstance(cause, OfflineModeIsEnabled):
            return "HF_HUB_OFFLINE is set, so nothing is asked of the Hub. Unset it and try again."
        if isinstance(cause, HfHubHTTPError) and cause.response is not None:
            return _status_sentence(cause, what, writing)
        if isinstance(cause, OSError) and cause.errno == errno.ENOSPC:
            return "the disk is full. Free some space (the Hub's cache is at HF_HOME) and try again."
        if isinstance(cause, ValueError) and "Invalid metadata in README.md" in str(cause):
            return f"the Hub does not accept the head of README.md: {brief(cause)}"
        if isinstance(cause, (UnicodeEncodeError, httpx2.LocalProtocolError)):  # no header can hold the token
            return f"{_whose_token()} holds a character that no token has: it was not copied right. {NEW_TOKEN}."
        if isinstance(cause, httpx2.InvalidURL):
            return (
                f"an address of the environment can't be read ({brief(cause)}): look at HF_ENDPOINT, HTTPS_PROXY, "
                "HTTP_PROXY, ALL_PROXY and NO_PROXY. In the last, ::1 stands without brackets."
            )
    for cause in chain:
        if isinstance(cause, (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError)):
            return f"the Hub cannot be reached ({brief(cause)}). Is there a network? Try again when there is."
        if isinstance(cause, httpx2.TimeoutException):
            return f"the Hub did not answer in time ({type(cause).__name__}). Try again later."
        if isinstance(cause, httpx2.TransportError):
            return f"the connection broke ({brief(cause)}). Try again: what came through is not sent twice."
        if isinstance(cause, json.JSONDecodeError):
            return "the Hub's answer is no JSON, as when a proxy answers in its place. Try again later."
        if "Consistency check failed" in str(cause):
            return "a file arrived cut short. Try again: the part that is there is kept and the rest is fetched."
    cause = chain[0]
    if isinstance(cause, LocalEntryNotFoundError):
        return "the files are not in the local cache and the Hub cannot be asked for them. Is there a network?"
    if isinstance(cause, EntryNotFoundError):
        return f"{what} lacks a file that is needed: {brief(cause)}"
    if isinstance(cause, HFValidationError):
        return f"{brief(cause)} A name on the Hub looks like user/name: letters, digits, '-', '_' and '.'."
    return f"{brief(cause)} ({type(cause).__name__})"


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


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error, what caused it, what caused that, and so on."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def brief(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _whose_token() -> str:
    if os.environ.get("HF_TOKEN"):
        return "the token in HF_TOKEN"
    return "the token of the saved login" if Path(constants.HF_TOKEN_PATH).is_file() else "a request without a token"


# A user token of the Hub: "hf_" and 34 letters and digits.
TOKEN = re.compile(rb"\bhf_[A-Za-z0-9]{30,}\b")


def redact(text: str) -> str:
    """`text` without any token: neither the one in use nor anything of a token's form."""
    token = os.environ.get("HF_TOKEN", "").strip()
    if token:
        text = text.replace(token, "hf_…")
    return TOKEN.sub(b"hf_\xe2\x80\xa6", text.encode("utf-8", "replace")).decode("utf-8")


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
