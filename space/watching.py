"""A computation beside a visitor's request: how far it is, what is before it in the line, and how it is stopped."""

import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from typing import TYPE_CHECKING, TypeVar

from space.turns import Waiting

if TYPE_CHECKING:  # torch comes with it: the page opens first
    from space.engine import Progress

T = TypeVar("T")
# Seconds between two looks at how far it is.
LOOKING = 0.4


class _Stopped(Exception):
    """Nobody waits for this any more."""


def watched(doing: str, ask: Callable[["Progress", Waiting], T]) -> Generator[str, None, T]:
    """Yields a sentence as often as there is news, and returns what `ask` gives.

    The work is done in a thread of its own: when this generator is closed, because the visitor stops or leaves, it ends
    with the step that it is in, or leaves the line.

    Args:
        doing: what the visitor is told, without a full stop.
        ask: takes two functions that the engine calls: with steps done and steps in all (None where that is not known),
            and with the number of requests that are before this one.
    """
    news = {"now": doing}
    stop = threading.Event()

    def progress(done: int, total: int | None) -> None:
        if stop.is_set():
            raise _Stopped
        news["now"] = f"{doing}: step {done:,}" + (f" of {total:,}" if total else "")

    def waiting(before: int) -> None:
        if stop.is_set():
            raise _Stopped
        if before:
            news["now"] = f"Waiting: {before:,} request{' is' if before == 1 else 's are'} before yours"

    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="watched")
    shown = doing
    try:
        work = pool.submit(ask, progress, waiting)
        while True:
            try:
                return work.result(timeout=LOOKING)
            except NotYet:
                if work.done():  # what was computed raised this itself
                    raise
                if news["now"] != shown:
                    shown = news["now"]
                    yield shown
    finally:
        stop.set()
        pool.shutdown(wait=False)
