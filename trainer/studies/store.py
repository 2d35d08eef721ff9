"""The trials of a study in one database that any number of workers share: each is done once, by one of them.

Optuna keeps the trials (SQLite in a file here, a server's database elsewhere), hands a waiting one to exactly one
worker, and has samplers and pruners. What it does not do is added here:

- the list of trials is made by whoever comes first; if two come at once and both make it, doubles are passed over;
- a trial whose worker was killed is begun anew. On the same machine that is seen at once, by the lock that each worker
  holds; on another it is taken for dead when its heartbeat has been missing for a while.
"""

import hashlib
import json
import os
import platform
import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from trainer.errors import UserError
from trainer.runtime.lock import FolderLock

KILLS = 3  # a trial that so many processes have died of is not begun again
SECONDS_BETWEEN_LOOKS = 2.0  # while other workers do the last trials
_ALIVE = (TrialState.WAITING, TrialState.RUNNING, TrialState.COMPLETE, TrialState.PRUNED)


@dataclass(frozen=True)
class Slot:
    """One trial that is to be done.

    Attributes:
        name: of the trial, no other's.
        values: JSON values that say what it is.
        params: what is fixed of the settings that a sampler chooses.
    """

    name: str
    values: dict[str, Any]
    params: dict[str, Any] = field(default_factory=dict)


class PassedOver(Exception):
    """A trial that is none: a double, or one that Optuna made because all others were taken."""


class Store:
    """A study's trials.

    Args:
        url: of the database, as SQLAlchemy writes it.
        name: of the study; one database may hold several.
        folder: where workers of this machine show that they are alive.
        stale_seconds: after which a worker that is not heard of is taken for dead.
        sampler: chooses what a slot does not fix.
        pruner: which trials are ended early.

    Raises:
        UserError: the database can't be reached.
    """

    def __init__(
        self,
        url: str,
        name: str,
        folder: Path,
        stale_seconds: float = 600.0,
        sampler: optuna.samplers.BaseSampler | None = None,
        pruner: optuna.pruners.BasePruner | None = None,
    ):
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        self.folder = folder / "workers"
        self.worker = f"{_machine()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        arguments = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {"pool_pre_ping": True}
        try:
            self.storage = optuna.storages.RDBStorage(
                url,
                engine_kwargs=arguments,
                heartbeat_interval=max(1, int(stale_seconds / 10)),
                grace_period=max(2, int(stale_seconds)),
                heartbeat_stale_trial_callback=_begin_anew,
            )
            self.study = optuna.create_study(
                study_name=name,
                storage=self.storage,
                direction="maximize",
                load_if_exists=True,
                sampler=sampler or optuna.samplers.RandomSampler(),
                pruner=pruner or optuna.pruners.NopPruner(),
            )
        except Exception as error:  # SQLAlchemy's and the database driver's own, of many kinds
            raise UserError(f"--storage can't be used: {type(error).__name__}: {_brief(error)}") from error

    def plan(
        self,
        slots: Sequence[Slot],
        identity: Mapping[str, Any],
        retry_failed: bool = False,
        usual: Mapping[str, Any] | None = None,
    ) -> None:
        """Enters the trials that are not there yet. More may be entered later, by a study that has grown.

        Args:
            identity: JSON values that all trials share; a study goes on only with the same.
            usual: what those of `identity` were that the version which began the study did not know yet.

        Raises:
            UserError: the study was begun otherwise, or a trial of this name is something else there.
        """
        before = self.study.user_attrs.get("identity")
        identity = json.loads(json.dumps(identity))
        if before is None:
            self.study.set_user_attr("identity", identity)
        elif lines := [f"  {key}: {a} -> {b}" for key, a, b in _differences(before, identity, usual or {})]:
            raise UserError(
                "This study was begun otherwise, and its trials can't be compared with new ones:\n"
                + "\n".join(lines)
                + "\nGive the old settings, or another --output_dir."
            )
        there = {trial.user_attrs["slot"]: trial for trial in self._slots() if not _failed(trial) or not retry_failed}
        for slot in slots:
            known = there.get(slot.name)
            values = json.loads(json.dumps(slot.values))
            if known is None:
                self.study.enqueue_trial(slot.params, user_attrs={"slot": slot.name, "values": values})
            elif known.user_attrs["values"] != values:
                raise UserError(
                    f"The trial {slot.name!r} of this study was {known.user_attrs['values']}, and is {values} now. "
                    "Give it another name, or choose another --output_dir."
                )

    def work(self, do: Callable[[optuna.Trial], float]) -> None:
        """Does trials until none is left, here or elsewhere.

        Args:
            do: does a trial and returns its value, the higher the better; raises `UserError` where it can't be done,
                which fails this trial alone, and `optuna.TrialPruned` where it is ended early.
        """
        mine = self.folder / self.worker
        mine.mkdir(parents=True)
        with FolderLock() as lock:
            lock.take(mine)
            while True:
                self.revive()
                states = [trial.state for trial in self._slots()]
                if TrialState.WAITING in states:
                    self.study.optimize(lambda trial: self._do(trial, do), n_trials=1, catch=(UserError, PassedOver))
                elif TrialState.RUNNING in states:
                    time.sleep(SECONDS_BETWEEN_LOOKS)
                else:
                    break
        mine.rmdir()

    def _do(self, trial: optuna.Trial, do: Callable[[optuna.Trial], float]) -> float:
        trial.set_user_attr("worker", self.worker)
        # Optuna's thread does so a moment later: a worker killed before it would never be missed by other machines.
        self.storage.record_heartbeat(trial._trial_id)
        slot = trial.user_attrs.get("slot")
        if slot is None or any(
            other.number < trial.number and other.state in _ALIVE
            for other in self._slots()
            if other.user_attrs["slot"] == slot
        ):
            trial.set_user_attr("passed_over", True)
            raise PassedOver
        try:
            return do(trial)
        except UserError as error:
            trial.set_user_attr("error", str(error))
            raise

    def revive(self) -> None:
        """Has trials begun anew whose worker is dead: here by its lock, elsewhere by its missing heartbeat."""
        optuna.storages.fail_stale_trials(self.study)
        for trial in self._slots():
            worker = trial.user_attrs.get("worker", "")
            folder = self.folder / worker
            ours = worker.startswith(f"{_machine()}-") and worker != self.worker
            if trial.state != TrialState.RUNNING or not ours or not folder.is_dir():
                continue
            with FolderLock() as lock:
                try:
                    lock.take(folder)
                except UserError:  # it lives
                    continue
                try:
                    self.study.tell(trial.number, state=TrialState.FAIL)
                except ValueError:  # somebody else has seen it first
                    continue
                _begin_anew(self.study, trial)

    def twin(self, trial: optuna.Trial) -> FrozenTrial | None:
        """An earlier trial for which the sampler chose the same; one that is not done yet has this one drawn anew.

        Raises:
            PassedOver: the other is being done now; a new trial for this slot has been entered.
        """
        for other in self._slots():
            if other.number < trial.number and other.params == trial.params and other.state in _ALIVE:
                if other.state in (TrialState.COMPLETE, TrialState.PRUNED):
                    return other
                if other.state == TrialState.RUNNING:
                    trial.set_user_attr("passed_over", True)
                    kept = {name: trial.user_attrs[name] for name in ("slot", "values")}
                    self.study.enqueue_trial({}, user_attrs=kept)
                    raise PassedOver
        return None

    def trials(self) -> list[FrozenTrial]:
        """The trials that are done or failed, one a slot, in the order of the slots' entry."""
        found: dict[str, FrozenTrial] = {}
        for trial in self._slots():
            if trial.state in (TrialState.COMPLETE, TrialState.PRUNED) or _failed(trial):
                found[trial.user_attrs["slot"]] = trial
        return list(found.values())

    def waiting(self) -> list[FrozenTrial]:
        """The trials that nobody has begun."""
        return [trial for trial in self._slots() if trial.state == TrialState.WAITING]

    def _slots(self) -> Iterator[FrozenTrial]:
        """All trials that stand for a slot, oldest first; what was passed over and what was begun anew aside."""
        for trial in self.study.get_trials(deepcopy=False):
            stands = "slot" in trial.user_attrs and "passed_over" not in trial.user_attrs
            if stands and (trial.state != TrialState.FAIL or _failed(trial)):
                yield trial


def _begin_anew(study: optuna.Study, dead: FrozenTrial) -> None:
    """Enters a trial again whose worker died; the new one keeps what a sampler chose."""
    if "slot" not in dead.user_attrs or "passed_over" in dead.user_attrs:
        return
    kills = dead.user_attrs.get("kills", 0) + 1
    kept = {name: dead.user_attrs[name] for name in ("slot", "values")} | {"kills": kills}
    over = kills >= KILLS
    if over:
        kept["error"] = f"{kills} processes that did this trial were killed."
    study.add_trial(
        optuna.create_trial(
            state=TrialState.FAIL if over else TrialState.WAITING,
            params=dead.params,
            distributions=dead.distributions,
            user_attrs=kept,
            system_attrs={name: value for name, value in dead.system_attrs.items() if name == "fixed_params"},
        )
    )


def _failed(trial: FrozenTrial) -> bool:
    """Whether it ended with an error of its own; one whose worker died has none."""
    return trial.state == TrialState.FAIL and "error" in trial.user_attrs


def _machine() -> str:
    """A short name for this machine that tells nobody its own."""
    return hashlib.blake2b(platform.node().encode(), digest_size=4).hexdigest()


def _differences(
    before: Mapping[str, Any], now: Mapping[str, Any], usual: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    for name in dict.fromkeys([*before, *now]):
        known = usual.get(name)
        a, b = before.get(name, known), now.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            yield from _differences(a, b, known if isinstance(known, dict) else {})
        elif a != b:
            yield name, a, b


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
