"""What an evaluation finds beside the figures: comparisons, slices, throughput, warnings, published figures."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from trainer.runtime.hardware import peak_memory
from trainer.scoring.cited import cited_rows
from trainer.scoring.columns import Columns
from trainer.scoring.intervals import json_number
from trainer.scoring.jobs import USUAL
from trainer.scoring.ledger import Spool
from trainer.scoring.measure import Measured
from trainer.scoring.records import wordless_note
from trainer.scoring.significance import compare, too_few
from trainer.scoring.slices import Features, slice_records
from trainer.settings.base import public_name
from trainer.settings.evaluation import XSUM_TEST, ReportSettings

LEAST = 200  # examples; with fewer, intervals of ROUGE are mostly wider than the differences that papers report


def analyse(
    measured: Mapping[str, Measured],
    failed: Mapping[str, str],
    pairs: Spool,
    dataset: str,
    report: ReportSettings,
    seed: int,
) -> dict[str, Any]:
    """The analysis of a record, in JSON's types.

    Args:
        measured: by name, those that did not fail.
        failed: system → reason.
        dataset: its name, for the published figures.
        seed: of resampling and of topics.
    """
    shown = {name: one for name, one in measured.items() if not one.job.audit}
    columns = {name: one.columns for name, one in shown.items()}
    compared = {name: one.columns for name, one in shown.items() if not one.job.bound}
    analysis: dict[str, Any] = {
        "failed": [{"system": name, "reason": reason} for name, reason in failed.items()],
        "bounds": [name for name, one in shown.items() if one.job.bound],
        "throughput": [_throughput(name, one) for name, one in shown.items()],
        "peak_memory_bytes": peak_memory(torch.device("cpu")),
        "comparisons": comparisons(compared, report, seed),
    }
    analysis["warnings"] = warnings(len(pairs), analysis["comparisons"])
    without = [one.evaluation.data.get("references_without_words") for one in measured.values()]
    if any(without) and any(name.startswith("rouge") for one in shown.values() for name in one.evaluation.metrics):
        analysis["warnings"].append(wordless_note(max(filter(None, without)), len(pairs)))
    if report.slice_list and columns:
        features = Features.of(pairs, report.slice_list, report.topics, seed)
        figures = {name: column.figure(report.slice_by) for name, column in columns.items()}
        analysis["slices"] = slice_records(features, report.slice_by, figures, report.bootstrap_samples, seed)
    audit = [asdict(one.evaluation) for one in measured.values() if one.job.audit]
    if audit:
        analysis["audit"] = audit
    analysis["cited"] = cited_rows(report.cited, dataset)
    return _plain(analysis)


def comparisons(columns: Mapping[str, Columns], report: ReportSettings, seed: int) -> list[dict[str, Any]]:
    """Each system against the one of best ROUGE-1, a given one, or each other, by each figure of --compare_by."""
    if len(columns) < 2:
        return []
    found = []
    against: str | None = public_name(USUAL.get(report.compare_to, report.compare_to))
    if report.compare_to == "all":
        against = None
    elif report.compare_to == "best" or against not in columns:  # a given one may have failed
        first = report.compare_list[0]
        against = max(columns, key=lambda name: _or_least(columns[name].figure(first).value))
    for metric in report.compare_list:
        figures = {name: one.figure(metric) for name, one in columns.items()}
        for one in compare(metric, figures, against, report.test_samples, seed):
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


def _throughput(name: str, measured: Measured) -> dict[str, Any]:
    words = measured.columns.values.get("source_words")
    seconds, n = measured.seconds, measured.columns.n
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
