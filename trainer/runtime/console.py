"""Standard output and errors that can't stop the work: a console that lacks a character, a pipe that nobody reads."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any


class Steady:
    """A text stream whose `write` and `flush` never raise.

    A character that the stream can't encode becomes "?". What can't be written at all, to a pipe whose reader has gone,
    a terminal that was closed or a full disk, is dropped.
    """

    def __init__(self, stream: Any):
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):  # ValueError: the stream was closed
            try:
                self._stream.write(text)
            except UnicodeEncodeError as error:
                self._stream.write(text.encode(error.encoding, "replace").decode(error.encoding))
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def steady_output() -> Iterator[None]:
    """Makes `sys.stdout` and `sys.stderr` such streams within the block (or the function that it decorates)."""
    streams = sys.stdout, sys.stderr
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123 (a device; None is a stream that was closed from the start)
        sys.stdout, sys.stderr = (Steady(stream or nowhere) for stream in streams)
        try:
            yield
        finally:
            sys.stdout, sys.stderr = streams
            for stream in streams:
                _let_go(stream)


def _let_go(stream: Any) -> None:
    """Where the stream can't be written to any more, what it still holds goes nowhere, or Python would end with 120."""
    try:
        if stream is not None:
            stream.flush()
    except ValueError:
        pass
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
