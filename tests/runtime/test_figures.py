"""Figures as people read them."""

from trainer.runtime.figures import figure_and_interval, signed, with_interval


def test_intervals():
    assert with_interval(0.1234, 0.1, 0.15) == "12.34 [10.00, 15.00]"
    assert with_interval(-0.01, -0.02, 0.0, sign="+") == "-1.00 [-2.00, +0.00]"
    assert with_interval(None, None, None) == "–"
    assert figure_and_interval(17.04, 16, 18, 1, 1) == ("17.0", "[16.0, 18.0]")
    assert figure_and_interval(None, None, None) == ("–", "")


def test_signs():
    assert [signed(value) for value in (1.234, -0.5, -0.001, 0)] == ["+1.23", "−0.50", "0.00", "0.00"]
