"""Durations in words."""

import pytest

from trainer.runtime.durations import spoken


@pytest.mark.parametrize(
    ("seconds", "said", "exactly"),
    [
        (0.35, "350 ms", "350 ms"),
        (4.25, "4.2 s", "4.2 s"),
        (45, "45 s", "45.0 s"),
        (200, "3.3 minutes", "3.3 minutes"),
        (1000, "17 minutes", "16.7 minutes"),
        (6000, "1.7 hours", "1.7 hours"),
        (90_000, "1.0 days", "1.0 days"),
    ],
)
def test_spoken(seconds, said, exactly):
    assert (spoken(seconds), spoken(seconds, exactly=True)) == (said, exactly)
