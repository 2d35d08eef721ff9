"""The chip that says who answers."""

import json

import pytest

from space.engine import Engine
from space.serving import STARTER_NAME, Status
from space.views import layout
from space.views.chip import chip, measured, plain, takeover
from tests.space.pages import _Page
from tests.tiny import tiny_t5

NEXT = 1_790_000_000.0  # seconds since 1970: 2026-09-21 14:13 UTC


@pytest.mark.parametrize(
    ("state", "says", "does_not_say"),
    [
        (Status("ada/t5"), ["Loading the first model"], []),
        (Status("ada/t5", "asking", STARTER_NAME, parameters=3_140_000), ["starter", "3.1 million", "Asking"], []),
        (
            Status("ada/t5", "downloading", STARTER_NAME, done=37_000_000, total=242_000_000),
            ["fetching t5: 15%", "Fetching ada/t5: 37.0 MB of 242 MB"],
            [],
        ),
        (Status("ada/t5", "loading", STARTER_NAME), ["Loading ada/t5"], []),
        (
            Status("ada/t5", "failed", STARTER_NAME, reason="there is no <b>network</b>. Mend it.", next_try=NEXT),
            ["why not t5?", "There is no <b>network</b>. Next try at 14:13 UTC."],
            ["Mend it"],
        ),
        (Status("ada/t5", "answering", "ada/t5", "0123456789"), ["ada/t5 0123456"], ["Fetching", "starter"]),
    ],
    ids=lambda value: value.phase if isinstance(value, Status) else "",
)
def test_chip(state, says, does_not_say):
    shown = _Page(chip(state, None)).text
    assert all(part in shown for part in says)
    assert not any(part in shown for part in does_not_say)


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        (
            "Fetching ada/t5 did not work: the Hub cannot be reached ([Errno 111] Connection refused). Is there one?",
            "Fetching ada/t5 did not work: the Hub cannot be reached.",
        ),
        ("the Hub did not answer in time (ReadTimeout). Try again later.", "The Hub did not answer in time."),
        ("", ""),
    ],
)
def test_a_reason_is_one_plain_sentence(reason, told):
    assert plain(reason) == told


def test_a_folder_is_told_by_its_last_part_only(tmp_path):
    folder = tmp_path / "my-model"
    folder.mkdir()
    model, tokenizer = tiny_t5(seed=5)
    engine = Engine(model, tokenizer, name=str(folder), folder=folder)
    shown = chip(Status(str(folder), "answering", str(folder), parameters=5_700_000), engine)
    assert engine.label == "my-model" and "my-model" in shown and str(tmp_path) not in shown
    assert "No measured scores came with it." in shown
    limit = f"{engine.own_decoding['max_source_length']:,}"
    assert f"reads the first {limit} tokens" in shown


def test_measured_scores_are_those_of_the_record(tmp_path):
    metrics = {
        f"rouge{name}_fmeasure": {"value": value, "low": value - 0.01, "high": value + 0.01}
        for name, value in (("1", 0.2), ("2", 0.05), ("L", 0.15))
    }
    record = {"evaluations": [{"metrics": metrics, "data": {"n": 999, "dataset": "xsum/test.jsonl"}}]}
    (tmp_path / "results.json").write_text(json.dumps(record), "utf-8")
    assert measured(tmp_path) == (
        "Measured: ROUGE-1 20.0 [19.0, 21.0], ROUGE-2 5.0 [4.0, 6.0], ROUGE-L 15.0 [14.0, 16.0] "
        "(F1 × 100, 95% intervals) on 999 articles of xsum/test.jsonl."
    )
    (tmp_path / "results.json").write_text("{}", "utf-8")
    assert measured(tmp_path) is None


def test_the_page_says_when_another_model_takes_over():
    model, tokenizer = tiny_t5(seed=5)
    first, second = (Engine(model, tokenizer, name=name) for name in ("starter", "ada/t5"))
    assert takeover(None, first) == takeover(first, None) == takeover(first, first) == ""
    assert _Page(takeover(first, second)).text == "ada/t5 answers now; what is shown is by starter. Ask ada/t5"


def test_the_status_is_looked_at_less_often_when_nothing_moves():
    assert layout.WHEN_SETTLED > 10 * layout.WHILE_MOVING
