"""Bootstrap intervals by hand and by simulation."""

import math
from statistics import NormalDist

import numpy as np
import pytest

from trainer.metrics.base import Figure, mean_of
from trainer.scoring.intervals import measured, resampled_sums


def bootstrap_interval(values, samples=1000, seed=0, confidence=0.95) -> tuple[float, float]:
    """The interval of a mean as a record has it; NaN where it has none."""
    one = measured({"mean": mean_of(values, "")}, samples, seed, confidence)["mean"]
    return tuple(math.nan if end is None else end for end in (one.low, one.high))


class TestBootstrap:
    def test_two_values_by_enumeration(self):
        """Of 0 and 1 the resampled mean is 0, 1/2 or 1 with probability 1/4, 1/2, 1/4."""
        assert bootstrap_interval([0.0, 1.0], samples=4000) == (0.0, 1.0)
        assert bootstrap_interval([0.0, 1.0], samples=4000, confidence=0.4) == (0.5, 0.5)

    def test_shares_agree_with_all_resamples_of_three(self):
        """All 27 resamples of three values: the distribution of the drawn means is theirs."""
        values = np.array([0.0, 1.0, 5.0])
        drawn = resampled_sums(values[:, None], 20_000, seed=0)[:, 0]
        every = [a + b + c for a in values for b in values for c in values]
        for total in set(every):
            assert (drawn == total).mean() == pytest.approx(every.count(total) / 27, abs=0.015)

    def test_a_large_sample_has_the_interval_of_the_normal_distribution(self):
        values = np.random.default_rng(1).normal(10, 3, size=2000)
        low, high = bootstrap_interval(values, samples=4000)
        half = NormalDist().inv_cdf(0.975) * values.std() / math.sqrt(2000)
        assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)

    def test_it_covers_the_truth_about_as_often_as_it_says(self):
        draw = np.random.default_rng(2)
        hits = 0
        for _ in range(300):
            low, high = bootstrap_interval(draw.exponential(1.0, size=60), samples=300)
            hits += low <= 1.0 <= high
        assert 0.88 < hits / 300 < 0.98  # 95% would be exact; skewed data and n = 60 cost a little

    def test_the_seed_decides(self):
        values = np.random.default_rng(3).random(50)
        assert bootstrap_interval(values, seed=1) == bootstrap_interval(values, seed=1)
        assert bootstrap_interval(values, seed=1) != bootstrap_interval(values, seed=2)

    def test_chunks_do_not_change_the_result_and_keep_memory_flat(self):
        rows = np.random.default_rng(4).random((57, 3))
        whole = resampled_sums(rows, 500, seed=9)
        for drawn_at_once in (1, 100, 57 * 7):
            assert np.allclose(resampled_sums(rows, 500, 9, drawn_at_once), whole, rtol=1e-12)

    def test_a_hundred_thousand_examples_take_tens_of_megabytes(self):
        import tracemalloc

        rows = np.random.default_rng(5).random((100_000, 4))
        tracemalloc.start()
        resampled_sums(rows, 60, seed=0)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 150e6  # all 60 draws at once would be twice that

    def test_one_example_and_equal_values_have_no_width(self):
        assert bootstrap_interval([0.3]) == (0.3, 0.3)
        assert bootstrap_interval([0.25] * 10) == (0.25, 0.25)

    def test_undefined_values_are_drawn_and_left_out(self):
        low, high = bootstrap_interval([1.0, math.nan, 1.0, math.nan])
        assert (low, high) == (1.0, 1.0)
        assert all(math.isnan(end) for end in bootstrap_interval([math.nan, math.nan]))

    @pytest.mark.parametrize("bad", [{"samples": 0}, {"confidence": 1.0}, {"confidence": 0.0}])
    def test_bad_values_are_refused(self, bad):
        with pytest.raises(ValueError, match="samples is"):
            bootstrap_interval([1.0, 2.0], **bad)

    def test_a_figure_that_is_no_mean_is_computed_anew_for_each_resample(self):
        """A ratio of sums, as corpus scores are: Σa / Σb."""
        a, b = np.array([1.0, 0.0, 3.0, 2.0]), np.array([2.0, 5.0, 4.0, 2.0])
        figure = Figure(np.stack([a, b], 1), lambda sums: sums[..., 0] / sums[..., 1], "ratio", a / b)
        metric = measured({"ratio": figure}, samples=3000, seed=1)["ratio"]
        assert metric.value == pytest.approx(6 / 13)
        drawn = np.random.default_rng(7).integers(0, 4, size=(20_000, 4))
        ratios = a[drawn].sum(1) / b[drawn].sum(1)
        assert (metric.low, metric.high) == pytest.approx(np.percentile(ratios, [2.5, 97.5]), abs=0.03)

    def test_all_figures_of_one_call_are_resampled_together(self):
        """So a figure and its double have intervals that are exactly each other's double."""
        values = np.random.default_rng(8).random(40)
        found = measured({"x": mean_of(values, "s"), "2x": mean_of(2 * values, "s")})
        assert (found["2x"].low, found["2x"].high) == pytest.approx((2 * found["x"].low, 2 * found["x"].high))
