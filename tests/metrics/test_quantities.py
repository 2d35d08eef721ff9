"""Numbers by their value, by hand."""

import pytest

from trainer.metrics.quantities import begins_quantity, digits_value, quantity_at, rounds_to


@pytest.mark.parametrize(
    ("text", "value", "words"),
    [
        ("3 boats", 3, 1),
        ("£2.4m for", 2.4e6, 1),
        ("$1.5bn", 1.5e9, 1),
        ("40k runners", 40_000, 1),
        ("2.4 million pounds", 2.4e6, 2),
        ("5% of", 5, 1),
        ("two boats", 2, 1),
        ("twenty five boats", 25, 2),
        ("ninety-nine", 99, 1),
        ("two hundred and fifty thousand boats", 250_000, 5),
        ("three million two hundred thousand and five", 3_200_005, 7),
        ("hundred boats", 100, 1),
        ("five six", 5, 1),
        ("two and three", 2, 1),
        ("3 five", 3, 1),
        ("twenty thirty", 20, 1),
        ("hundred and boats", 100, 1),
    ],
)
def test_values(text, value, words):
    assert quantity_at(text.split(), 0) == (pytest.approx(value), words)


@pytest.mark.parametrize("text", ["boats", "third", "and two", "twenty-boats", "$", "millions"])
def test_what_is_no_number(text):
    assert quantity_at(text.split(), 0) is None


def test_digits():
    assert [digits_value(text) for text in ("1,200", "£2.40", "€3tn", "12%")] == [1200, 2.4, 3e12, 12]


@pytest.mark.parametrize(
    ("exact", "stated", "rounds"),
    [
        (2_398_120, 2_400_000, True),
        (2_398_120, 2_300_000, False),
        (12.4, 12, True),
        (12.6, 12, False),
        (1, 1, True),
        (9.6, 10, False),  # one figure
        (0.0523, 0.052, True),
    ],
)
def test_rounding(exact, stated, rounds):
    assert rounds_to(exact, stated) is rounds


def test_words_that_a_number_begins():
    assert all(map(begins_quantity, ("three", "Twenty", "million", "fourth", "twenty-five")))
    assert not any(map(begins_quantity, ("boats", "once", "tenfold")))
