"""The folder of an evaluation: what is done already, and whether a run may go on."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from trainer.data.splits import Example, Split
from trainer.errors import UserError
from trainer.runtime.files import same_content, write_atomically
from trainer.scoring.jobs import Job
from trainer.scoring.ledger import Ledger, Spool, mend
from trainer.settings.evaluation import EvalDataSettings

_DATA = {item.name for item in fields(EvalDataSettings)}


class Run:
    """The folder of an evaluation.

    run.json says what decides its predictions; predictions.jsonl and work/*.rank*.jsonl hold them; timings.jsonl what
    each block took.

    Args:
        block_size: examples between two writes to the disk.
    """

    def __init__(self, folder: Path, block_size: int):
        self.folder = folder
        self.block_size = block_size
        self.work = folder / "work"
        self.pairs = self.work / "pairs.jsonl"
        self.predictions = folder / "predictions.jsonl"
        self.split: Split | None = None  # in process 0 only
        self.examples: Sequence[Example] = ()
        self.ledger: Ledger | None = None

    def check(self, names: Sequence[str]) -> None:
        """That the folder is free, or holds a run whose systems are all among these, or one that wrote nothing.

        Raises:
            UserError: it is another's, or broken.
        """
        before = self._record()
        if before is None:
            # Pairs alone are left by a start that found something wrong with them.
            if self.folder.is_dir() and not {*self.folder.rglob("*")} <= {self.work, self.pairs}:
                raise UserError(
                    f"--output_dir {self.folder} holds files, but no evaluation: choose an empty or a new folder."
                )
            return
        missing = [name for name in before["systems"] if name not in names] if self._has_written else []
        if missing:
            them = "it" if len(missing) == 1 else "them"
            raise UserError(
                f"The run in {self.folder} also holds {', '.join(missing)}: name {them} too (systems may be added, not "
                "left out), choose another --output_dir, or begin anew with --from_start."
            )

    def begin(
        self, split: Split, identity: Mapping[str, Any], names: Sequence[str], say: Callable[..., None] = print
    ) -> None:
        """Begins, or goes on with what is here: checks that it is the same run and mends what a kill has torn.

        A folder in which nothing was written is taken over, whatever the run there was begun with: a command that an
        error in the data or in a model ended may be mended and typed again.

        Args:
            identity: JSON values that decide predictions and scores, beside the texts of the data.
            names: of the systems.

        Raises:
            UserError: the run that is here was begun otherwise, or there are no pairs.
        """
        if not len(split):
            raise UserError(
                f"the {split.name} split of {split.dataset} has no examples, so nothing can be measured on it"
            )
        before = self._record() if self._has_written else None
        self.split, self.examples = split, split.examples
        identity = {**identity, "fingerprint": split.fingerprint}
        if before:
            _same(before["identity"], identity, self.folder)
        self.work.mkdir(parents=True, exist_ok=True)
        before = before or {"systems": [], "models": {}}
        systems = list(dict.fromkeys([*before["systems"], *names]))
        self._note({"identity": identity, "systems": systems, "models": before["models"]})
        for path in self._files():
            torn = mend(path)
            if torn:
                say(f"The last line of {path.name} was torn by a kill ({torn} bytes) and is made anew.")

    def join(self) -> None:
        """What the other processes do when process 0 has begun."""
        self.examples = Spool.open(self.pairs)

    def scan(self, names: Sequence[str]) -> Ledger:
        """Finds what is done of these systems."""
        self.ledger = Ledger(len(self.examples))
        self.ledger.scan(self._files(), names)
        return self.ledger

    @property
    def models(self) -> dict[str, Any]:
        """System → what it said of itself when it was loaded ("about")."""
        return self._record()["models"]

    def check_model(self, job: Job, about: Mapping[str, Any]) -> None:
        """That a system whose predictions are partly here is the one that made them.

        Raises:
            UserError: it has another revision, decoding or weights now.
        """
        record = self._record()
        now = json.loads(json.dumps({"about": about, "weights": _stamp(job.spec)}))
        before = record["models"].get(job.name)
        if before is not None and before != now and self.ledger.done(job.name).any():
            lines = [
                f"  {name}: {json.dumps(before[name])[:200]} -> {json.dumps(now[name])[:200]}"
                for name in now
                if before[name] != now[name]
            ]
            raise UserError(
                f"{job.name} is not what it was when this run began:\n" + "\n".join(lines) + "\n"
                "Its new summaries can't be mixed with the old ones: choose another --output_dir, or --from_start."
            )
        record["models"][job.name] = now
        self._note(record)

    def finish(self, names: Sequence[str], failed: Mapping[str, str]) -> None:
        """Puts the lines of the systems into predictions.jsonl, in the order of systems and rows, and clears work/.

        What a system that failed has done stays in work/, for the same command to go on from.
        """
        part = self.folder / ".predictions.jsonl.part"
        ledger = self.scan(names)
        with part.open("wb") as file:
            for name in names:
                if name not in failed:
                    file.writelines(ledger.lines(name))
        part.replace(self.predictions)
        timings = sorted(self.work.glob("timings.rank*.jsonl"))
        with (self.folder / "timings.jsonl").open("ab") as file:
            file.writelines(path.read_bytes() for path in timings)
        if isinstance(self.examples, Spool):
            self.examples.close()
        if failed:
            self.pairs.unlink(missing_ok=True)
        else:
            shutil.rmtree(self.work)

    def seconds(self, name: str) -> float:
        """Time that the blocks of a system took, divided among the processes that worked at once."""
        blocks: dict[int, float] = {}
        for path in (self.folder / "timings.jsonl", *sorted(self.work.glob("timings.rank*.jsonl"))):
            if path.is_file():
                mend(path)
                for line in path.read_text("utf-8").splitlines():
                    record = json.loads(line)
                    if record["system"] == name:
                        blocks[record["block"]] = record["seconds"] / record["processes"]
        return sum(blocks.values())

    def _record(self) -> dict[str, Any] | None:
        """What run.json holds; None where there is none."""
        file = self.folder / "run.json"
        if not file.is_file():
            return None
        try:
            record = json.loads(file.read_text("utf-8"))
            return {name: record[name] for name in ("identity", "systems", "models")}
        except (ValueError, KeyError, TypeError):
            raise UserError(
                f"{file} is broken: choose another --output_dir, or begin anew with --from_start."
            ) from None

    def _files(self) -> list[Path]:
        old = [self.predictions] if self.predictions.is_file() else []
        return old + sorted(self.work.glob("predictions.rank*.jsonl"))

    @property
    def _has_written(self) -> bool:
        """Whether a prediction of any system is here."""
        return any(path.stat().st_size for path in self._files())

    def _note(self, record: dict[str, Any]) -> None:
        write_atomically(self.folder / "run.json", json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def move_aside(folder: Path) -> None:
    """Renames a folder that is there to `<folder>.before-<n>`."""
    if folder.is_dir():
        number = 1
        while (kept := folder.with_name(f"{folder.name}.before-{number}")).exists():
            number += 1
        folder.rename(kept)


def _same(before: Mapping[str, Any], now: Mapping[str, Any], folder: Path) -> None:
    """That two identities are one: where the texts are the same, it does not matter what names them."""
    same_texts = before.get("fingerprint") == now.get("fingerprint")
    different = [
        name
        for name in dict.fromkeys([*before, *now])
        if before.get(name) != now.get(name)
        and not (same_texts and name in _DATA)
        and not same_content(before.get(name), now.get(name))
    ]
    if different:
        shown = "\n".join(
            f"  {'the texts of the data' if name == 'fingerprint' else '--' + name}: "
            f"{json.dumps(before.get(name))} -> {json.dumps(now.get(name))}"
            for name in different
        )
        raise UserError(
            f"The run in {folder} was begun otherwise:\n{shown}\n"
            "Give the same settings to go on, choose another --output_dir, or begin anew with --from_start."
        )


def _stamp(spec: str | None) -> list[list[Any]] | None:
    """Size and time of a local model's weights; None for what is on the Hub, which has a revision."""
    if spec is None:
        return None
    folder = Path(spec.partition(":")[2] if spec.startswith("lora:") else spec)
    if not folder.is_dir():
        return None
    files = sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin"), *folder.glob("*config.json")])
    return [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]
