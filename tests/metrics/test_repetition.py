"""Repetition by hand."""

import math

import pytest

from trainer.metrics.repetition import repetition


class TestRepetition:
    @pytest.mark.parametrize(
        ("text", "share"),
        [
            ("a b c a b c", 1 / 4),  # abc bca cab abc
            ("no no no no no", 2 / 3),
            ("No, no! NO no", 1 / 2),
            ("all words differ here", 0.0),
            ("too short", math.nan),
            ("", math.nan),
        ],
    )
    def test_by_hand(self, text, share):
        assert repetition([text], [""], [""])["repeated_trigram_share"].value == pytest.approx(share, nan_ok=True)
