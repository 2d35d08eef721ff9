"""Kill -9 at any moment, the same command again: the same weights, to the bit, as a run that nobody disturbed.

The whole trial, 20 kills of the command line at random moments, takes minutes and is marked slow. With
`RECORD_KILLS=1` it writes trainer/records/kills.json:

    RECORD_KILLS=1 python -m pytest -m slow tests/training/test_resume.py
"""

import json
import multiprocessing
import os
import platform
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from trainer.runtime.environment import git_commit
from trainer.scoring.records import Results
from trainer.settings.base import ROOT
from trainer.train import main
from trainer.training.checkpoints import MANIFEST, TrainingRun, checkpoints, is_whole, step_of

TRAIN = ROOT / "trainer" / "train.py"
RECORD = ROOT / "trainer" / "records" / "kills.json"
# All that could make a resumed run another one: dropout, an order, noise and moves that are drawn, accumulation, a
# schedule, evaluations and checkpoints at steps that are no multiples of one another, an epoch that ends in a smaller
# step.
RUN = ["--recipe", "smoke", "--max_source_length", "64", "--max_target_length", "24", "--max_new_tokens", "12"]
RUN += [
    "--num_train_epochs",
    "3",
    "--train_batch_size",
    "3",
    "--gradient_accumulation_steps",
    "2",
    "--warmup_steps",
    "3",
]
RUN += ["--eval_every", "4", "--save_every", "3", "--label_smoothing", "0.1", "--bootstrap_samples", "100"]
RUN += ["--no_baselines", "--num_beams", "2"]
STEPS = 15
# One process that has loaded torch and forks a new one for each start: a kill is as real, and a start costs no seconds.
FORKING = multiprocessing.get_context("forkserver")
FORKING.set_forkserver_preload(
    ["trainer.training.finish", "trainer.training.fit", "trainer.publishing.publish", "tests.training.test_resume"]
)


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Path:
    """The smoke recipe's model, with dropout."""
    path = tmp_path_factory.mktemp("config") / "dropout.json"
    values = json.loads((ROOT / "trainer" / "recipes" / "smoke" / "config.json").read_text())
    path.write_text(json.dumps(values | {"dropout_rate": 0.1}))
    return path


def _start(argv: list[str]) -> None:
    torch.set_num_threads(1)
    with Path(argv[argv.index("--output_dir") + 1] + ".log").open("a") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        sys.exit(main(argv))


def start(argv: list[str], kill_when: Callable[[], bool] = lambda: False, timeout: float = 120) -> int:
    """Starts the command, kills it at the moment, and returns how it ended: -9 if the kill came first."""
    process = FORKING.Process(target=_start, args=(argv,))
    process.start()
    until = time.monotonic() + timeout
    while process.is_alive() and not kill_when():
        assert time.monotonic() < until, "neither the moment nor the end came"
        time.sleep(0.001)
    process.kill()
    process.join()
    return process.exitcode


KILLED = -signal.SIGKILL


def assert_same_run(one: Path, two: Path) -> None:
    """Equal weights, equal metrics step by step, and the same checkpoint kept."""
    tensors = [load_file(folder / "model" / "model.safetensors") for folder in (one, two)]
    assert tensors[0].keys() == tensors[1].keys()
    for name, tensor in tensors[0].items():
        assert torch.equal(tensor, tensors[1][name]), f"{name} differs"
    last = [load_file(folder / f"checkpoint-{STEPS}" / "model.safetensors") for folder in (one, two)]
    assert all(torch.equal(last[0][name], last[1][name]) for name in last[0])
    logs = [[json.loads(line) for line in (f / "metrics.jsonl").read_text().splitlines()] for f in (one, two)]
    timed = {"time", "epoch", "eval_seconds"}
    logs = [
        [{key: value for key, value in line.items() if key not in timed} for line in log if "train_runtime" not in line]
        for log in logs
    ]
    assert logs[0] == logs[1]
    trained = [TrainingRun(folder).trained for folder in (one, two)]
    for name in ("best_step", "best_value", "steps", "first_loss", "last_loss"):
        assert trained[0][name] == trained[1][name], name
    figures = [Results.load(folder / "model" / "results.json").evaluations[0].metrics for folder in (one, two)]
    assert figures[0] == figures[1]


@pytest.fixture(scope="module", params=["shuffled", "grouped"])
def unbroken(request, config, tmp_path_factory) -> tuple[list[str], Path]:
    """(the command without its folder, the folder of a run that nobody disturbed)."""
    argv = [*RUN, "--from_scratch", str(config)]
    if request.param == "shuffled":
        argv += ["--noise", "typos:0.2,dropped_words:0.2", "--adversarial", "freelb", "--adversarial_steps", "2"]
    else:
        argv += ["--r_drop", "0.5", "--group_by_length", "--optimizer", "adafactor", "--early_stopping_patience", "9"]
    folder = tmp_path_factory.mktemp(request.param) / "unbroken"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    assert main([*argv, "--output_dir", str(folder)]) == 0
    torch.set_num_threads(threads)
    assert TrainingRun(folder).trained["steps"] == STEPS
    return argv, folder


def test_killed_in_an_epoch_in_a_checkpoint_and_while_it_is_scored(unbroken, tmp_path):
    argv, whole = unbroken
    folder = tmp_path / "run"
    argv = [*argv, "--output_dir", str(folder)]
    metrics = folder / "metrics.jsonl"

    def at_step(step: int) -> Callable[[], bool]:
        return lambda: metrics.is_file() and f'"step": {step},' in metrics.read_text()

    def in_checkpoint(step: int) -> Callable[[], bool]:
        path = folder / f"checkpoint-{step}"
        return lambda: path.is_dir() and not (path / MANIFEST).is_file()

    assert start(argv, (folder / "vocabulary").is_dir) == KILLED, "before the first step"
    assert start(argv, at_step(2)) == KILLED, "before the first checkpoint"
    assert start(argv, at_step(7)) == KILLED, "in the middle of the second epoch"
    assert checkpoints(folder)[-1].name == "checkpoint-6"
    assert start(argv, in_checkpoint(9)) == KILLED, "while a checkpoint was written"
    assert not is_whole(folder / "checkpoint-9")
    assert start(argv, (folder / "model.part").is_dir) == KILLED, "while the finished model was scored"
    assert not (folder / "model").exists()
    assert start(argv) == 0
    assert_same_run(whole, folder)
    log = Path(f"{folder}.log").read_text()
    assert "Going on from checkpoint-6." in log and "checkpoint-9 was cut short" in log
    assert log.count("step 10 of 15") == 1, "what a whole checkpoint holds is not done again"


def test_killed_after_the_last_step_and_before_that_is_noted(unbroken, tmp_path):
    argv, whole = unbroken
    folder = tmp_path / "run"
    argv = [*argv, "--output_dir", str(folder)]
    last = folder / f"checkpoint-{STEPS}" / MANIFEST
    assert start(argv, last.is_file) == KILLED
    (folder / "trained.json").unlink(missing_ok=True)  # the kill may have come a moment late
    assert start(argv) == 0
    assert_same_run(whole, folder)


@pytest.mark.slow
def test_twenty_kills_at_random_moments_lose_nothing(config, tmp_path):
    """The command line itself, killed after times drawn at random, until it comes to its end."""
    argv = [*RUN, "--from_scratch", str(config), "--group_by_length"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}

    def open_run(folder: str) -> subprocess.Popen:
        command = [sys.executable, str(TRAIN), *argv, "--output_dir", str(tmp_path / folder)]
        return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    began = time.monotonic()
    printed, _ = (process := open_run("unbroken")).communicate()
    assert process.returncode == 0, printed[-2000:]
    whole_seconds = time.monotonic() - began

    draw = random.Random(int(os.environ.get("KILLS_SEED", "0")))
    folder, kills, runs = tmp_path / "run-0", [], 1
    while len(kills) < 20:
        process = open_run(folder.name)
        # From the start of Python to a little past the end of a run: some kills hit loading, some steps, some
        # checkpoints, some the scoring.
        wait = draw.uniform(0.3, 1.1) * whole_seconds
        opened = time.monotonic()
        try:
            printed, _ = process.communicate(timeout=wait)
            assert process.returncode == 0, printed[-2000:]
            # On a machine whose load changes, the first run's time would let later ones all end by themselves.
            whole_seconds = min(whole_seconds, time.monotonic() - opened)
            assert_same_run(tmp_path / "unbroken", folder)
            folder, runs = tmp_path / f"run-{runs}", runs + 1  # it came to its end: on with another
            continue
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        found = checkpoints(folder) if folder.is_dir() else []
        cut = [path.name for path in folder.glob("checkpoint-*") if not is_whole(path)] if folder.is_dir() else []
        kills.append(
            {
                "after_seconds": round(wait, 2),
                "run": runs,
                "last_whole_checkpoint": step_of(found[-1]) if found else None,
                "cut_short": cut,
                "training_was_done": folder.is_dir() and TrainingRun(folder).trained is not None,
            }
        )
    printed, _ = (process := open_run(folder.name)).communicate()
    assert process.returncode == 0, printed[-2000:]
    assert_same_run(tmp_path / "unbroken", folder)
    if os.environ.get("RECORD_KILLS"):
        record = {
            "what": "python trainer/train.py killed with SIGKILL at random moments and started again each time",
            "command": " ".join(argv).replace(str(config), "<smoke config with dropout 0.1>"),
            "commit": git_commit(),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "seconds_unbroken": round(whole_seconds, 1),
            "steps": STEPS,
            "runs_that_came_to_their_end": runs,
            "kills": kills,
            "result": "weights, metrics of every step and test scores of each run equal those of the unbroken run",
        }
        RECORD.write_text(json.dumps(record, indent=1) + "\n")


@pytest.mark.slow
def test_two_processes_killed_in_mid_epoch_go_on_to_the_same_weights(config, tmp_path):
    argv = [*RUN, "--from_scratch", str(config), "--gradient_accumulation_steps", "1"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}

    def open_run(folder: str) -> subprocess.Popen:
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
        command = [*torchrun, str(TRAIN), *argv, "--output_dir", str(tmp_path / folder)]
        return subprocess.Popen(
            command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )

    printed, _ = (process := open_run("unbroken")).communicate(timeout=300)
    assert process.returncode == 0, printed[-2000:]
    process = open_run("run")
    metrics = tmp_path / "run" / "metrics.jsonl"
    while not (metrics.is_file() and '"step": 8,' in metrics.read_text()):
        assert process.poll() is None
        time.sleep(0.01)
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=False)
    for pid in [process.pid, *map(int, children.stdout.split())]:
        os.kill(pid, signal.SIGKILL)
    process.communicate()
    assert checkpoints(tmp_path / "run")[-1].name == "checkpoint-6"
    printed, _ = (process := open_run("run")).communicate(timeout=300)
    assert process.returncode == 0 and "Going on from checkpoint-6." in printed, printed[-2000:]
    assert_same_run(tmp_path / "unbroken", tmp_path / "run")
