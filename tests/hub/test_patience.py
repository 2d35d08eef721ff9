"""How long a call is tried."""

import time

import pytest
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

from tests.hub.calls import Heard, answer
from trainer.hub.patience import Patience, retry


def test_retry_ends_in_time_and_does_not_insist_where_it_is_useless():
    calls, heard = [], Heard()

    def fail(error):
        calls.append(time.monotonic())
        raise error

    start = time.monotonic()
    with pytest.raises(HfHubHTTPError):
        retry(
            lambda: fail(answer(503)),
            "x",
            patience=Patience(total=0.5, first_wait=0.1, longest_wait=0.2),
            say=heard,
        )
    assert time.monotonic() - start < 0.6 and 3 <= len(calls) <= 5
    assert "503 while x; try 2 in 0 s" in heard.text and "Giving up: " in heard.text
    calls.clear()
    for error in (answer(403), answer(404, "RepoNotFound"), ValueError("bug"), OfflineModeIsEnabled("off")):
        with pytest.raises(type(error)):
            retry(lambda error=error: fail(error), "x", say=heard)
    assert len(calls) == 4


def test_the_time_limit_is_taken_back():
    from huggingface_hub import get_session

    before = get_session().timeout
    seen = retry(lambda: get_session().timeout, "x", patience=Patience(silence=7.0), say=Heard())
    assert seen.read == 7.0 and get_session().timeout == before
