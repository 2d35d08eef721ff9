"""Memory that a server of many threads keeps."""

import ctypes
from contextlib import suppress

ARENAS = 2
_M_ARENA_MAX = -8  # glibc's malloc.h


def few_arenas() -> None:
    """Has all threads share two pools of memory; to be called before threads begin. Without glibc nothing happens.

    By itself glibc opens up to eight for each processor and keeps in each what was once freed there, so that a server's
    memory grows for minutes under load.
    """
    with suppress(OSError, AttributeError, TypeError):  # no glibc
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, ARENAS)
