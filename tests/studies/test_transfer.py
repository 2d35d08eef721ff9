"""Trained on each of two small sets and tested on three for real, and what the findings say."""

import json
import shutil

import numpy as np
import pytest

from trainer import study as command
from trainer.errors import UserError
from trainer.settings.base import ROOT
from trainer.settings.studies import STUDIES, TransferSettings, parse_training_study
from trainer.studies.transfer import cells_of, findings

SMOKE = ROOT / "trainer" / "recipes" / "smoke"
LINES = """from_scratch: CONFIG
max_steps: 1
max_new_tokens: 4
max_eval_samples: 1
max_source_length: 24
max_target_length: 8
max_validation_samples: 2
seeds: [1]
"""


def sets_in(folder, tested_only=("three",)):
    for name, rows in (("one", 3), ("two", 4), ("three", 2)):
        (folder / name).mkdir()
        for split in ("train", "validation", "test"):
            if split == "test" or name not in tested_only:
                lines = (SMOKE / f"{split}.jsonl").read_text("utf-8").splitlines(keepends=True)
                (folder / name / f"{split}.jsonl").write_text(
                    "".join(lines[: rows if split == "test" else None]), "utf-8"
                )
    return ",".join(str(folder / name) for name in ("one", "two", "three"))


def test_a_model_is_tested_on_every_set(tmp_path, capsys):
    shutil.copy(SMOKE / "config.json", tmp_path)
    (tmp_path / "quick.yaml").write_text(LINES.replace("CONFIG", "config.json"))
    flags = ["--study", str(tmp_path / "quick.yaml"), "--output_dir", str(tmp_path / "out")]
    assert command.main(["transfer", *flags, "--sets", sets_in(tmp_path)]) == 0
    record = json.loads((tmp_path / "out" / "study.json").read_text())
    assert [(cell["trained_on"], cell["tested_on"]) for cell in record["cells"]] == [
        (trained, tested) for trained in ("one", "two") for tested in ("one", "two", "three")
    ]
    for trial in record["trials"]:
        numbers = {trial["trained_on"]: trial} | trial["elsewhere"]
        assert {name: len(part["scores"]["rouge1_fmeasure"]) for name, part in numbers.items()} == {
            "one": 3, "two": 4, "three": 2,
        }  # fmt: skip
    assert {"from_own" in cell for cell in record["cells"] if cell["tested_on"] == "three"} == {False}
    assert (tmp_path / "out" / "study.svg").is_file()
    assert "| one | " in (tmp_path / "out" / "study.md").read_text()


def test_findings_tell_what_it_costs_to_come_from_elsewhere():
    draw = np.random.default_rng(0)
    level = {("a", "a"): 0.3, ("a", "b"): 0.2, ("b", "a"): 0.3, ("b", "b"): 0.3}
    trials = []
    for seed in (1, 2, 3):
        for trained in "ab":
            scores = {t: list(level[trained, t] + draw.normal(0, 0.02, 50)) for t in "ab"}
            parts = {t: {"scores": {"rouge1_fmeasure": scores[t]}} for t in "ab"}
            own = parts.pop(trained)
            trials.append({"state": "done", "trained_on": trained, "seed": seed, "elsewhere": parts} | own)
    cells = cells_of(trials, ["a", "b"])
    gaps = {(cell["trained_on"], cell["tested_on"]): cell.get("from_own") for cell in cells}
    assert gaps["a", "a"] is None and gaps["a", "b"]["value"] == pytest.approx(-0.1, abs=0.01)
    assert gaps["a", "b"]["p_holm"] < 0.05 < gaps["b", "a"]["p_holm"]
    found = findings({"cells": cells, "sets": ["a", "b"]})
    assert "trained on a and tested on b -1" in found.text and found.text.count("(not shown to differ)") == 1
    assert len(found.table.rows) == 2


def test_sets_that_are_none_are_refused(tmp_path):
    sets = sets_in(tmp_path, tested_only=("one", "two", "three"))
    with pytest.raises(UserError, match="none of the folders holds train and validation pairs"):
        parse_training_study(["--sets", sets], TransferSettings)
    with pytest.raises(UserError, match="name at least two folders"):
        parse_training_study(["--sets", str(tmp_path / "one")], TransferSettings)
    with pytest.raises(UserError, match=r"there is no test\.jsonl"):
        parse_training_study(["--sets", f"{tmp_path / 'one'},{tmp_path / 'four'}"], TransferSettings)
    assert (STUDIES / "transfer.yaml").is_file()
