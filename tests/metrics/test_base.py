"""Figures and their checks."""

import math

import numpy as np
import pytest

from trainer.metrics.base import mean_of


class TestBase:
    def test_mean_leaves_out_what_is_not_defined(self):
        figure = mean_of([1.0, math.nan, 4.0], "s")
        assert (figure.value, figure.n) == (2.5, 2)

    def test_nothing_defined_has_no_value(self):
        figure = mean_of([math.nan, math.nan], "s")
        assert math.isnan(figure.value)
        assert figure.n == 0

    def test_combine_takes_many_sums_at_once(self):
        figure = mean_of([1.0, math.nan, 4.0], "s")
        assert figure.combine(np.array([[6.0, 3.0], [0.0, 0.0]])) == pytest.approx([2.0, math.nan], nan_ok=True)
