"""Errors of the Hub in sentences."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx2
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

from tests.hub.calls import answer, wrapped
from trainer.errors import UserError
from trainer.hub.explain import explain, redact, retry_after


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (answer(404, "RepoNotFound"), r"there is no model ada/t5 on the Hub, or it is private"),
        (answer(401, "RepoNotFound"), r"there is no model ada/t5.*hf auth login"),
        (answer(401, None, "Invalid credentials in Authorization header"), r"does not accept"),
        (answer(403, "GatedRepo"), r"gated \(403\). Ask for access"),
        (answer(403), r"may not read model ada/t5"),
        (answer(404, "RevisionNotFound"), "not in the revision"),
        (answer(404, "EntryNotFound"), "lacks a file that is needed"),
        (answer(429, Retry_After="7"), "again in 7 s"),
        (answer(500), r"trouble of its own \(500\)"),
        (wrapped(answer(404, "RepoNotFound")), "there is no model ada/t5"),
        (wrapped(wrapped(httpx2.ConnectError("no route")), LocalEntryNotFoundError), "cannot be reached"),
        (LocalEntryNotFoundError("not in the cache"), "not in the local cache"),
        (httpx2.ReadTimeout("slow"), "did not answer in time"),
        (httpx2.RemoteProtocolError("peer closed connection"), "the connection broke"),
        (httpx2.LocalProtocolError("Illegal header value b'Bearer hf_a b'"), "holds a character that no token has"),
        (httpx2.InvalidURL("Invalid port: ':1]'"), "NO_PROXY. In the last, ::1 stands without brackets"),
        ("hf_abc…".encode, "holds a character that no token has.*HF_TOKEN"),
        (OSError("Consistency check failed: file should be of size 9 but has size 3"), "cut short"),
        (OSError(28, "No space left on device"), "the disk is full"),
        (OfflineModeIsEnabled("offline"), "HF_HUB_OFFLINE is set"),
        (KeyError("unforeseen"), "unforeseen.*KeyError"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else type(value).__name__,
)
def test_explain(error, sentence):
    if callable(error):
        with pytest.raises(UnicodeEncodeError) as raised:
            error("ascii")
        error = raised.value
    explained = explain(error, "ada/t5", "fetching ada/t5")
    assert isinstance(explained, UserError)
    assert re.search(f"^Fetching ada/t5 did not work: .*{sentence}", str(explained))


def test_explain_keeps_a_user_error():
    error = UserError("as it is")
    assert explain(error, "a/b", "doing") is error


def test_redact(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "oidc.secret")
    assert redact("a oidc.secret b hf_" + "x" * 34 + " c hf_hub_download") == "a hf_… b hf_… c hf_hub_download"


def test_retry_after_forms():
    assert retry_after(answer(429, Retry_After="12")) == 12
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert 27 < retry_after(answer(503, Retry_After=soon)) <= 30
    assert retry_after(answer(429, ratelimit='"api";r=0;t=55')) == 55
    assert retry_after(answer(429, ratelimit='"api";r=3;t=55')) is None
    assert retry_after(answer(429, Retry_After="soon")) is None
