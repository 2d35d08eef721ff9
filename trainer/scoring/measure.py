"""From the lines on the disk to records: the figures of each system with their intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trainer.data.splits import Split, fingerprint
from trainer.metrics.base import Metric
from trainer.metrics.rouge import wordless
from trainer.scoring.columns import Columns, fill_pooled
from trainer.scoring.intervals import evaluation_of
from trainer.scoring.jobs import Job
from trainer.scoring.predictions import figure_kinds
from trainer.scoring.records import Evaluation, wordless_note
from trainer.scoring.run import Run


@dataclass(frozen=True)
class Measured:
    """One system, measured.

    Attributes:
        job: what was done.
        evaluation: its record.
        columns: the numbers behind the record.
        seconds: time that the summarising took.
    """

    job: Job
    evaluation: Evaluation
    columns: Columns
    seconds: float


def measure(
    run: Run, jobs: Sequence[Job], metrics: Sequence[Metric], bootstrap_samples: int, seed: int
) -> dict[str, Measured]:
    """The records of all jobs, by name and in their order; every line of theirs must be there.

    Args:
        bootstrap_samples, seed: of the intervals.
    """
    ledger = run.scan([job.name for job in jobs])
    kinds = figure_kinds(metrics)
    rows = {job.name: min(job.rows or len(run.examples), len(run.examples)) for job in jobs}
    columns = {job.name: Columns(kinds, rows[job.name]).fill(ledger.records(job.name)) for job in jobs}
    for metric in metrics:
        if metric.pools:
            whole = {job.name: columns[job.name] for job in jobs if not job.audit}
            fill_pooled(metric, whole, ledger, run.examples)
    data = {n: data_record(run.split, n) for n in set(rows.values())}
    seconds = {job.name: run.seconds(job.name) for job in jobs}
    return {
        job.name: Measured(
            job,
            evaluation_of(
                run.models[job.name]["about"],
                data[rows[job.name]],
                columns[job.name].figures(),
                seconds[job.name],
                bootstrap_samples=bootstrap_samples,
                seed=seed,
            ),
            columns[job.name],
            seconds[job.name],
        )
        for job in jobs
    }


def data_record(split: Split, n: int) -> dict[str, Any]:
    """What a record says of the first n pairs of a split, as if no more had been read.

    `references_without_words` is there only if some references have no word that ROUGE counts.
    """
    whole = n == len(split.examples)
    examples = split.examples if whole else split.examples[:n]
    record = {
        "dataset": split.dataset,
        "config": split.config,
        "split": split.name,
        "revision": split.revision,
        "fingerprint": split.fingerprint if whole else fingerprint(examples),
        "n": n,
        "skipped": len(split.skipped),
    }
    without = wordless(example.target for example in examples)
    return record | ({"references_without_words": without} if without else {})


def wordless_notes(*splits: Split) -> list[str]:
    """A warning for each split some of whose references have no word that ROUGE counts."""
    counted = [(split, wordless(example.target for example in split.examples)) for split in splits]
    return [f"{split.dataset}, {split.name}: {wordless_note(n, len(split))}" for split, n in counted if n]
