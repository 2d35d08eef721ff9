"""The folder of an evaluation: the pairs, what is done already, and whether a run may go on."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.data.load import load_split
from trainer.data.splits import Split
from trainer.errors import UserError
from trainer.runtime.files import write_atomically
from trainer.runtime.processes import Processes
from trainer.scoring.jobs import Job
from trainer.scoring.ledger import Ledger, Spool, mend
from trainer.settings.evaluation import EvalSettings


class Run:
    """The folder of an evaluation.

    run.json says what decides its predictions; predictions.jsonl and work/*.rank*.jsonl hold them; timings.jsonl what
    each block took.
    """

    def __init__(self, settings: EvalSettings):
        self.settings = settings
        self.folder = settings.output_dir
        self.work = self.folder / "work"
        self.predictions = self.folder / "predictions.jsonl"
        self.split: Split | None = None  # in process 0 only
        self.spool: Spool | None = None
        self.ledger: Ledger | None = None

    def open(self, jobs: Sequence[Job], processes: Processes) -> None:
        """Reads the pairs, checks that a run that is here is this one, and mends what a kill has torn.

        Raises:
            UserError: the pairs can't be read, or the folder holds another run or something else.
        """
        before = self._found(jobs)
        self.work.mkdir(parents=True, exist_ok=True)
        self.split = read_pairs(self.settings, self.work / "pairs.jsonl", processes.say)
        self.spool = self.split.examples
        self.spool.close_writing()
        identity = self.settings.identity() | {"fingerprint": self.split.fingerprint}
        if before is not None:
            _same(before["identity"], identity, self.folder)
        record = {
            "identity": identity,
            "systems": list(dict.fromkeys([*(before or {}).get("systems", []), *(job.name for job in jobs)])),
            "models": (before or {}).get("models", {}),
        }
        self._note(record)
        for path in self._files():
            torn = mend(path)
            if torn:
                processes.say(f"The last line of {path.name} was torn by a kill ({torn} bytes) and is made anew.")

    def join(self) -> None:
        """What the other processes do when process 0 has opened the run."""
        self.spool = Spool.open(self.work / "pairs.jsonl")

    def scan(self, jobs: Sequence[Job]) -> Ledger:
        self.ledger = Ledger(len(self.spool))
        self.ledger.scan(self._files(), [job.name for job in jobs])
        return self.ledger

    def check_model(self, job: Job, about: Mapping[str, Any]) -> None:
        """That a system whose predictions are partly here is the one that made them.

        Raises:
            UserError: it has another revision, decoding or weights now.
        """
        record = json.loads((self.folder / "run.json").read_text("utf-8"))
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

    def finish(self, jobs: Sequence[Job], failed: Mapping[str, str]) -> None:
        """Puts all lines into predictions.jsonl, in the order of systems and rows, and clears work/.

        What a system that failed has done stays in work/, for the same command to go on from.
        """
        part = self.folder / ".predictions.jsonl.part"
        ledger = self.scan(jobs)
        with part.open("wb") as file:
            for job in jobs:
                if job.name not in failed:
                    file.writelines(ledger.lines(job.name))
        part.replace(self.predictions)
        timings = sorted(self.work.glob("timings.rank*.jsonl"))
        with (self.folder / "timings.jsonl").open("ab") as file:
            file.writelines(path.read_bytes() for path in timings)
        self.spool.close()
        if failed:
            self.spool.path.unlink()
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

    def _found(self, jobs: Sequence[Job]) -> dict[str, Any] | None:
        file = self.folder / "run.json"
        if self.settings.report.from_start and self.folder.is_dir():
            number = 1
            while (kept := self.folder.with_name(f"{self.folder.name}.before-{number}")).exists():
                number += 1
            self.folder.rename(kept)
        if not file.is_file():
            if self.folder.is_dir() and any(self.folder.iterdir()):
                raise UserError(
                    f"--output_dir {self.folder} holds files, but no evaluation: choose an empty or a new folder."
                )
            return None
        try:
            before = json.loads(file.read_text("utf-8"))
            missing = [name for name in before["systems"] if name not in {job.name for job in jobs}]
        except (ValueError, KeyError, TypeError):
            raise UserError(
                f"{file} is broken: choose another --output_dir, or begin anew with --from_start."
            ) from None
        if missing:
            them = "it" if len(missing) == 1 else "them"
            raise UserError(
                f"The run in {self.folder} also holds {', '.join(missing)}: name {them} too (systems may be added, not "
                "left out), choose another --output_dir, or begin anew with --from_start."
            )
        return before

    def _files(self) -> list[Path]:
        old = [self.predictions] if self.predictions.is_file() else []
        return old + sorted(self.work.glob("predictions.rank*.jsonl"))

    def _note(self, record: dict[str, Any]) -> None:
        write_atomically(self.folder / "run.json", json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def read_pairs(settings: EvalSettings, path: Path, say: Callable[..., None] = print) -> Split:
    """The split, its examples in a `Spool`.

    Raises:
        UserError: as `load_split`; where the references are missing the sentence says what they are for.
    """
    topic = settings.report.topic_column
    data = settings.data.to_read((topic,) if topic else ())
    spool = Spool.create(path)
    several = 0

    def prepare(values: Mapping[str, Any]) -> Mapping[str, Any]:
        nonlocal several
        source, target = values.get(data.source_column), values.get(data.target_column)
        if topic:
            label = values.get(topic)
            spool.label = None if label is None else str(label)
        if _texts(source):
            values = {**values, data.source_column: " ".join(source)}
        if _texts(target):
            several += len(target) > 1
            values = {**values, data.target_column: target[0]}
        return values

    try:
        split = load_split(data, settings.data.split, say, keep=spool, prepare=prepare)
    except UserError as error:
        if f"column {data.target_column!r}" in str(error):
            raise UserError(
                f"{error} Evaluation compares summaries with references: without that column nothing can be measured."
            ) from error
        raise
    for note in split.notes():
        say(note)
    if several:
        say(f"{several:,} rows have several references; the first of each counts.")
    if topic and not any(label is not None for _, label in spool.labelled()):
        raise UserError(f"--topic_column is {topic!r}, and no row of {split.dataset} has such a column.")
    return split


def _same(before: Mapping[str, Any], now: Mapping[str, Any], folder: Path) -> None:
    different = [name for name in dict.fromkeys([*before, *now]) if before.get(name) != now.get(name)]
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


def _stamp(spec: str) -> list[list[Any]] | None:
    """Size and time of a local model's weights; None for what is on the Hub, which has a revision."""
    folder = Path(spec.partition(":")[2] if spec.startswith("lora:") else spec)
    if not folder.is_dir():
        return None
    files = sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin"), *folder.glob("*config.json")])
    return [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]


def _texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, str) for one in value)
