"""Intervals over seeds and examples: by hand, at the edges, and how often they hold what is true."""

import numpy as np
import pytest
from scipy.stats import t

from trainer.studies.intervals import paired_difference


def test_a_small_table_by_hand():
    # Means of seeds: 1, 3; of examples: 1, 2, 3; nothing is left over. MS of seeds 3 × 2 = 6, of examples 2 × 1 = 2.
    found = paired_difference(np.array([[0.0, 1.0, 2.0], [2.0, 3.0, 4.0]]))
    assert (found.value, found.seeds, found.examples) == (2.0, 2, 3)
    variance = (6 + 2 - 0) / 6
    freedom = variance**2 / ((6 / 6) ** 2 / 1 + (2 / 6) ** 2 / 2)
    assert found.half_width == pytest.approx(t.ppf(0.975, freedom) * variance**0.5)
    assert found.p == pytest.approx(2 * t.sf(2 / variance**0.5, freedom))


def test_one_seed_is_a_paired_t_interval_over_examples():
    values = np.array([0.1, 0.4, -0.2, 0.3])
    found = paired_difference(values)
    assert found.half_width == pytest.approx(t.ppf(0.975, 3) * values.std(ddof=1) / 2)


def test_one_number_has_no_interval_and_equal_ones_have_no_width():
    with pytest.raises(ValueError, match="1 seeds × 1 examples"):
        paired_difference(np.array([[1.0]]))
    same = paired_difference(np.zeros((3, 5)))
    assert (same.low, same.high, same.p) == (0, 0, 1)


@pytest.mark.parametrize(("of_seeds", "of_examples"), [(1.0, 0.0), (0.0, 1.0), (0.5, 2.0), (0.0, 0.0)])
def test_intervals_hold_the_truth_as_often_as_they_say(of_seeds, of_examples):
    draw = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        table = (
            of_seeds * draw.normal(size=(3, 1)) + of_examples * draw.normal(size=(1, 30)) + draw.normal(size=(3, 30))
        )
        found = paired_difference(table)
        held += found.low <= 0 <= found.high
    assert held / 400 > 0.925
