"""Nothing printed may stop the work: consoles without a character, pipes without a reader, streams that are closed."""

import io
import os
import subprocess
import sys

import pytest

from trainer.runtime.console import Steady, steady_output
from trainer.settings.base import ROOT

WORK = """
import sys
from pathlib import Path
from tqdm.auto import tqdm
from trainer.runtime.console import steady_output

@steady_output()
def main():
    for stream in (sys.stdout, sys.stderr):
        print("a ─ b " + 70_000 * "x", file=stream, flush=True)
    tqdm.write("─")
    print(sys.stderr.isatty())
    Path(sys.argv[1]).write_text("done")
    return 3

sys.exit(main())
"""


def work(tmp_path, **streams) -> str:
    """What became of work that prints; its exit status is its own, not that of a failed print."""
    process = subprocess.run([sys.executable, "-c", WORK, str(tmp_path / "file")], cwd=ROOT, timeout=60, **streams)
    assert process.returncode == 3
    return (tmp_path / "file").read_text()


def unread_pipe() -> int:
    """The end for writing of a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def test_a_console_without_the_character(tmp_path):
    printed = tmp_path / "printed"
    with printed.open("wb") as file:
        assert work(tmp_path, stdout=file, env={**os.environ, "PYTHONIOENCODING": "cp1252"}) == "done"
    assert printed.read_bytes().startswith(b"a ? b xxx")


def test_a_pipe_without_a_reader(tmp_path):
    pipe = unread_pipe()
    assert work(tmp_path, stdout=pipe, stderr=pipe) == "done"
    os.close(pipe)


def test_streams_closed_from_the_start(tmp_path):
    def close() -> None:
        os.close(1)
        os.close(2)

    assert work(tmp_path, preexec_fn=close) == "done"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")  # noqa: PTH110
def test_a_full_disk(tmp_path):
    with open("/dev/full", "w") as full:  # noqa: PTH123
        assert work(tmp_path, stdout=full, stderr=full) == "done"


def test_the_streams_come_back():
    before = sys.stdout, sys.stderr
    with pytest.raises(KeyError), steady_output():
        assert isinstance(sys.stdout, Steady) and sys.stdout.encoding == before[0].encoding
        raise KeyError
    assert (sys.stdout, sys.stderr) == before


def test_what_can_be_printed_is_printed():
    stream = io.TextIOWrapper(io.BytesIO(), "ascii")
    steady = Steady(stream)
    print("Zürich ─", file=steady, flush=True)
    assert stream.buffer.getvalue() == b"Z?rich ?\n"
    stream.close()
    print("lost", file=steady, flush=True)


@pytest.mark.parametrize(
    ("command", "argv"),
    [
        ("train", ["--recipe", "smoke", "--output_dir", "/dev/null"]),
        ("eval", ["--systems", "lead-1", "--metrics", "nothing"]),
        ("pretrain", ["--recipe", "base", "--text_dir", "nowhere", "--output_dir", "run"]),
    ],
)
def test_the_command_lines_print_so(tmp_path, command, argv):
    """What is wrong in the asking ends with 2 also where the sentence reaches nobody."""
    pipe = unread_pipe()
    argv = [sys.executable, str(ROOT / "trainer" / f"{command}.py"), *argv]
    done = subprocess.run(argv, cwd=tmp_path, stdout=pipe, stderr=pipe, timeout=120)
    os.close(pipe)
    assert done.returncode == 2
