"""The line about the model that answers."""

import pytest

from space.serving import STARTER_NAME, Status
from space.views import status
from space.views.status import status_line
from tests.space.pages import _Page


@pytest.mark.parametrize(
    ("state", "says", "does_not_say"),
    [
        (Status("ada/t5"), ["Loading the first model"], []),
        (Status("ada/t5", "asking", STARTER_NAME, parameters=3_140_000), ["starter", "3.1 million", "Asking"], []),
        (
            Status("ada/t5", "downloading", STARTER_NAME, done=37_000_000, total=242_000_000),
            ["Fetching ada/t5: 37.0 MB of 242 MB"],
            [],
        ),
        (Status("ada/t5", "loading", STARTER_NAME), ["Loading ada/t5"], []),
        (
            Status("ada/t5", "failed", STARTER_NAME, reason="there is no <b>network</b>."),
            ["There is no <b>network</b>."],
            [],
        ),
        (Status("ada/t5", "answering", "ada/t5", "0123456789"), ["Answering: ada/t5 0123456"], ["Fetching", "starter"]),
    ],
    ids=lambda value: value.phase if isinstance(value, Status) else "",
)
def test_status_line(state, says, does_not_say):
    shown = _Page(status_line(state)).text
    assert all(part in shown for part in says)
    assert not any(part in shown for part in does_not_say)


def test_the_status_is_looked_at_less_often_when_nothing_moves():
    assert status.WHEN_SETTLED > 10 * status.WHILE_MOVING
