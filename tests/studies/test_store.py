"""The shared store with real processes: no trial is done twice, and one whose worker is killed is taken up again."""

import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import optuna
import pytest

from trainer.errors import UserError
from trainer.studies.store import KILLS, Slot, Store

ROOT = Path(__file__).resolve().parents[2]


def worker(folder: Path, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-m", "tests.studies.worker", str(folder), *arguments], cwd=ROOT)


def noted(folder: Path) -> list[list[str]]:
    """[begun or ended, name, process] of every line."""
    file = folder / "done.txt"
    lines = file.read_text().splitlines() if file.is_file() else []
    return [[line.split()[0], " ".join(line.split()[1:-1]), line.split()[-1]] for line in lines]


def wait_for(condition, seconds: float = 300.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.05)


def store_in(folder: Path, **more) -> Store:
    return Store(f"sqlite:///{folder / 'study.db'}", "cheap", folder, **more)


def test_two_workers_share_a_store_and_a_killed_ones_trial_is_taken_up_again(tmp_path):
    doomed = worker(tmp_path, "8", "trial 0")  # takes trial 0 first, and never ends it
    wait_for(lambda: ["begun", "trial 0", str(doomed.pid)] in noted(tmp_path))
    others = [worker(tmp_path, "8"), worker(tmp_path, "8")]
    wait_for(lambda: sum(kind == "ended" for kind, _, _ in noted(tmp_path)) == 7)  # all but the one that is held
    assert all(one.poll() is None for one in others)  # they wait for it, since its worker lives
    doomed.send_signal(signal.SIGKILL)
    doomed.wait()
    assert [one.wait(300) for one in others] == [0, 0]
    ended = Counter(name for kind, name, _ in noted(tmp_path) if kind == "ended")
    assert ended == {f"trial {n}": 1 for n in range(8)}
    begun = Counter(name for kind, name, _ in noted(tmp_path) if kind == "begun")
    assert begun == {f"trial {n}": 1 for n in range(8)} | {"trial 0": 2}
    store = store_in(tmp_path)
    assert [trial.user_attrs["slot"] for trial in store.trials()] and len(store.trials()) == 8
    assert sorted(trial.value for trial in store.trials()) == list(range(8))
    # Both started at once and may both have made the list; a third start finds nothing to do.
    before = noted(tmp_path)
    assert worker(tmp_path, "8").wait(300) == 0 and noted(tmp_path) == before


def test_a_worker_of_another_machine_is_dead_when_it_is_not_heard_of(tmp_path):
    far = worker(tmp_path, "1", "trial 0", "3")
    wait_for(lambda: noted(tmp_path))
    far.send_signal(signal.SIGKILL)
    far.wait()
    shutil.rmtree(tmp_path / "workers")  # its lock is not on this machine
    store, done = store_in(tmp_path, stale_seconds=3.0), []
    store.work(lambda trial: done.append(trial.user_attrs["slot"]) or 1.0)
    assert done == ["trial 0"] and store.trials()[0].user_attrs["kills"] == 1


def test_a_trial_that_kills_its_processes_is_given_up(tmp_path):
    store = store_in(tmp_path)
    store.plan([Slot("deadly", {"seed": 1})], {})
    for _ in range(KILLS):
        trial = store.study.ask()
        trial.set_user_attr("worker", dead_worker(tmp_path, store))
        store.revive()
    (failed,) = store.trials()
    assert failed.user_attrs["error"] == f"{KILLS} processes that did this trial were killed."
    assert not store.waiting()


def dead_worker(folder: Path, store: Store) -> str:
    """The name of a worker of this machine that is gone: nobody holds its folder."""
    name = store.worker.rsplit("-", 1)[0] + "-gone"
    (folder / "workers" / name).mkdir(parents=True, exist_ok=True)
    return name


def test_doubles_of_a_list_made_twice_are_passed_over(tmp_path):
    store = store_in(tmp_path)
    store.plan([Slot("one", {"seed": 1})], {})
    store.study.enqueue_trial({}, user_attrs={"slot": "one", "values": {"seed": 1}})  # another worker, at that moment
    done = []
    store.work(lambda trial: done.append(trial.number) or 1.0)
    assert done == [0] and len(store.trials()) == 1


def test_an_error_of_a_trial_is_noted_and_not_repeated_unasked(tmp_path):
    store = store_in(tmp_path)
    slots = [Slot("bad", {"seed": 1}), Slot("good", {"seed": 2})]

    def do(trial):
        if trial.user_attrs["slot"] == "bad":
            raise UserError("--learning_rate is 9.")
        return 1.0

    store.plan(slots, {})
    store.work(do)
    assert {trial.user_attrs["slot"]: trial.user_attrs.get("error") for trial in store.trials()} == {
        "bad": "--learning_rate is 9.",
        "good": None,
    }
    store.plan(slots, {})
    assert not store.waiting()
    store.plan(slots, {}, retry_failed=True)
    assert [trial.user_attrs["slot"] for trial in store.waiting()] == ["bad"]


def test_a_study_grows_but_does_not_become_another(tmp_path):
    store = store_in(tmp_path)
    store.plan([Slot("one", {"seed": 1})], {"base": {"learning_rate": 1e-3}})
    store.plan([Slot("one", {"seed": 1}), Slot("two", {"seed": 2})], {"base": {"learning_rate": 1e-3}})
    assert len(store.waiting()) == 2
    with pytest.raises(UserError, match=r"begun otherwise.*\n  learning_rate: 0.001 -> 0.01"):
        store.plan([], {"base": {"learning_rate": 1e-2}})
    with pytest.raises(UserError, match="The trial 'one' of this study was"):
        store.plan([Slot("one", {"seed": 3})], {"base": {"learning_rate": 1e-3}})


def test_what_a_sampler_draws_again_is_not_done_again(tmp_path):
    store = store_in(tmp_path, sampler=optuna.samplers.RandomSampler(seed=0))
    store.plan([Slot(f"trial {n}", {"seed": 1}) for n in range(4)], {})
    done = []

    def do(trial):
        trial.suggest_categorical("rate", [1, 2])
        twin = store.twin(trial)
        if twin is not None:
            return twin.value
        done.append(trial.params["rate"])
        return float(trial.params["rate"])

    store.work(do)
    assert len(store.trials()) == 4 and sorted(done) == sorted({trial.params["rate"] for trial in store.trials()})


def test_a_database_that_is_none_is_one_sentence(tmp_path):
    (tmp_path / "study.db").write_text("not a database, and long enough to be taken for one" * 40)
    with pytest.raises(UserError, match="--storage can't be used: DatabaseError"):
        store_in(tmp_path)


def test_a_study_of_a_version_that_lacked_a_setting_goes_on(tmp_path):
    store = store_in(tmp_path)
    old = {"base": {"model": {"freeze": None}}}
    store.plan([], old)
    usual = {"base": {"model": {"rank": None}, "robust": {"noise": None}}}
    store.plan([], {"base": {"model": {"freeze": None, "rank": None}, "robust": {"noise": None}}}, usual=usual)
    with pytest.raises(UserError, match="noise: None -> typos"):
        store.plan([], {"base": {"model": {"freeze": None}, "robust": {"noise": "typos:1"}}}, usual=usual)
