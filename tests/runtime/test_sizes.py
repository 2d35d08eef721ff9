"""Sizes in words: enough digits to tell two of them apart, and never 0.0."""

import pytest

from trainer.runtime.sizes import spoken_size


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"),
        (512, "512 bytes"),
        (4_100, "4.1 kB"),
        (250_000, "250 kB"),
        (12_340_000, "12.3 MB"),
        (242_000_000, "242 MB"),
        (3_100_000_000, "3.1 GB"),
        (1_500_000_000_000, "1500.0 GB"),
    ],
)
def test_sizes(size, words):
    assert spoken_size(size) == words
