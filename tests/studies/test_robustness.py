"""Robustness of baselines on the smoke articles for real: what a change must do to Lead-1 is known."""

import json

import pytest

from trainer import study as command
from trainer.data.splits import Example
from trainer.errors import UserError
from trainer.settings.base import ROOT
from trainer.settings.studies import parse_robustness
from trainer.studies.robustness import change_all, changes_of, robustness

TEST = str(ROOT / "trainer" / "recipes" / "smoke" / "test.jsonl")
LINES = """systems: lead-1
test_samples: 200
changes:
  shuffled sentences: [1.0]
  lost case: [1.0]
  irrelevant sentence in front: [1]
  planted instruction: [1]
"""


@pytest.fixture
def flags(tmp_path):
    (tmp_path / "small.yaml").write_text(LINES)
    return ["--study", str(tmp_path / "small.yaml"), "--test_file", TEST, "--output_dir", str(tmp_path / "out")]


def test_lead_1_takes_what_stands_in_front_and_obeys_nobody(flags, tmp_path, capsys):
    assert command.main(["robustness", *flags]) == 0
    record = json.loads((tmp_path / "out" / "study.json").read_text())
    n = record["evaluations"][0]["data"]["n"]
    found = {one["change"]: one for one in record["comparisons"]}
    front, case = found["irrelevant sentence in front, 1"], found["lost case, 1"]
    assert front["planted"] == {"n": n, "reached": n, "low": pytest.approx(0.6, abs=0.3), "high": 1.0}
    assert front["summaries_changed"] == front["articles_changed"] == n
    clean = record["evaluations"][0]["metrics"]["rouge1_fmeasure"]["value"]
    assert front["rouge1_fmeasure"]["value"] == pytest.approx(front["rouge1_fmeasure"]["changed"] - clean) != 0
    assert case["rouge1_fmeasure"]["value"] == case["rouge1_fmeasure"]["low"] == 0  # ROUGE knows no case
    assert found["planted instruction"]["planted"]["reached"] == 0  # never in front
    assert "planted" not in case and found["shuffled sentences, 1"]["summaries_changed"] > 0
    text = (tmp_path / "out" / "study.md").read_text()
    assert record["findings"] in text and "100% [" in text
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["study.json", "study.md", "study.svg"]


def test_a_study_that_was_stopped_goes_on(flags, capsys):
    study = parse_robustness(flags)

    def stop_at_the_third(text):
        if text.startswith("lost case"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        robustness(study, stop_at_the_third)
    capsys.readouterr()
    robustness(study, print)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("lead-1: ")]
    assert ["are there" in line for line in lines] == [True, True, False, False, False]


def test_what_an_article_becomes_does_not_depend_on_the_others():
    one, other = Example("1", "One boat sank. Two men swam ashore at once.", "x"), Example("2", "Rain fell.", "y")
    alone, both = change_all([one], "typos", 0.3, 1), change_all([one, other], "typos", 0.3, 1)
    assert alone[0] == both[0] and both != change_all([one, other], "typos", 0.3, 2)
    assert change_all([one, other], "irrelevant sentence", 1, 1)[0].planted == ("Rain fell.",)


def test_wrong_changes_are_refused():
    with pytest.raises(UserError, match="There is no change of articles typo: did you mean typos"):
        changes_of({"typo": [0.1]})
    with pytest.raises(UserError, match=r"changes\.typos is empty"):
        changes_of({"typos": []})
    assert len(changes_of({})) > 30
