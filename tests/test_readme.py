"""README's commands run as typed, those that need no Hub and no GPU; and every file that it names is there."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
TYPED = [line for block in BLOCKS for line in block.splitlines()] + re.findall(r"`(\.venv/bin/python [^`]+)`", README)
# What opens a page, publishes, or is this suite: their own tests run them (test_app, test_end_to_end, .ci/run).
ELSEWHERE = ("app.py", "--push", "hf auth", "tests/run.sh", "space.deploy")
OFFLINE = [command for command in TYPED if not any(word in command for word in ELSEWHERE)]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A copy of the tracked files with this environment in it: runs/ stays clean, and nothing untracked helps."""
    folder = tmp_path_factory.mktemp("checkout")
    tracked = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    for name in tracked.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return folder


def test_the_first_screen_has_a_picture_and_the_two_commands():
    head = README.split("\n## ")[0]
    assert "![" in head and len(re.findall(r"```bash\n", head)) == 2
    assert (ROOT / ".ci" / "run").read_text("utf-8").splitlines()[-1].endswith('tests/run.sh"')


def test_there_are_commands_to_run():
    assert len(OFFLINE) >= 3 and any("trainer/train.py" in command for command in OFFLINE)


@pytest.mark.parametrize("command", OFFLINE)
def test_a_command_runs_as_typed(checkout, command):
    run = subprocess.run(["bash", "-c", command], cwd=checkout, capture_output=True, text=True, timeout=400)
    assert run.returncode == 0, run.stderr[-2000:]


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(((?!http)[^)#]+)\)", README))))
def test_what_it_links_to_is_there(target):
    assert (ROOT / target).exists()


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`((?:trainer|space|tests)/[\w./-]+)`", README))))
def test_what_it_names_is_there(name):
    assert (ROOT / name).exists()
