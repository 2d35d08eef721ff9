"""What a metric is: a name, the figures that it gives, what it reads, and how examples combine to a figure.

A figure over a data set is a function of the *sums* of one row of numbers per example. That covers plain means (ROUGE),
means over the examples for which a value is defined (compression of an empty summary is not), and corpus scores (BLEU),
and it is all that a bootstrap needs: it weighs the rows anew and applies the function again
(`trainer/scoring/intervals.py`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# Sums of rows (…, k) → figure (…); or rows (n, k) → the examples' own values (n,).
Combine = Callable[[np.ndarray], np.ndarray]


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
    combine: Combine
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


@dataclass(frozen=True)
class FigureKind:
    """How a figure comes from the numbers of its examples.

    Attributes:
        signature: tool, version and settings.
        combine: for a corpus score, sums of the examples' counts (…, k) → figure (…); None for a mean of values.
        each: for a corpus score, counts (n, k) → the examples' own values (n,).
    """

    signature: str
    combine: Combine | None = None
    each: Combine | None = None

    @property
    def is_mean(self) -> bool:
        return self.combine is None

    def figure(self, numbers: Sequence[float] | np.ndarray, values: np.ndarray | None = None) -> Figure:
        """The figure of `numbers`: values (n,) of a mean, or counts (n, k) of a corpus score.

        `values` are the own values of a corpus score's examples where they are known; else `each` computes them.
        """
        if self.is_mean:
            return mean_of(numbers, self.signature)
        counts = np.array(numbers, dtype=np.float64)
        return Figure(counts, self.combine, self.signature, self.each(counts) if values is None else values)


def means(names: Iterable[str], settings: str) -> dict[str, FigureKind]:
    """Figures that are means of the examples' values, all computed by the same settings: `name|settings`."""
    return {name: FigureKind(f"{name}|{settings}") for name in names}


@dataclass(frozen=True)
class Metric:
    """One metric. Called with texts, it gives its figures.

    Attributes:
        name: what command lines call it.
        figures: name of each figure → how it is made, in the order of tables.
        score: predictions, references, sources → name of each figure → its examples' numbers (`FigureKind.figure`).
            Its docstring says what the figures are.
        needs: which of "references" and "sources" it reads beside the predictions.
        pools: for a metric that compares an example with others: the number of examples → pairs of (rows that must be
            read together, rows among them that get their value there). None where each example stands for itself.
    """

    name: str
    figures: Mapping[str, FigureKind]
    score: Callable[[Sequence[str], Sequence[str], Sequence[str]], Mapping[str, Any]]
    needs: tuple[str, ...] = ("references",)
    pools: Callable[[int], list[tuple[range, range]]] | None = None

    def __call__(self, predictions: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> Figures:
        """The figures over these examples.

        Raises:
            ValueError: the lists that are read differ in length.
        """
        texts = {"references": references, "sources": sources}
        same_number(predictions=predictions, **{name: texts[name] for name in self.needs})
        numbers = self.score(predictions, references, sources)
        return {name: kind.figure(numbers[name]) for name, kind in self.figures.items()}

    @property
    def about(self) -> str:
        """What its figures are, in words."""
        return (self.score.__doc__ or self.name).strip()


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
        counted = ", ".join(f"{number} {name}" for name, number in numbers.items())
        raise ValueError(f"there must be as many of each, but there are {counted}")
    return next(iter(numbers.values()))
