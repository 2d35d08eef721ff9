"""One run at a time in a folder: train, eval and pretrain; and a killed run keeps nobody out."""

import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from tests.pretraining.recipe import RECIPE, flags
from tests.tiny import SMOKE
from trainer import eval as evaluation
from trainer import pretrain, train
from trainer.errors import UserError
from trainer.runtime.lock import FolderLock
from trainer.settings.base import ROOT

HOLD = """
import sys
from pathlib import Path
from trainer.runtime.lock import FolderLock

with FolderLock() as lock:
    lock.take(Path(sys.argv[1]))
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held_by_another(folder):
    """A process that has the lock; it is killed (SIGKILL) at the end of the block."""
    argv = [sys.executable, "-c", HOLD, str(folder)]
    process = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "held\n"
        yield
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()


def test_another_process_is_kept_out_until_the_first_is_killed(tmp_path):
    said = f"--output_dir is {tmp_path}: another run is at work in it"
    with held_by_another(tmp_path), FolderLock() as lock, pytest.raises(UserError, match=said):
        lock.take(tmp_path)
    assert list(tmp_path.iterdir()) == [], "nothing is left in the folder"
    with FolderLock() as lock:
        lock.take(tmp_path)
        lock.take(tmp_path)  # its own
        with pytest.raises(UserError), FolderLock() as other:
            other.take(tmp_path)
    with FolderLock() as lock:
        lock.take(tmp_path)


def test_a_folder_made_anew_is_locked_anew(tmp_path):
    folder, aside = tmp_path / "run", tmp_path / "run.old-1"
    with FolderLock() as lock:
        lock.take(folder)  # not there yet
        folder.mkdir()
        lock.take(folder)
        folder.rename(aside)
        folder.mkdir()
        lock.take(folder)
        for path in (folder, aside):
            with pytest.raises(UserError), FolderLock() as other:
                other.take(path)


@pytest.mark.parametrize("more", [(), ("--from_start",)])
@pytest.mark.parametrize("command", ["train", "eval"])
def test_two_runs_in_one_folder(tmp_path, capsys, command, more):
    folder = tmp_path / "run"
    folder.mkdir()
    if command == "train":
        main, argv = train.main, ["--recipe", "smoke", "--max_steps", "1"]
    else:
        main, argv = evaluation.main, ["--systems", "lead-1", "--test_file", str(SMOKE / "test.jsonl")]
    with held_by_another(folder):
        assert main([*argv, "--output_dir", str(folder), *more]) == 2
    assert "another run is at work in it" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["run"] and list(folder.iterdir()) == [], "nothing was touched"
    if command == "eval":  # the holder was killed
        assert main([*argv, "--output_dir", str(folder), "--bootstrap_samples", "100"]) == 0


def test_two_pretrainings_in_one_folder(tmp_path, capsys):
    recipe, folder = tmp_path / "tiny.yaml", tmp_path / "run"
    recipe.write_text(RECIPE, "utf-8")
    folder.mkdir()
    with held_by_another(folder):
        assert pretrain.main(flags(recipe, folder, "--max_steps", "1")) == 2
    assert "another run is at work in it" in capsys.readouterr().err and list(folder.iterdir()) == []
