"""What every metric gives back: one row of numbers per example, a name for each figure and a signature.

A figure over a data set is a function of the *sums* of such rows. That covers plain means (ROUGE), means over
the examples for which a value is defined (compression of an empty summary is not), and corpus scores (BLEU),
and it is all that a bootstrap needs: it weighs the rows anew and applies the function again
(`trainer/scoring/records.py`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Figure:
    """One figure over n examples.

    Attributes:
        rows: (n, k) float64, the sufficient statistics of each example.
        combine: maps sums of rows (…, k) to the figure (…); must not depend on the scale of n where that is a
            mean.
        signature: tool, version and settings, as in `rouge1|tool:rouge_score-0.1.2|stemmer:porter`.
        per_example: (n,) the figure of each example by itself; NaN where it is not defined.
    """

    rows: np.ndarray
    combine: Callable[[np.ndarray], np.ndarray]
    signature: str
    per_example: np.ndarray

    @property
    def value(self) -> float:
        """The figure over all examples; NaN where no example defines it."""
        return float(self.combine(self.rows.sum(axis=0)))

    @property
    def n(self) -> int:
        """How many examples define the figure."""
        return int(np.isfinite(self.per_example).sum())


Figures = Mapping[str, Figure]
# A metric reads texts of equal number: predictions, references, sources.
MetricFunction = Callable[[Sequence[str], Sequence[str], Sequence[str]], Figures]


def mean_of(values: Sequence[float] | np.ndarray, signature: str) -> Figure:
    """A figure that is the mean of `values` (n,), those that are NaN (not defined) left out."""
    values = np.asarray(values, dtype=np.float64)
    defined = np.isfinite(values)
    rows = np.stack([np.where(defined, values, 0.0), defined.astype(np.float64)], axis=1)
    return Figure(rows, _sum_by_count, signature, values)


def _sum_by_count(sums: np.ndarray) -> np.ndarray:
    total, count = sums[..., 0], sums[..., 1]
    return np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)


def same_number(**texts: Sequence[str]) -> int:
    """The common length of the lists of texts.

    Raises:
        ValueError: they differ in length.
    """
    numbers = {name: len(values) for name, values in texts.items()}
    if len(set(numbers.values())) > 1:
        raise ValueError("there must be as many of each, but there are " + _spoken(numbers))
    return next(iter(numbers.values()))


def _spoken(numbers: dict[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in numbers.items())
