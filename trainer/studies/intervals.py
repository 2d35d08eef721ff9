"""How sure a difference is of which both seeds and examples were drawn.

A change is trained with several seeds, and each model summarises the same examples. The differences from the base with
the same seed make a table, seeds × examples. Another draw of seeds or of examples would give another mean, so both
count: the table is a two-way random-effects layout without repetition (Scheffé 1959), whose mean has the variance

    (MS_seeds + MS_examples - MS_rest) / (seeds × examples),

with degrees of freedom by Satterthwaite (1946). With three seeds this is wide where seeds disagree, and it should be.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import t

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Difference:
    """A mean difference.

    Attributes:
        value, low, high: the mean and the ends of its interval.
        p: two-sided, that the mean is 0.
        seeds, examples: what it was taken over. With one seed the interval is about examples alone.
    """

    value: float
    low: float
    high: float
    p: float
    seeds: int
    examples: int

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2


def paired_difference(differences: np.ndarray, confidence: float = CONFIDENCE) -> Difference:
    """The mean of differences (seeds, examples) and what another draw of both could make of it.

    Raises:
        ValueError: there are fewer than two examples and fewer than two seeds.
    """
    table = np.atleast_2d(np.asarray(differences, dtype=np.float64))
    seeds, examples = table.shape
    if seeds < 2 and examples < 2:
        raise ValueError(f"one number has no interval: {seeds} seeds × {examples} examples")
    value = float(table.mean())
    if seeds == 1:
        parts = [(table.var(ddof=1) / examples, examples - 1)]
    elif examples == 1:
        parts = [(table.var(ddof=1) / seeds, seeds - 1)]
    else:
        parts = _two_way(table)
    variance = sum(part for part, _ in parts)
    if variance <= 0:
        return Difference(value, value, value, 0.0 if value else 1.0, seeds, examples)
    freedom = variance**2 / sum(part**2 / df for part, df in parts)
    half = float(t.ppf((1 + confidence) / 2, freedom)) * math.sqrt(variance)
    p = float(2 * t.sf(abs(value) / math.sqrt(variance), freedom))
    return Difference(value, value - half, value + half, p, seeds, examples)


def _two_way(table: np.ndarray) -> list[tuple[float, int]]:
    """The parts of the variance of the mean, each with its degrees of freedom.

    No mean square is taken to be smaller than what is left over, so that the interval is never narrower than that of
    the seeds' means or the examples' means alone.
    """
    seeds, examples = table.shape
    by_seed, by_example = table.mean(axis=1), table.mean(axis=0)
    rest = table - by_seed[:, None] - by_example[None, :] + table.mean()
    df_seeds, df_examples = seeds - 1, examples - 1
    ms_rest = float((rest**2).sum()) / (df_seeds * df_examples)
    ms_seeds = max(examples * float(by_seed.var(ddof=1)), ms_rest)
    ms_examples = max(seeds * float(by_example.var(ddof=1)), ms_rest)
    n = seeds * examples
    return [(ms_seeds / n, df_seeds), (ms_examples / n, df_examples), (-ms_rest / n, df_seeds * df_examples)]
