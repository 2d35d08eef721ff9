"""The folder of a run: checkpoints that are whole or don't count, and markers of how far the run has come.

    <output_dir>/
      settings.json      what the run was started with; once there is a checkpoint, another start must agree with it
      vocabulary/        only with --from_scratch: the vocabulary trained for the run
      checkpoint-<step>/ weights, optimizer, schedule, random numbers, and last of all complete.json
      metrics.jsonl      a line each time something is logged
      trained.json       written when the last step is done: which checkpoint is the best, and what training did
      predictions.jsonl  the test summaries
      model/             the finished model; appears in one rename, so if it is there it is whole

transformers writes a checkpoint in place and takes the highest number for the newest. Here a checkpoint counts only
if its complete.json, written after everything else has reached the disk, agrees with the files beside it: with their
sizes wherever checkpoints are listed, and with their digests, which takes reading them, before one is used.
"""

import json
import os
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.errors import UserError
from trainer.runtime.files import bring_to_disk, give_usual_mode, sha256_of, write_atomically, write_json
from trainer.settings.groups import DataSettings
from trainer.settings.training import DATA_FILES, Settings, differences

MANIFEST = "complete.json"
TRAINER_STATE = "trainer_state.json"
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")


def step_of(checkpoint: Path) -> int:
    """The number in `checkpoint-<step>`."""
    return int(_CHECKPOINT.fullmatch(checkpoint.name)[1])


def seal(checkpoint: Path, **notes: Any) -> None:
    """Declares a checkpoint whole: brings its files to the disk, then notes sizes and digests in complete.json.

    `notes` are kept beside them (`read_notes`). A checkpoint that loses power or its process before the last line of
    this function is not whole.
    """
    give_usual_mode(checkpoint)
    sizes, digests = {}, {}
    for file in sorted(path for path in checkpoint.rglob("*") if path.is_file() and path.name != MANIFEST):
        bring_to_disk(file)
        name = str(file.relative_to(checkpoint))
        sizes[name], digests[name] = file.stat().st_size, sha256_of(file)
    write_json(checkpoint / MANIFEST, {"files": sizes, "sha256": digests, **notes})
    bring_to_disk(checkpoint.parent)


def is_whole(checkpoint: Path) -> bool:
    """Whether the checkpoint was sealed and every file still has the size it had then; a quick look."""
    try:
        sizes = json.loads((checkpoint / MANIFEST).read_text("utf-8"))["files"]
        return bool(sizes) and all((checkpoint / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def is_intact(checkpoint: Path) -> bool:
    """Whether the checkpoint is whole and every byte is what it was when it was sealed.

    Reads all of it, about a second a gigabyte. A checkpoint of an earlier version has no digests: its sizes count.
    """
    if not is_whole(checkpoint):
        return False
    digests = json.loads((checkpoint / MANIFEST).read_text("utf-8")).get("sha256", {})
    return all(sha256_of(checkpoint / name) == digest for name, digest in digests.items())


def read_notes(checkpoint: Path) -> dict[str, Any]:
    """What `seal` was given besides the files."""
    notes = json.loads((checkpoint / MANIFEST).read_text("utf-8"))
    return {name: value for name, value in notes.items() if name not in ("files", "sha256")}


def best_step(checkpoint: Path) -> int | None:
    """The step with the best score on the validation pairs when the checkpoint was written; None before any score."""
    return json.loads((checkpoint / TRAINER_STATE).read_text("utf-8"))["best_global_step"]


def checkpoints(folder: Path) -> list[Path]:
    """The whole checkpoints in `folder`, oldest first."""
    found = [path for path in folder.glob("checkpoint-*") if _CHECKPOINT.fullmatch(path.name) and is_whole(path)]
    return sorted(found, key=step_of)


def sweep(folder: Path) -> list[Path]:
    """Deletes checkpoints that are not whole and returns them; nothing can be done with one."""
    broken = [path for path in folder.glob("checkpoint-*") if _CHECKPOINT.fullmatch(path.name) and not is_whole(path)]
    for path in broken:
        shutil.rmtree(path)
    return sorted(broken, key=step_of)


def drop_damaged(folder: Path) -> list[Path]:
    """Deletes the newest checkpoints as long as they are not intact, and returns them.

    The one that is left as the newest, which a run goes on from, has been read in full; older ones have not.
    """
    damaged = []
    for path in reversed(checkpoints(folder)):
        if is_intact(path):
            break
        _delete(path)
        damaged.append(path)
    return damaged


def rotate(folder: Path, keep: int, best_step: int | None) -> None:
    """Deletes all but the `keep` newest whole checkpoints and the best one.

    To be called after the newest was sealed, so that there is one to go on from at any moment.
    """
    for path in checkpoints(folder)[: -max(keep, 1)]:
        if step_of(path) != best_step:
            _delete(path)


def _delete(checkpoint: Path) -> None:
    # Without its manifest a folder half deleted can't be taken for a checkpoint.
    (checkpoint / MANIFEST).unlink()
    shutil.rmtree(checkpoint)


def is_last(checkpoint: Path) -> bool:
    """Whether training had reached its last step, or stopped early, when the checkpoint was written."""
    state = json.loads((checkpoint / TRAINER_STATE).read_text("utf-8"))
    control = state.get("stateful_callbacks", {}).get("TrainerControl", {}).get("args", {})
    return state["global_step"] >= state["max_steps"] or bool(control.get("should_training_stop"))


@dataclass(frozen=True)
class TrainingRun:
    """A run's folder and what is in it."""

    folder: Path

    @classmethod
    def open(cls, settings: Settings, processes: int = 1, say: Callable[[str], None] = print) -> "TrainingRun":
        """Makes the folder of a new run, or finds the one that the same settings began.

        With `--from_start` an older run is renamed to `<folder>.old-<n>`, and nothing but a run is. Checkpoints that
        were cut short are deleted. A folder in which nothing was trained is taken over, whatever settings it was begun
        with: a command that an error in the data or the model ended may be mended and typed again.

        Raises:
            UserError: the folder holds a run of other settings (all differences are listed), or something else.
        """
        run = cls(settings.output_dir)
        wanted = {"settings": settings.to_dict(), "processes": processes, "data": {}}
        if settings.run.from_start and run._is_there():
            aside = _free_name(run.folder)
            run.folder.rename(aside)
            say(f"The run that was in {run.folder} is now in {aside}; beginning anew.")
        _make_folder(run.folder)
        known = run._read("settings.json")
        if known is None:
            if run.model.exists() or run.vocabulary.exists() or any(run.folder.glob("checkpoint-*")):
                raise UserError(
                    f"--output_dir is {run.folder}: it holds a model, a vocabulary or checkpoints that are no run of "
                    "this trainer's. Choose another folder, or rename this one."
                )
            write_json(run.folder / "settings.json", wanted)
            return run
        lines = differences(known["settings"], wanted["settings"])
        if known["processes"] != processes:
            lines.append(f"processes: {known['processes']} -> {processes}")
        if lines and not run.empty:
            raise UserError(
                f"{run.folder} holds a run with other settings, and going on with new ones would make neither run:\n"
                + "".join(f"  {line}\n" for line in lines)
                + "Start it with its old settings, choose another --output_dir, or begin anew with --from_start "
                "(the old run is renamed, not deleted)."
            )
        for path in sweep(run.folder):
            say(f"{path.name} was cut short while it was written, so it is deleted.")
        if run.empty:
            if run.vocabulary.exists():  # of texts that may have been others
                shutil.rmtree(run.vocabulary)
            write_json(run.folder / "settings.json", wanted)
        for path in [] if run.finished else drop_damaged(run.folder):
            say(f"{path.name} holds other bytes than were written (a failing disk?), so it is deleted.")
        return run

    def _is_there(self) -> bool:
        """Whether the folder holds a run.

        Raises:
            UserError: it holds something else, which --from_start must not touch.
        """
        if not self.folder.is_dir() or not any(self.folder.iterdir()):
            return False
        try:
            known = self._read("settings.json")
        except UserError:  # broken, but there
            return True
        if not isinstance(known, dict) or "settings" not in known:
            raise UserError(
                f"--output_dir is {self.folder}: it holds files, but no run of this trainer's, so --from_start leaves "
                "it as it is. Choose another folder, or rename this one."
            )
        return True

    @property
    def model(self) -> Path:
        """The finished model; whole if it is there."""
        return self.folder / "model"

    @property
    def vocabulary(self) -> Path:
        """The vocabulary trained for the run, where it needs one."""
        return self.folder / "vocabulary"

    @property
    def empty(self) -> bool:
        """Whether nothing was trained here that another start could go on from."""
        return not (self.model.exists() or self.trained or self.last_checkpoint)

    @property
    def finished(self) -> bool:
        return (self.model / "results.json").is_file()

    @property
    def last_checkpoint(self) -> Path | None:
        """The newest whole checkpoint."""
        found = checkpoints(self.folder)
        return found[-1] if found else None

    @property
    def trained(self) -> dict[str, Any] | None:
        """What training did, once its last step is done; `best_checkpoint` is the name of a folder in the run."""
        return self._read("trained.json")

    def intact_checkpoint(self, step: int) -> Path:
        """The checkpoint of a step, read in full and found to be what was written.

        Raises:
            UserError: it is not, or it is gone.
        """
        path = self.folder / f"checkpoint-{step}"
        if not is_intact(path):
            raise UserError(
                f"{path} is the best checkpoint, which the finished model is made from, and it is damaged: its files "
                "are not those that were written. Bring them back from a copy, or begin anew with --from_start (the "
                "run is renamed, not deleted)."
            )
        return path

    def mark_trained(self, training: dict[str, Any]) -> None:
        write_json(self.folder / "trained.json", training)

    def names_other_files(self, data: DataSettings) -> bool:
        """Whether a file of pairs stands under another path than when the run began."""
        known = self._read("settings.json")["settings"]["data"]
        paths = ((known.get(name), getattr(data, name)) for name in DATA_FILES)
        return any(old is not None and new is not None and old != str(new) for old, new in paths)

    def check_data(self, fingerprints: dict[str, str]) -> None:
        """Notes what the data were, or sees that they are still the same, wherever they lie.

        Args:
            fingerprints: split → fingerprint; of the splits that training sees.

        Raises:
            UserError: a file or data set has other content than when the run began.
        """
        known = self._read("settings.json")
        for split, before in known["data"].items():
            now = fingerprints.get(split)
            if now != before:
                raise UserError(
                    f"The {split} pairs are not those that the run in {self.folder} began with (fingerprint {now}, "
                    f"then {before}). Bring them back, choose another --output_dir, or begin anew with --from_start."
                )
        if known["data"] != fingerprints:
            write_json(self.folder / "settings.json", {**known, "data": fingerprints})

    def forget_after(self, step: int) -> None:
        """Cuts lines of later steps off metrics.jsonl: they are going to be done, and logged, again."""
        file = self.folder / "metrics.jsonl"
        if not file.is_file():
            return
        kept = []
        for line in file.read_text("utf-8").splitlines():
            with suppress(ValueError, KeyError, TypeError):  # a kill may have cut the last line short
                if json.loads(line)["step"] <= step:
                    kept.append(line + "\n")
        write_atomically(file, "".join(kept))

    def _read(self, name: str) -> dict[str, Any] | None:
        path = self.folder / name
        if not path.is_file():
            return None
        try:
            return json.loads(path.read_text("utf-8"))
        except ValueError as error:
            raise UserError(
                f"{path} can't be read ({error}): it was changed by hand. Begin anew with --from_start."
            ) from error


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--output_dir is {folder}: the folder can't be made ({error.strerror}).") from error
    if not os.access(folder, os.W_OK):
        raise UserError(f"--output_dir is {folder}: nothing may be written there.")


def _free_name(folder: Path) -> Path:
    number = 1
    while (aside := folder.with_name(f"{folder.name}.old-{number}")).exists():
        number += 1
    return aside
