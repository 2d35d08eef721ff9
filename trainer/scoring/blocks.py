"""Summarises and scores block by block, each written down before the next begins.

The pairs are dealt out in blocks of `block_size` rows; block k is process k mod n's. A block is summarised, scored and
appended to the process's own file in one go, so a kill costs a block, and neither a kill nor the number of processes
changes a record: what a system sees at once is always the same block.
"""

import sys
import time
from collections.abc import Sequence
from typing import Any

import torch
from accelerate import PartialState
from tqdm.auto import tqdm

from trainer.data.splits import Example
from trainer.errors import UserError
from trainer.metrics.base import Metric
from trainer.runtime.durations import spoken
from trainer.runtime.processes import Processes
from trainer.scoring.jobs import Job
from trainer.scoring.ledger import append_lines
from trainer.scoring.predictions import predictions_of
from trainer.scoring.run import Run
from trainer.settings.base import public_name
from trainer.summarizers.base import Summarizer, Summary

SECONDS_BETWEEN_LINES = 30.0


def predict(run: Run, jobs: Sequence[Job], metrics: Sequence[Metric], processes: Processes) -> dict[str, str]:
    """Summarises and scores what is still to be done of all jobs; returns the systems that failed, and why.

    Raises:
        UserError: a system is another one than at the run's beginning.
    """
    run.scan([job.name for job in jobs])
    processes.wait()  # nobody writes before everybody has read
    progress = Progress(processes)
    alone = [metric for metric in metrics if metric.pools is None]
    failed: dict[str, str] = {}
    for job in jobs:
        reason = _predict(run, job, alone, processes, progress)
        if reason:
            failed[job.name] = reason
            processes.say(f"{job.name} has no row: {reason}")
    progress.end()
    return failed


def _predict(run: Run, job: Job, metrics: Sequence[Metric], processes: Processes, progress: "Progress") -> str | None:
    """One job; returns why it failed, None where it did not."""
    rows = min(job.rows or len(run.examples), len(run.examples))
    size = run.block_size
    done = run.ledger.done(job.name)[:rows]
    blocks = [start for start in range(0, rows, size) if not done[start : start + size].all()]
    progress.begin(job.name, rows, rows - sum(min(size, rows - start) for start in blocks))
    if not blocks and job.name in run.models:
        return None
    system, failure = None, None
    with processes.in_turn():  # what the first process fetches, the others find
        try:
            system = job.load()
            _place(system)
        except Exception as error:
            if job.required:
                raise
            failure = _reason(error)
    failure = _agree(processes, failure)
    if failure:
        return failure
    if processes.first:
        run.check_model(job, _about(job, system))
    for number, start in enumerate(range(0, rows, size)):
        if start not in blocks or number % processes.n != processes.rank:
            continue
        examples = run.examples[start : min(start + size, rows)]
        began = time.monotonic()
        try:
            summaries = _summarize(system, job, examples)
        except Exception as error:  # whatever goes wrong within one system costs its row and not the run
            if job.required:
                raise
            failure = _reason(error)
            break
        seconds = time.monotonic() - began
        made = predictions_of(job.name, start, examples, summaries, metrics)
        append_lines(run.work / f"predictions.rank{processes.rank}.jsonl", (line.to_dict() for line in made))
        timing = {"system": job.name, "block": number, "seconds": round(seconds, 4), "processes": processes.n}
        append_lines(run.work / f"timings.rank{processes.rank}.jsonl", [timing])
        progress.add(len(examples))
    return _agree(processes, failure)


def _summarize(system: Any, job: Job, examples: Sequence[Example]) -> list[Summary]:
    sources = [example.source for example in examples]
    return (
        system.summarize(sources, [example.target for example in examples]) if job.bound else system.summarize(sources)
    )


class Progress:
    """A bar with the time left where a terminal shows it, else a line now and then; in process 0 only.

    It counts process 0's own blocks for all processes, which have equally many.
    """

    def __init__(self, processes: Processes):
        self._processes = processes
        self._bar: tqdm | None = None
        self._live = sys.stderr.isatty()
        self._name, self._total, self._done = "", 0, 0
        self._start = self._last = 0.0
        self._before = 0

    def begin(self, name: str, total: int, done: int) -> None:
        if not self._processes.first:
            return
        self.end()
        self._name, self._total, self._done, self._before = name, total, done, done
        self._start = self._last = time.monotonic()
        again = f" ({done:,} are there)" if done else ""
        print(f"{name}: {total:,} articles{again}", flush=True)
        if self._live:
            self._bar = tqdm(total=total, initial=done, desc=name, leave=False, unit=" articles")

    def add(self, n: int) -> None:
        if not self._processes.first:
            return
        self._done = min(self._done + n * self._processes.n, self._total)
        if self._bar is not None:
            self._bar.update(self._done - self._bar.n)
        elif time.monotonic() - self._last > SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            each = (self._last - self._start) / max(self._done - self._before, 1)
            left = spoken(each * (self._total - self._done))
            print(f"  {self._done:,} of {self._total:,}, {1 / each:.3g} a second, {left} left", flush=True)

    def end(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _place(system: Any) -> None:
    """Moves the models of a system to this process's GPU, where there is one."""
    device = PartialState().device
    if device.type == "cpu":
        return
    if isinstance(getattr(system, "model", None), torch.nn.Module):
        system.model.to(device)
    for part in getattr(system, "systems", ()):
        _place(part)


def _about(job: Job, system: Summarizer) -> dict[str, Any]:
    """What the system says of itself, without paths of this machine."""
    about = system.describe() | {"system": job.name}
    if about["model"]:
        about["model"] = "+".join(public_name(part) for part in about["model"].split("+"))
    return about


def _agree(processes: Processes, failure: str | None) -> str | None:
    """The first failure that any process has had with a job; all get the same answer."""
    if processes.n == 1:
        return failure
    reasons: list[Any] = [None] * processes.n
    torch.distributed.all_gather_object(reasons, failure)
    return next((reason for reason in reasons if reason), None)


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or "no reason given"
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text[:500]}"
