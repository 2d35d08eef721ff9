"""From the lines on the disk to records: figures with intervals, comparisons, slices, throughput, warnings."""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch

from trainer.data.splits import Split
from trainer.metrics import aboutness
from trainer.metrics.base import Figure
from trainer.runtime.hardware import peak_memory
from trainer.scoring.cited import cited_rows
from trainer.scoring.columns import Columns, fill_aboutness
from trainer.scoring.intervals import evaluation_of, json_number
from trainer.scoring.jobs import USUAL, Job
from trainer.scoring.records import Evaluation, Results
from trainer.scoring.run import Run
from trainer.scoring.significance import compare, too_few
from trainer.scoring.slices import Features, slice_records
from trainer.settings.base import public_name
from trainer.settings.evaluation import XSUM_TEST, EvalSettings, known

LEAST = 200  # examples; with fewer, intervals of ROUGE are mostly wider than the differences that papers report


@dataclass
class Measured:
    """What process 0 has when all systems are through.

    Attributes:
        results: what results.json holds.
        jobs: what was to be done.
        columns: system → its numbers, for the report's choice of examples.
        failed: system → reason.
    """

    results: Results
    jobs: Sequence[Job]
    columns: dict[str, Columns] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def measure(
    run: Run,
    jobs: Sequence[Job],
    protos: Mapping[str, Figure],
    failed: Mapping[str, str],
    say: Callable[..., None] = print,
) -> Measured:
    """From the lines on the disk to records: figures with intervals, comparisons, slices, throughput, warnings."""
    report = run.settings.report
    columns: dict[str, Columns] = {}
    evaluations: dict[str, Evaluation] = {}
    throughput: list[dict[str, Any]] = []
    run.scan(jobs)
    models = json.loads((run.folder / "run.json").read_text("utf-8"))["models"]
    made = [job for job in jobs if job.name not in failed]
    rows = {job.name: min(job.rows or len(run.spool), len(run.spool)) for job in made}
    filled = {job.name: Columns(protos, rows[job.name]).fill(run.ledger.records(job.name)) for job in made}
    if aboutness.FIGURE in protos:
        fill_aboutness({job.name: filled[job.name] for job in made if not job.audit}, run.ledger, run.spool)
    for job in made:
        n, found = rows[job.name], filled[job.name]
        split = _part(run.split, n)
        seconds = run.seconds(job.name)
        evaluations[job.name] = evaluation_of(
            models[job.name]["about"],
            split,
            found.figures(),
            seconds,
            bootstrap_samples=report.bootstrap_samples,
            seed=run.settings.system.seed,
        )
        if job.audit:
            continue
        columns[job.name] = found
        throughput.append(_throughput(job.name, seconds, n, found))
    shown = [job for job in jobs if job.name in columns]
    analysis: dict[str, Any] = {
        "failed": [{"system": name, "reason": reason} for name, reason in failed.items()],
        "bounds": [job.name for job in shown if job.bound],
        "throughput": throughput,
        "peak_memory_bytes": peak_memory(torch.device("cpu")),
    }
    compared = {job.name: columns[job.name] for job in shown if not job.bound}
    analysis["comparisons"] = comparisons(run.settings, compared)
    analysis["warnings"] = warnings(len(run.spool), analysis["comparisons"])
    features = None
    if report.slice_list and columns:
        say("Setting kinds of article apart ...")
        features = Features.of(run.spool, report.slice_list, report.topics, run.settings.system.seed)
        figures = {name: found.figure(report.slice_by) for name, found in columns.items()}
        analysis["slices"] = slice_records(
            features, report.slice_by, figures, report.bootstrap_samples, run.settings.system.seed
        )
    audit = [evaluations[job.name] for job in jobs if job.audit and job.name in evaluations]
    if audit:
        analysis["audit"] = [_plain(asdict(one)) for one in audit]
    analysis["cited"] = cited_rows(report.cited, run.split.dataset)
    results = Results(
        evaluations=[evaluations[job.name] for job in shown],
        settings=run.settings.public(),
        analysis=_plain(analysis),
    )
    return Measured(results, jobs, columns, dict(failed))


def known_figures(settings: EvalSettings, names: Iterable[str]) -> None:
    """That what systems are compared by, and slices show, is measured at all.

    Raises:
        UserError: with the nearest name.
    """
    names = list(names)
    for name in settings.report.compare_list:
        known("figure of these --metrics", name, names, "--compare_by: ")
    if settings.report.slice_list:
        known("figure of these --metrics", settings.report.slice_by, names, "--slice_by: ")


def comparisons(settings: EvalSettings, columns: Mapping[str, Columns]) -> list[dict[str, Any]]:
    """Each system against the one of best ROUGE-1, a given one, or each other, by each figure of --compare_by."""
    if len(columns) < 2:
        return []
    found = []
    report = settings.report
    against: str | None = public_name(USUAL.get(report.compare_to, report.compare_to))
    if report.compare_to == "all":
        against = None
    elif report.compare_to == "best" or against not in columns:  # a given one may have failed
        first = report.compare_list[0]
        against = max(columns, key=lambda name: _or_least(columns[name].figure(first).value))
    for metric in report.compare_list:
        figures = {name: one.figure(metric) for name, one in columns.items()}
        for one in compare(metric, figures, against, report.test_samples, settings.system.seed):
            found.append(asdict(one) | {"verdict": one.verdict()})
    return found


def warnings(n: int, compared: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a reader should know before believing a difference."""
    said = []
    if n < LEAST:
        said.append(
            f"Only {n:,} examples: intervals are wide, and a difference between systems that is not far outside them "
            f"says little. Several hundred examples are usual."
        )
    number = max((one["comparisons"] for one in compared), default=0)
    if number and too_few(n, number):
        said.append(f"{n} examples can't tell any systems apart at the 5% level, whatever their scores.")
    unseen = [one for one in compared if max(one["p_bootstrap_holm"], one["p_randomization_holm"]) >= 0.05]
    if unseen:
        said.append(
            f"{len(unseen)} of {len(compared)} comparisons show no difference that chance could not make; "
            "their sentences say how large one would have to be to be seen."
        )
    return said


def _part(split: Split, n: int) -> Split:
    """The first n examples as a split of their own, as `--max_samples` would have read it."""
    if n == len(split.examples):
        return split
    return Split(
        split.name, split.examples[:n], split.dataset, split.config, split.revision, split.skipped, split.rows_read
    )


def _throughput(name: str, seconds: float, n: int, columns: Columns) -> dict[str, Any]:
    words = columns.values.get("source_words")
    return {
        "system": name,
        "seconds": round(seconds, 3),
        "articles": n,
        "articles_per_second": round(n / seconds, 4) if seconds else None,
        "source_words": None if words is None else round(float(np.nanmean(words)), 1),
        "xsum_test_articles": XSUM_TEST,
        "xsum_test_seconds": round(seconds / n * XSUM_TEST, 1),
    }


def _or_least(value: float) -> float:
    return value if math.isfinite(value) else -math.inf


def _plain(value: Any) -> Any:
    """The same in JSON's types; what is not defined is null."""
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float | np.floating):
        return json_number(value)
    return int(value) if isinstance(value, np.integer) else value
