"""Shares of a blind reading, by hand."""

import json
from pathlib import Path

import pytest

from trainer.report.reading import QUESTIONS, main, reading_tables, share

RECORD = Path(__file__).resolve().parents[2] / "trainer" / "records" / "reading.json"


@pytest.mark.parametrize(
    ("answers", "text"),
    [
        ([1, 1, 1, 0], "75% [30, 95]"),  # Wilson: (0.75 + 0.4802 ± 0.6152) / 1.9604
        ([1] * 60, "100% [94, 100]"),  # 60 / 63.8415
        ([0] * 60, "0% [0, 6]"),
    ],
)
def test_shares_and_intervals(answers, text):
    assert share(answers) == text


def judged(system: str, *answers: int, kind: str = "with lead") -> dict:
    return {"kind": kind, "system": system, **dict(zip(QUESTIONS, answers, strict=True))}


def test_a_table_for_each_kind():
    text = reading_tables([judged("a", 1, 1, 1, 0), judged("a", 1, 0, 1, 0), judged("b", 1, 1, 1, 1, kind="without")])
    assert "| 2 articles with lead |" in text and "| 1 articles without |" in text
    assert "| a | 100% [34, 100] | 50% [9, 91] | 100% [34, 100] | 0% [0, 66] |" in text


def test_the_committed_reading_is_whole(capsys):
    record = json.loads(RECORD.read_text("utf-8"))
    rows = record["judgements"]
    assert len(rows) == 600 == len({(row["system"], row["article"]) for row in rows})
    for kind in ("with lead", "without lead"):
        of_kind = [row for row in rows if row["kind"] == kind]
        assert len({row["article"] for row in of_kind}) == 60 and len({row["system"] for row in of_kind}) == 5
    assert {row[question] for row in rows for question in QUESTIONS} == {0, 1}
    main([str(RECORD)])
    assert capsys.readouterr().out.strip() == reading_tables(rows)
