"""What torchrun sets is believed when it is whole; what is left over of it is named in one sentence."""

import os
import subprocess
import sys

import pytest

from tests.tiny import SMOKE
from trainer.errors import UserError
from trainer.runtime.launch import NAMES, launched, speaking_rank
from trainer.settings.base import ROOT

WHOLE = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}


@pytest.fixture
def set_all(monkeypatch):
    def set_all(values: dict[str, str]) -> None:
        for name in NAMES:
            monkeypatch.delenv(name, raising=False)
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return set_all


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, (0, 1)),
        (WHOLE, (1, 2)),
        ({"WORLD_SIZE": "1"}, (0, 1)),
        ({"WORLD_SIZE": "", "RANK": "3"}, (0, 1)),
        ({**WHOLE, "WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"}, (0, 1)),
    ],
)
def test_what_a_launcher_says(set_all, values, expected):
    set_all(values)
    assert launched() == expected and speaking_rank() == expected[0]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"WORLD_SIZE": "2"}, "WORLD_SIZE=2 is in .* but not RANK, LOCAL_RANK, MASTER_ADDR, MASTER_PORT: left over"),
        ({"WORLD_SIZE": "2", "RANK": "1"}, "but not LOCAL_RANK, MASTER_ADDR, MASTER_PORT"),
        ({"LOCAL_RANK": "0"}, "LOCAL_RANK=0 is in the environment but not RANK, WORLD_SIZE"),
        ({**WHOLE, "WORLD_SIZE": "two"}, "WORLD_SIZE=two and LOCAL_RANK=1 .* no whole numbers"),
    ],
)
def test_what_is_left_over(set_all, values, said):
    set_all(values)
    with pytest.raises(UserError, match=said):
        launched()
    assert speaking_rank() == 0


@pytest.mark.parametrize("command", ["train", "eval"])
def test_the_command_lines_say_so(tmp_path, command):
    what = ["--recipe", "smoke"] if command == "train" else ["--systems", "lead-1", "--test_file", SMOKE / "test.jsonl"]
    argv = [sys.executable, str(ROOT / "trainer" / f"{command}.py"), *what, "--output_dir", "run"]
    env = {name: value for name, value in os.environ.items() if name not in NAMES}
    env |= {"WORLD_SIZE": "2", "RANK": "1"}
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "WORLD_SIZE=2 is in the environment but not LOCAL_RANK" in done.stderr
    assert not (tmp_path / "run").exists()
