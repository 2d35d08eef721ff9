"""How long a call to the Hub is tried.

`huggingface_hub` 2.4 retries some of its calls itself (preupload, LFS, download) and others not at all (whoami,
repository info, create_repo, card validation, commit), and none of them has a time limit: `retry` goes round all.
What the client itself waits inside a call (a long Retry-After for an upload) cannot be cut short from outside.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
from huggingface_hub import get_session
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

from trainer.errors import UserError
from trainer.hub.explain import HubError, brief, causes, redact, retry_after

Say = Callable[[str], None]


def aloud(text: str) -> None:
    """Prints at once, also into a pipe: a wait should be explained while it lasts."""
    print(text, flush=True)


@dataclass(frozen=True)
class Patience:
    """How long a call to the Hub is tried.

    Attributes:
        total: seconds from the first try after which no further one is started; 0 is a single try, and no word of it.
        first_wait: seconds before the second try; each wait is twice the one before it.
        longest_wait: seconds that a wait of ours may grow to. A wait that the Hub asks for (Retry-After) is
            kept in full, however long, as long as it ends before `total`.
        silence: seconds without a byte after which a connection counts as broken (the client has no limit).
    """

    total: float = 600.0
    first_wait: float = 1.0
    longest_wait: float = 30.0
    silence: float = 120.0


def retry(
    call: Callable[[], Any],
    doing: str,
    *,
    patience: Patience | None = None,
    say: Say = aloud,
    waiting: Callable[[float], None] | None = None,
) -> Any:
    """What `call` returns, tried again while its error is one that time heals.

    Those are 408, 429 and 5xx, broken or silent connections, and answers that are not JSON. Every wait is told
    to `say` in a sentence and to `waiting` in seconds. The last error is raised as it is.
    """
    patience = patience or Patience()
    start = time.monotonic()
    own_wait, tries = patience.first_wait, 0
    while True:
        tries += 1
        try:
            with time_limit(patience.silence):
                return call()
        except Exception as error:
            cause = _transient(error)
            if cause is None:
                raise
            asked = retry_after(cause) if isinstance(cause, HfHubHTTPError) else None
            wait = own_wait if asked is None else asked
            left = patience.total - (time.monotonic() - start)
            if wait > left:
                if patience.total:
                    say(f"Giving up: the next try would be in {wait:.0f} s, past the limit of {patience.total:.0f} s.")
                raise
            status = f"{cause.response.status_code}" if isinstance(cause, HfHubHTTPError) else brief(cause)
            say(
                redact(
                    f"The Hub: {status} while {doing}; try {tries + 1} in {wait:.0f} s "
                    f"(giving up after {patience.total:.0f} s in all)."
                )
            )
            if waiting:
                waiting(wait)
            time.sleep(wait)
            own_wait = min(own_wait * 2, patience.longest_wait)


def _transient(error: BaseException) -> BaseException | None:
    """The cause that another try may not meet, or None where trying again is useless."""
    for cause in causes(error):
        if isinstance(cause, HubError):
            continue  # it explains the next one
        if isinstance(cause, (UserError, OfflineModeIsEnabled, httpx2.LocalProtocolError)):
            return None
        if isinstance(cause, HfHubHTTPError) and cause.response is not None:
            status = cause.response.status_code
            return cause if status in (408, 429) or status >= 500 else None
        if isinstance(cause, (httpx2.TransportError, json.JSONDecodeError, ConnectionError)):
            return cause
    return None


@contextmanager
def time_limit(silence: float) -> Iterator[None]:
    """Gives the client's session a limit on silence, which it lacks, for as long as the block runs."""
    session = get_session()
    before = session.timeout
    session.timeout = httpx2.Timeout(silence, connect=min(silence, 20.0))
    try:
        yield
    finally:
        session.timeout = before
