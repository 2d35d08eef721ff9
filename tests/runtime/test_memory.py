"""How many pools of memory glibc opens, as it says itself, in a process of its own."""

import ctypes
import subprocess
import sys

import pytest

from trainer.runtime.memory import ARENAS

COUNT = """
import ctypes, sys, threading
if sys.argv[1] == "few":
    from trainer.runtime.memory import few_arenas
    few_arenas()
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fdopen.restype = ctypes.c_void_p
libc.malloc_info.argtypes = (ctypes.c_int, ctypes.c_void_p)
together = threading.Barrier(12)
def allocate():
    together.wait()
    libc.malloc(100_000)
    together.wait()
threads = [threading.Thread(target=allocate) for _ in range(12)]
for one in threads: one.start()
for one in threads: one.join()
file = libc.fdopen(1, b"w")
libc.malloc_info(0, file)
libc.fflush(ctypes.c_void_p(file))
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="needs glibc")
def test_threads_share_few_arenas():
    def arenas(how: str) -> int:
        done = subprocess.run([sys.executable, "-c", COUNT, how], capture_output=True, text=True, check=True)
        return done.stdout.count("<heap nr=")

    assert arenas("few") <= ARENAS < arenas("usual")
