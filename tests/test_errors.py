"""The nearest name that a sentence offers."""

import pytest

from trainer.errors import nearest


@pytest.mark.parametrize(
    ("name", "expected"),
    [("documnt", "document"), ("DOCUMENT", "document"), ("summery", "Summary"), ("xyz", None), ("", None)],
)
def test_nearest(name, expected):
    assert nearest(name, ["id", "document", "Summary"]) == expected


def test_nothing_is_near_nothing():
    assert nearest("document", []) is None
