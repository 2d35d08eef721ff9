"""Is one system really better than another on these examples, or is it luck of the draw?

Two tests, both paired (the systems have summarised the same articles), both free of assumptions about the
scores: the paired bootstrap (Koehn 2004) draws other articles from these, approximate randomisation (Noreen
1989; Riezler & Maxwell 2005) exchanges the two systems' summaries of an article at random. Where many pairs
are compared, Holm's step-down correction (1979) keeps the probability of even one false claim at the level of
one test.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist

import numpy as np

from trainer.metrics.base import Figure
from trainer.scoring.intervals import resampled_sums

ALPHA = 0.05
POWER = 0.8
# Random numbers drawn at once; keeps memory flat, whatever the number of examples.
_DRAWN_AT_ONCE = 1 << 21
# Sums of the same numbers in another order differ by rounding; a difference that close counts as equal.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Comparison:
    """One system against another by one figure.

    Attributes:
        metric: name of the figure.
        system, baseline: who is compared with whom.
        difference: the system's figure less the baseline's.
        low, high: ends of its paired bootstrap interval.
        p_bootstrap, p_randomization: two-sided, by either test.
        p_bootstrap_holm, p_randomization_holm: the same, corrected for all comparisons of the table.
        detectable: the difference that so many examples would show at `ALPHA` with probability `POWER`.
        n: examples.
        comparisons: how many comparisons the correction is for.
        samples, seed: of both tests.
        signature: of the figure.
    """

    metric: str
    system: str
    baseline: str
    difference: float
    low: float
    high: float
    p_bootstrap: float
    p_randomization: float
    p_bootstrap_holm: float
    p_randomization_holm: float
    detectable: float
    n: int
    comparisons: int
    samples: int
    seed: int
    signature: str

    def verdict(self, scale: float = 100, alpha: float = ALPHA) -> str:
        """What can be said, as a sentence: better, worse, or too few examples to tell. Differences × `scale`."""
        p = max(self.p_bootstrap_holm, self.p_randomization_holm)
        found = (
            f"{scale * self.difference:+.2f} {self.metric}, interval [{scale * self.low:+.2f}, "
            f"{scale * self.high:+.2f}], p = {p:.4f} after Holm's correction for {self.comparisons}"
        )
        if p < alpha:
            word = "better" if self.difference > 0 else "lower"
            return f"{self.system} is {word} than {self.baseline}: {found}."
        if too_few(self.n, self.comparisons, alpha):
            return f"{self.n} examples can't tell {self.system} from {self.baseline}, whatever their scores: {found}."
        return (
            f"{self.system} and {self.baseline} can't be told apart: {found}. With {self.n:,} examples a true "
            f"difference below about {scale * self.detectable:.2f} mostly goes unseen."
        )


def compare(
    metric: str,
    figures: Mapping[str, Figure],
    against: str | None = None,
    samples: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> list[Comparison]:
    """Compares systems by one figure: each with `against`, or each pair where that is None.

    Args:
        metric: the figure's name, for the records.
        figures: system → its figure over the same examples in the same order.

    Raises:
        ValueError: the figures are over different numbers of examples, differ in signature, or `against` is
            not among them.
    """
    _check(figures)
    if against is not None and against not in figures:
        raise ValueError(f"there is no system {against!r} among {', '.join(figures)}")
    if against is None:
        pairs = list(combinations(figures, 2))
    else:
        pairs = [(system, against) for system in figures if system != against]
    bootstraps = [paired_bootstrap(figures[a], figures[b], samples, seed, confidence) for a, b in pairs]
    randomizations = [approximate_randomization(figures[a], figures[b], samples, seed) for a, b in pairs]
    holm_bootstrap = holm([found.p_value for found in bootstraps])
    holm_randomization = holm(randomizations)
    return [
        Comparison(
            metric=metric,
            system=system,
            baseline=baseline,
            difference=found.difference,
            low=found.low,
            high=found.high,
            p_bootstrap=found.p_value,
            p_randomization=randomizations[row],
            p_bootstrap_holm=holm_bootstrap[row],
            p_randomization_holm=holm_randomization[row],
            detectable=found.detectable,
            n=len(figures[system].rows),
            comparisons=len(pairs),
            samples=samples,
            seed=seed,
            signature=figures[system].signature,
        )
        for row, ((system, baseline), found) in enumerate(zip(pairs, bootstraps, strict=True))
    ]


@dataclass(frozen=True)
class PairedBootstrap:
    """Difference of two figures, the ends of its interval, two-sided p, and the smallest difference that shows."""

    difference: float
    low: float
    high: float
    p_value: float
    detectable: float


def paired_bootstrap(
    a: Figure, b: Figure, samples: int = 10_000, seed: int = 0, confidence: float = 0.95
) -> PairedBootstrap:
    """Draws the examples anew, `samples` times, the same ones for both systems.

    p is the share of drawn differences that lie as far from their mean as the measured one lies from 0 (the
    null hypothesis has the distribution of the draws, moved to 0: Riezler & Maxwell 2005, as in sacrebleu),
    with one added above and below for the measured one itself.
    """
    difference = a.value - b.value
    width = a.rows.shape[1]
    sums = resampled_sums(np.concatenate([a.rows, b.rows], axis=1), samples, seed)
    drawn = a.combine(sums[:, :width]) - b.combine(sums[:, width:])
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn) or not math.isfinite(difference):
        return PairedBootstrap(math.nan, math.nan, math.nan, 1.0, math.nan)
    low, high = np.percentile(drawn, [50 * (1 - confidence), 50 * (1 + confidence)])
    beyond = np.abs(drawn - drawn.mean()) >= abs(difference) - _ROUNDING
    normal = NormalDist()
    detectable = (normal.inv_cdf(1 - ALPHA / 2) + normal.inv_cdf(POWER)) * float(drawn.std())
    p_value = (int(beyond.sum()) + 1) / (len(drawn) + 1)
    return PairedBootstrap(difference, float(low), float(high), p_value, detectable)


def approximate_randomization(a: Figure, b: Figure, samples: int = 10_000, seed: int = 0) -> float:
    """Exchanges the systems' rows of each example with probability 1/2, `samples` times; returns the
    two-sided p.

    p is the share of exchanges whose difference is at least the measured one, with one added above and below,
    so that it is never 0 (Noreen 1989).
    """
    measured = abs(a.value - b.value)
    if not math.isfinite(measured):
        return 1.0
    total_a, total_b, gap = a.rows.sum(axis=0), b.rows.sum(axis=0), b.rows - a.rows
    n = len(gap)
    draw = np.random.default_rng(seed)
    step = max(1, _DRAWN_AT_ONCE // n)
    beyond = 0
    for start in range(0, samples, step):
        exchanged = draw.random((min(step, samples - start), n), dtype=np.float32) < 0.5
        moved = exchanged.astype(np.float64) @ gap
        differences = np.abs(a.combine(total_a + moved) - b.combine(total_b - moved))
        beyond += int((differences >= measured - _ROUNDING).sum())
    return (beyond + 1) / (samples + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) adjusted p-values, in the order given: reject where they are below the level wished for.

    The smallest of m is multiplied by m, the next by m - 1 and so on; none comes out below one before it, or
    above 1.
    """
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def too_few(n: int, comparisons: int = 1, alpha: float = ALPHA) -> bool:
    """Whether n pairs can't reach `alpha` even if every one of them favours the same system.

    Of the 2^n exchanges two (none and all) have that difference, so exact randomisation gives 2 / 2^n at the
    least.
    """
    return comparisons * 2.0 ** (1 - n) > alpha


def _check(figures: Mapping[str, Figure]) -> None:
    numbers = {system: len(figure.rows) for system, figure in figures.items()}
    if len(set(numbers.values())) > 1:
        raise ValueError(f"the systems must be measured on the same examples, but their numbers differ: {numbers}")
    if not all(numbers.values()):
        raise ValueError("there are no examples to compare the systems on")
    signatures = {figure.signature for figure in figures.values()}
    if len(signatures) > 1:
        raise ValueError(f"figures computed in different ways can't be compared: {', '.join(sorted(signatures))}")
