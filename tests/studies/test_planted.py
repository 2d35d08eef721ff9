"""False facts that are planted and found again: by hand, the committed record, and the command."""

import json
import random
import re
from pathlib import Path

import pytest

from trainer.studies import joined
from trainer.studies.planted import Pair, Unread, choose, false_names, main, measure, names_of, plant

RECORDS = Path(__file__).resolve().parents[2] / "trainer" / "records"
ARTICLE = (
    "Anna Vell opened the bridge in Orsa on Monday. It cost 12 crowns and took four years. The city of Orsa paid for "
    "it in 2019. People in Orsa, where Anna Vell lives, are glad."
)
SUMMARY = "Anna Vell opened a bridge in Orsa on Monday for 12 crowns."
NAMES = ["Bo Ash", "Cy Elm", "Harrow", "Ulm"]


def pair(summary: str = SUMMARY, row: int = 0) -> Pair:
    return Pair("a.jsonl", row, summary, ARTICLE)


@pytest.mark.parametrize("seed", range(8))
def test_what_is_planted_stands_nowhere_in_the_article(seed):
    text, planted = plant(pair(), NAMES, random.Random(seed))
    assert set(planted) == {"name", "number", "date"}
    assert all(false in text and not re.search(rf"\b{false}\b", ARTICLE) for false in planted.values())
    assert len(text.split()) == len(SUMMARY.split())
    assert planted["date"].endswith("day") and planted["number"].isdigit()
    assert planted["name"] in NAMES or planted["name"].split()[0] in ("Anna", "Bo", "Cy")


def test_names_by_their_spelling():
    assert [name[0] for name in names_of(SUMMARY, ARTICLE)] == ["Anna Vell", "Orsa"]
    assert [name[0] for name in names_of("Police met Anna Vell on Monday.", ARTICLE)] == ["Anna Vell"]


def test_a_false_name_is_nothing_that_is_written_in_lower_case():
    texts = ["They saw Close Friends and Bo Ash in Ulm.", "The friends met Reading fans.", "We like reading Ulm maps."]
    assert false_names([pair(text) for text in texts]) == ["Bo Ash", "Ulm"]


def test_figures_by_hand():
    found = measure([pair(), pair("It took four years, says the Mayor of Orsa.")], NAMES, seed=1)
    # Of the first a name, a number and a date, of the second a number and a name; "Mayor" is no name.
    assert [set(case["planted"]) for case in found["cases"]] == [{"date", "number", "name"}, {"number", "name"}]
    assert found["figures"]["recall"]["n"] == 5 and found["figures"]["recall"]["value"] == 1.0
    assert found["figures"]["precision"]["value"] == 1.0 and found["summaries"] == 2


def test_what_is_flagged_and_not_judged_stops_the_choice():
    pairs = [pair(), pair("Anna Vell met Bo Orm.", row=1), pair("No facts here.", row=2), pair("Orsa is glad.", row=3)]
    with pytest.raises(Unread, match="1 flagged facts") as error:
        choose(pairs, {}, 3)
    assert [(one.row, fact) for one, fact in error.value.unread] == [(1, "Bo Orm")]
    assert [one.row for one in choose(pairs, {("a.jsonl", 1, "Bo Orm"): True}, 3)] == [0, 1, 3]
    assert [one.row for one in choose(pairs, {("a.jsonl", 1, "Bo Orm"): False}, 3)] == [0, 3]


def test_the_command(tmp_path, capsys):
    data, record = tmp_path / "data.jsonl", tmp_path / "record.json"
    data.write_text(json.dumps({"document": ARTICLE, "summary": SUMMARY}) + "\n", "utf-8")
    assert main(["--data_file", str(data), "--record", str(record), "--number", "1"]) == 0
    assert "recall: 100%" in capsys.readouterr().out
    found = json.loads(record.read_text("utf-8"))
    assert found["summaries"] == 1 and found["seed"] == 14 and found["judged"] == []
    row = {"document": "Nobody knows.", "summary": "Bo Orm left in 2019."}
    data.write_text(json.dumps(row) + "\n", "utf-8")
    unread = tmp_path / "unread.jsonl"
    arguments = ["--data_file", str(data), "--record", str(record), "--number", "1", "--to_read", str(unread)]
    assert main(arguments) == 2
    assert "2 flagged facts" in capsys.readouterr().err
    assert [json.loads(line)["fact"] for line in unread.read_text("utf-8").splitlines()] == ["Bo Orm", "2019"]


def test_pairs_of_another_record_are_held_out(tmp_path):
    data, first, second = tmp_path / "data.jsonl", tmp_path / "first.json", tmp_path / "second.json"
    data.write_text(2 * (json.dumps({"document": ARTICLE, "summary": SUMMARY}) + "\n"), "utf-8")
    asked = ["--data_file", str(data), "--number", "1", "--record"]
    assert main([*asked, str(first)]) == main([*asked, str(second), "--held_out_from", str(first)]) == 0
    rows = [json.loads(record.read_text("utf-8"))["cases"][0]["row"] for record in (first, second)]
    assert sorted(rows) == [0, 1]


@pytest.mark.parametrize("name", ["planted", "planted-held-out"])
def test_the_committed_records_keep_what_was_promised(name):
    record = json.loads((RECORDS / f"{name}.json").read_text("utf-8"))
    figures = record["figures"]
    assert record["summaries"] == 300 == len(record["cases"])
    assert figures["recall"]["value"] >= 0.95 and figures["precision"]["value"] >= 0.8
    planted = sum(len(case["planted"]) for case in record["cases"])
    missed = sum(len(case["missed"]) for case in record["cases"])
    assert figures["recall"]["n"] == planted
    assert figures["recall"]["value"] == pytest.approx(1 - missed / planted)


def test_no_pair_is_in_both_records():
    pairs = [
        {(case["data"], case["row"]) for case in json.loads((RECORDS / name).read_text("utf-8"))["cases"]}
        for name in ("planted.json", "planted-held-out.json")
    ]
    assert len(pairs[0]) == len(pairs[1]) == 300 and not pairs[0] & pairs[1]


def test_the_reading_of_joined_summaries():
    record = json.loads((RECORDS / "joined.json").read_text("utf-8"))
    judged = record["judged"]
    assert len(judged) == 100 == len({one["row"] for one in judged})
    warned = [one for one in judged if one["places"] >= joined.WARNED_FROM]
    right = sum(one["label"] == "joined" for one in warned)
    assert record["figures"]["precision"]["value"] == pytest.approx(right / len(warned))
    assert record["figures"]["recall"]["value"] == pytest.approx(right / record["labels"]["joined"])


def test_the_join_warning_is_measured_by_hand():
    article = "Anna Vell opened the bridge. The city of Orsa paid for it."
    rows = [
        {"row": 0, "summary": "Anna Vell opened the city of Orsa.", "label": "joined"},
        {"row": 0, "summary": "Anna Vell opened the bridge.", "label": "faithful"},
        {"row": 0, "summary": "The bridge cost nothing.", "label": "joined"},
        {"row": 0, "summary": "Anna Vell opened; the city of Orsa paid for it.", "label": "faithful"},
    ]
    found = joined.measure(rows, [article])
    assert [row["places"] for row in rows] == [2, 1, 0, 2]
    assert found["figures"]["precision"]["value"] == 1 / 2 and found["figures"]["recall"]["value"] == 1 / 2
    assert found["labels"] == {"joined": 2, "faithful": 2} and found["warned"] == {"joined": 1, "faithful": 1}
