"""Lengths by hand."""

import pytest

from trainer.metrics.lengths import lengths


def test_lengths_by_hand():
    found = lengths(["two words", "", "one"], ["a b c"] * 3, ["1 2 3 4 5 6", "1 2", "1 2 3"])
    values = {name: (figure.value, figure.n) for name, figure in found.items()}
    assert values == {
        "summary_words": (1.0, 3),
        "reference_words": (3.0, 3),
        "source_words": (pytest.approx(11 / 3), 3),
        "compression": (3.0, 2),  # 6/2 and 3/1; the empty summary has none
        "empty_share": (pytest.approx(1 / 3), 3),
    }
    assert found["compression"].signature == "compression|tool:trainer|words:whitespace"
