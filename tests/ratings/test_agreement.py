"""Krippendorff's alpha against his own worked examples and against nltk's."""

import numpy as np
import pytest
from nltk.metrics.agreement import AnnotationTask

from trainer.ratings.agreement import alpha, coincidences

# Krippendorff 2011, section C: four observers, twelve units, missing values as 0; and his results, which PyPI's
# `krippendorff` 0.9.0 gives too.
OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
    [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
]
# Sections A and B: two observers, two values; two observers, five values.
BINARY = ["0100000000", "1110010100"]
LETTERS = ["aabbdcccedda", "babbbccceddd"]


def of(rows, values: int, ordinal: bool) -> float:
    units = [[value for value in unit if value >= 0] for unit in zip(*rows, strict=True)]
    return float(alpha(values, ordinal)(coincidences(units, values).ravel()))


def test_the_examples_of_the_literature():
    rows = [[value - 1 for value in row] for row in OBSERVERS]
    assert of(rows, 5, ordinal=False) == pytest.approx(0.743, abs=5e-4)
    assert of(rows, 5, ordinal=True) == pytest.approx(0.815, abs=5e-4)
    for rows, values, expected in ((BINARY, 2, 0.095), (LETTERS, 5, 0.692)):
        names = sorted(set("".join(rows)))
        numbers = [[names.index(value) for value in row] for row in rows]
        assert of(numbers, values, ordinal=False) == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize("ordinal", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_the_same_as_nltk(seed, ordinal):
    draw = np.random.default_rng(seed)
    rows = draw.integers(-1, 5, size=(4, 30))  # −1: not rated
    rated = [(f"r{rater}", unit, int(value)) for (rater, unit), value in np.ndenumerate(rows) if value >= 0]
    units = {unit for _, unit, _ in rated}
    several = [one for one in rated if sum(other[1] == one[1] for other in rated) > 1]
    assert units
    counts = np.bincount([value for *_, value in several], minlength=5)

    def between(one: int, other: int) -> float:
        low, high = sorted((one, other))
        return float(counts[low : high + 1].sum() - (counts[low] + counts[high]) / 2) ** 2

    def differs(one: int, other: int) -> float:
        return float(one != other)

    expected = AnnotationTask(several, distance=between if ordinal else differs).alpha()
    assert of(rows.tolist(), 5, ordinal) == pytest.approx(expected, abs=1e-9)


def test_where_nothing_can_be_said():
    assert np.isnan(of([[1, 1], [1, 1]], 2, ordinal=False))  # all equal: chance gives the same
    assert np.isnan(of([[1, -1], [-1, 0]], 2, ordinal=True))  # nothing was rated twice
    assert of([[0, 1], [0, 1]], 2, ordinal=True) == 1.0
