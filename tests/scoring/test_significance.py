"""Tests of significance against exact enumeration on few examples, and against their own promises on many."""

import math
from itertools import product

import numpy as np
import pytest

from trainer.metrics.base import Figure, mean_of
from trainer.scoring.significance import approximate_randomization, compare, holm, paired_bootstrap, too_few

A = [0.9, 0.4, 0.7, 0.8, 0.35, 0.6, 0.75, 0.5]
B = [0.5, 0.45, 0.5, 0.7, 0.3, 0.65, 0.4, 0.35]


def figure(values, signature="s"):
    return mean_of(values, signature)


def ratio(numerators, denominators):
    """A figure that is no mean: Σ numerators / Σ denominators."""
    rows = np.stack([numerators, denominators], axis=1).astype(float)
    return Figure(rows, lambda sums: sums[..., 0] / sums[..., 1], "ratio", rows[:, 0] / rows[:, 1])


def exact_randomization(a, b):
    """The share of all 2^n exchanges whose difference of means is at least the measured one."""
    gaps = [x - y for x, y in zip(a, b, strict=True)]
    measured = abs(sum(gaps))
    totals = [
        abs(sum(g * sign for g, sign in zip(gaps, signs, strict=True))) for signs in product((1, -1), repeat=len(gaps))
    ]
    return sum(total >= measured - 1e-9 for total in totals) / len(totals)


class TestRandomization:
    @pytest.mark.parametrize(("a", "b"), [(A, B), (B, A), (A[:4], B[:4]), ([1, 0, 1, 1, 1], [0, 1, 0, 0, 0])])
    def test_it_is_the_exact_test_but_for_chance(self, a, b):
        exact = exact_randomization(a, b)
        found = approximate_randomization(figure(a), figure(b), samples=20_000, seed=1)
        assert found == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 20_000))

    def test_by_hand(self):
        """Four gaps, all to one side: of 16 exchanges only none and all go as far, so p is 2/16."""
        assert exact_randomization([1, 1, 1, 1], [0, 0, 0, 0]) == 2 / 16
        assert approximate_randomization(figure([1] * 4), figure([0] * 4), 20_000) == pytest.approx(1 / 8, abs=0.01)

    def test_a_figure_that_is_no_mean(self):
        """All 2^6 exchanges of a ratio of sums."""
        top, bottom = (
            np.array([[3, 1, 4, 1, 5, 9], [2, 1, 1, 1, 2, 3]]),
            np.array([[4, 5, 6, 4, 8, 9], [6, 4, 5, 3, 5, 9]]),
        )
        a, b = ratio(top[0], bottom[0]), ratio(top[1], bottom[1])
        measured = abs(a.value - b.value)
        beyond = 0
        for mask in product((0, 1), repeat=6):
            chosen = np.array(mask), 1 - np.array(mask)
            values = [top[pick, range(6)].sum() / bottom[pick, range(6)].sum() for pick in chosen]
            beyond += abs(values[0] - values[1]) >= measured - 1e-12
        assert approximate_randomization(a, b, 20_000) == pytest.approx(beyond / 64, abs=0.015)

    def test_equal_systems_have_p_1(self):
        assert approximate_randomization(figure(A), figure(A), 100) == 1.0

    def test_p_is_never_0(self):
        assert approximate_randomization(figure([1.0] * 50), figure([0.0] * 50), 999) == 1 / 1000


class TestPairedBootstrap:
    def test_it_is_all_resamples_but_for_chance(self):
        """4^4 = 256 resamples of four pairs, the same examples for both systems."""
        a, b = np.array(A[:4]), np.array(B[:4])
        gaps = [(a[list(rows)] - b[list(rows)]).mean() for rows in product(range(4), repeat=4)]
        measured = (a - b).mean()
        exact = np.mean(np.abs(gaps - np.mean(gaps)) >= measured - 1e-12)
        found = paired_bootstrap(figure(a), figure(b), samples=20_000)
        assert found.difference == pytest.approx(measured)
        assert found.p_value == pytest.approx(exact, abs=0.01)
        assert (found.low, found.high) == pytest.approx(np.percentile(gaps, [2.5, 97.5]), abs=0.01)
        assert found.detectable == pytest.approx((1.959964 + 0.841621) * np.std(gaps), rel=0.03)

    def test_pairing_counts(self):
        """Scores that vary widely between articles, and a small steady gain: paired it is plain."""
        hard = np.random.default_rng(1).random(200)
        steady = paired_bootstrap(figure(hard + 0.01), figure(hard), 2000)
        assert steady.p_value < 0.001
        assert (steady.low, steady.high) == pytest.approx((0.01, 0.01))
        shuffled = paired_bootstrap(figure(np.roll(hard, 1) + 0.01), figure(hard), 2000)
        assert shuffled.p_value > 0.2

    def test_order_of_the_systems_turns_the_sign_and_nothing_else(self):
        one, other = paired_bootstrap(figure(A), figure(B), 500), paired_bootstrap(figure(B), figure(A), 500)
        assert (one.difference, one.low, one.high) == pytest.approx((-other.difference, -other.high, -other.low))
        assert one.p_value == other.p_value

    def test_what_is_defined_for_nobody(self):
        nothing = figure([math.nan] * 3)
        assert paired_bootstrap(nothing, nothing, 100).p_value == 1.0
        assert approximate_randomization(nothing, nothing, 100) == 1.0


@pytest.mark.parametrize("test", [approximate_randomization, lambda *given: paired_bootstrap(*given).p_value])
def test_equal_systems_are_told_apart_about_as_rarely_as_promised(test):
    """400 pairs of systems of the same skill: about 5% come out below 0.05."""
    draw = np.random.default_rng(3)
    below = 0
    for _ in range(400):
        article = draw.random(40)
        a, b = (figure(article + draw.normal(0, 0.2, size=40)) for _ in range(2))
        below += test(a, b, 400, 0) < 0.05
    assert 0.02 < below / 400 < 0.095


class TestHolm:
    def test_by_hand(self):
        """Holm 1979: 4 × 0.005, 3 × 0.01, 2 × 0.03 and 1 × 0.04 raised to the one before."""
        assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
        assert holm([0.6, 0.7]) == [1.0, 1.0]
        assert holm([0.04]) == [0.04]
        assert holm([]) == []

    def test_it_rejects_what_the_step_down_procedure_rejects(self):
        draw = np.random.default_rng(4)
        for _ in range(200):
            p = list(draw.random(6) ** 4)
            rejected = set()
            for step, place in enumerate(sorted(range(6), key=p.__getitem__)):
                if p[place] > 0.05 / (6 - step):
                    break
                rejected.add(place)
            assert {place for place, value in enumerate(holm(p)) if value <= 0.05} == rejected


class TestCompare:
    def test_all_pairs_or_against_one(self):
        draw = np.random.default_rng(5)
        base = draw.random(60)
        figures = {"low": figure(base), "same": figure(base + draw.normal(0, 0.1, 60)), "high": figure(base + 0.2)}
        found = compare("rouge1_fmeasure", figures, samples=500)
        assert [(one.system, one.baseline) for one in found] == [("low", "same"), ("low", "high"), ("same", "high")]
        assert all(one.comparisons == 3 and one.n == 60 for one in found)
        assert [one.p_bootstrap_holm for one in found] == holm([one.p_bootstrap for one in found])
        assert [one.p_randomization_holm for one in found] == holm([one.p_randomization for one in found])
        assert found[1].verdict().startswith("low is lower than high: -20.00 rouge1_fmeasure")
        assert "can't be told apart" in found[0].verdict() and "60 examples" in found[0].verdict()
        found = compare("rouge1_fmeasure", figures, against="low", samples=500)
        assert [(one.system, one.baseline) for one in found] == [("same", "low"), ("high", "low")]
        assert found[1].verdict().startswith("high is better than low: +20.00")

    def test_too_few_examples_are_said_to_be_too_few(self):
        (one,) = compare("x", {"a": figure([1.0] * 4), "b": figure([0.0] * 4)}, samples=2000)
        assert one.p_randomization > 0.05
        assert one.verdict().startswith("4 examples can't tell a from b")
        assert [n for n in range(1, 20) if too_few(n)] == [1, 2, 3, 4, 5]  # 2/2^6 is the first below 0.05
        assert too_few(7, comparisons=10) and not too_few(9, comparisons=10)

    @pytest.mark.parametrize(
        ("figures", "against", "message"),
        [
            ({"a": figure([1, 2]), "b": figure([1])}, None, "same examples, but their numbers differ"),
            ({"a": figure([]), "b": figure([])}, None, "no examples"),
            ({"a": figure([1], "x"), "b": figure([1], "y")}, None, "different ways can't be compared: x, y"),
            ({"a": figure([1]), "b": figure([1])}, "c", "no system 'c' among a, b"),
        ],
    )
    def test_what_can_not_be_compared(self, figures, against, message):
        with pytest.raises(ValueError, match=message):
            compare("x", figures, against)

    def test_chunks_do_not_change_the_result(self, monkeypatch):
        import trainer.scoring.significance as module

        a, b = figure(A[:7]), figure(B[:7])
        whole = approximate_randomization(a, b, 500, 2)
        for drawn_at_once in (1, 7 * 3, 7 * 16):
            monkeypatch.setattr(module, "_DRAWN_AT_ONCE", drawn_at_once)
            assert approximate_randomization(a, b, 500, 2) == whole
