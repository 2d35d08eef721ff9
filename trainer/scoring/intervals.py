"""From figures to records: each with its bootstrap interval over the same resampled examples."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from trainer.metrics.base import Figure
from trainer.runtime.environment import git_commit
from trainer.scoring.records import Evaluation, FigureRecord

# Numbers drawn at once while resampling: keeps memory flat, whatever n and the number of samples are.
_DRAWN_AT_ONCE = 1 << 21


def evaluation_of(
    about: Mapping[str, Any],
    data: Mapping[str, Any],
    figures: Mapping[str, Figure],
    seconds: float,
    *,
    bootstrap_samples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Evaluation:
    """The record of a system that has been measured.

    Args:
        about: what its `describe()` says.
        data: as `trainer.scoring.measure.data_record` gives it.
        seconds: time that the summarising took.
    """
    return Evaluation(
        system=about["system"],
        model=about["model"],
        revision=about["revision"],
        data=dict(data),
        decoding=about["decoding"],
        number_format=about["number_format"],
        seed=about["seed"],
        commit=git_commit(),
        interval={
            "method": "bootstrap percentile",
            "samples": bootstrap_samples,
            "seed": seed,
            "confidence": confidence,
        },
        seconds=round(seconds, 3),
        metrics=measured(figures, bootstrap_samples, seed, confidence),
    )


def measured(
    figures: Mapping[str, Figure], samples: int = 1000, seed: int = 0, confidence: float = 0.95
) -> dict[str, FigureRecord]:
    """Each figure as a record with its bootstrap interval; the same resampled examples serve all of them."""
    intervals = _bootstrap(figures, samples, seed, confidence)
    return {
        name: FigureRecord(json_number(figure.value), *map(json_number, intervals[name]), figure.n, figure.signature)
        for name, figure in figures.items()
    }


def _bootstrap(
    figures: Mapping[str, Figure],
    samples: int,
    seed: int,
    confidence: float,
    drawn_at_once: int = _DRAWN_AT_ONCE,
) -> dict[str, tuple[float, float]]:
    if samples < 1 or not 0 < confidence < 1:
        raise ValueError(f"samples is {samples} (1 or more) and confidence {confidence} (between 0 and 1)")
    rows = np.concatenate([figure.rows for figure in figures.values()], axis=1)
    sums = resampled_sums(rows, samples, seed, drawn_at_once)
    tail = 100 * (1 - confidence) / 2
    intervals = {}
    column = 0
    for name, figure in figures.items():
        width = figure.rows.shape[1]
        values = figure.combine(sums[:, column : column + width])
        values = values[np.isfinite(values)]
        ends = np.percentile(values, [tail, 100 - tail]) if len(values) else (math.nan, math.nan)
        intervals[name] = (float(ends[0]), float(ends[1]))
        column += width
    return intervals


def resampled_sums(rows: np.ndarray, samples: int, seed: int, drawn_at_once: int = _DRAWN_AT_ONCE) -> np.ndarray:
    """Sums (samples, k) of n rows (n, k) drawn with replacement, `samples` times.

    At most about `drawn_at_once` numbers are in memory together; how many does not change the result.
    """
    n = len(rows)
    draw = np.random.default_rng(seed)
    sums = np.empty((samples, rows.shape[1]))
    step = max(1, drawn_at_once // max(n, 1))
    for start in range(0, samples, step):
        size = min(step, samples - start)
        drawn = draw.integers(0, n, size=(size, n))
        drawn += np.arange(size)[:, None] * n
        counts = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n)
        sums[start : start + size] = counts @ rows
    return sums


def json_number(value: float) -> float | None:
    """JSON has no NaN: a value that is not defined is null."""
    value = float(value)
    return value if math.isfinite(value) else None
