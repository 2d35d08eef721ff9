"""The demo as people start it: `python app.py` in a process of its own, offline, with a small random model."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.tiny import save_tiny_t5

ROOT = Path(__file__).resolve().parents[1]


@dataclass
class Server:
    """A running demo: where it listens, its log, and what its start took."""

    url: str
    log: Path
    process: subprocess.Popen
    first_page: float  # seconds of processor time until the first page came

    def text(self) -> str:
        return self.log.read_text("utf-8")


@contextmanager
def running_app(
    *arguments: str, log: Path, env: dict[str, str] | None = None, app: Path = ROOT / "app.py"
) -> Iterator[Server]:
    """Starts `python app.py` on a free port and waits for its first page."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/"
    command = [sys.executable, str(app), "--port", str(port), *arguments]
    with log.open("w") as output:
        # From another folder: where the demo is started from must not matter.
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=env or offline(log.parent), cwd=log.parent
        )
        try:
            first_page = _first_page(url, process, log)
            yield Server(url, log, process, first_page)
        finally:
            process.terminate()
            process.wait(30)


def offline(home: Path) -> dict[str, str]:
    """An environment in which the Hub cannot be reached (nothing listens on port 1) and the cache is empty."""
    env = {name: value for name, value in os.environ.items() if not re.match(r"HF_|GRADIO_|MODEL_ID$", name)}
    return env | {"HF_ENDPOINT": "http://127.0.0.1:1", "HF_HOME": str(home / "hub"), "NO_PROXY": "127.0.0.1"}


def _first_page(url: str, process: subprocess.Popen, log: Path) -> float:
    end = time.monotonic() + 300  # other tests may share the processors
    while time.monotonic() < end:
        if process.poll() is not None:
            pytest.fail(f"app.py ended with {process.returncode}:\n{log.read_text('utf-8')}")
        try:
            if "gradio" in httpx.get(url, timeout=30, trust_env=False).text:
                return processor_seconds(process.pid)
        except httpx.TransportError:
            time.sleep(0.05)
    pytest.fail(f"no page within five minutes:\n{log.read_text('utf-8')}")


def processor_seconds(pid: int) -> float:
    # The name of the program, in brackets, may hold spaces: count the fields after it.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.fixture(scope="session")
def demo(tmp_path_factory) -> Iterator[Server]:
    """One server for all tests of the page and of the HTTP interface; a small random T5 answers."""
    folder = tmp_path_factory.mktemp("demo")
    model = save_tiny_t5(folder / "tiny-t5", seed=5)
    with running_app("--model", str(model), log=folder / "app.log") as server:
        yield server
