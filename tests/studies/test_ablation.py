"""An ablation of the smoke recipe for real, and what its findings say of records made by hand."""

import json
from collections import Counter

import numpy as np
import pytest

from trainer import study as command
from trainer.errors import UserError
from trainer.settings.studies import AblationSettings, parse_training_study
from trainer.studies.ablation import comparisons, findings, learns_other_pairs

LINES = """recipe: smoke
max_steps: 1
max_new_tokens: 4
max_eval_samples: 1
max_source_length: 24
max_target_length: 8
max_test_samples: 3
max_validation_samples: 2
test_noise: lost_case:1
changes: {frozen encoder: {freeze: encoder}}
"""


def test_a_study_is_run_resumed_and_grows(tmp_path, capsys):
    """One seed first, then two: what is done is not done again."""
    (tmp_path / "quick.yaml").write_text(LINES)
    flags = ["ablate", "--study", str(tmp_path / "quick.yaml"), "--output_dir", str(tmp_path)]
    assert command.main([*flags, "--seeds", "1"]) == 0
    first = capsys.readouterr().out
    assert "2 trials, 0 of them done, 2 to be begun." in first and "Measured on the base, all that should take" in first
    assert command.main([*flags, "--seeds", "1", "2"]) == 0
    second = capsys.readouterr().out
    assert "4 trials, 2 of them done, 2 to be begun." in second and "seed 1 …" not in second
    record = json.loads((tmp_path / "study.json").read_text())
    assert Counter((one["change"], one["seed"]) for one in record["trials"]) == {
        (change, seed): 1 for change in ("base", "frozen encoder") for seed in (1, 2)
    }
    for one in record["trials"]:
        assert one["state"] == "done" and one["data"]["n"] == len(one["scores"]["rouge1_fmeasure"]) == 3
        assert one["training"]["steps"] == 1 and one["commit"]
        noisy = one["elsewhere"]["lost case, 1"]
        assert len(noisy["scores"]["rouge1_fmeasure"]) == 3
        assert noisy["data"]["fingerprint"] != one["data"]["fingerprint"]
    # The same seed starts from the same weights; what is frozen is not what is trained.
    losses = {(one["change"], one["seed"]): one["training"]["first_loss"] for one in record["trials"]}
    assert losses["frozen encoder", 1] == pytest.approx(losses["base", 1], rel=1e-5)
    assert losses["base", 2] != pytest.approx(losses["base", 1], rel=1e-5)
    assert [one["change"] for one in record["comparisons"]] == ["frozen encoder"]
    assert record["comparisons"][0]["lost case, 1"]["p_holm"] <= 1
    assert "Δ ROUGE-1 (lost case, 1)" in (tmp_path / "study.md").read_text()
    assert (tmp_path / "study.svg").read_text().startswith("<svg")
    assert record["findings"] in (tmp_path / "study.md").read_text() and record["findings"] in second
    assert not any((tmp_path / "trials").iterdir())  # models are not kept
    # The files can be written anew from the store alone.
    (tmp_path / "study.json").unlink()
    assert command.main([*flags, "--seeds", "1", "2", "3", "--report_only"]) == 0
    assert "6 trials, 4 of them done, 2 to be begun.\n" in capsys.readouterr().out
    assert len(json.loads((tmp_path / "study.json").read_text())["trials"]) == 4
    # Another base is another study.
    assert command.main([*flags, "--learning_rate", "0.5"]) == 2
    assert "learning_rate: 0.003 -> 0.5" in capsys.readouterr().err


def trial(change, seed, scores, loss):
    return {
        "name": f"{change}, seed {seed}",
        "state": "done",
        "change": change,
        "seed": seed,
        "settings": {},
        "scores": {name: scores for name in ("rouge1_fmeasure", "rouge2_fmeasure", "rougeL_fmeasure")},
        "training": {
            "evaluations": [{"step": 3, "loss": 9.0}, {"step": 6, "loss": loss}],
            "best_step": 6,
            "parameters": 5_700_000,
            "steps": 6,
            "pairs_per_step": 8,
        },
        "data": {"n": len(scores), "dataset": "xsum/test.jsonl"},
    }


def test_findings_tell_what_is_shown_from_what_is_not():
    draw = np.random.default_rng(0)
    articles = draw.uniform(0.05, 0.3, 60)
    trials = []
    for seed in (1, 2, 3):
        noise = draw.normal(0, 0.01, (3, 60))
        trials.append(trial("base", seed, list(articles + noise[0]), 3.0 + 0.001 * seed))
        trials.append(trial("random start", seed, list(articles - 0.05 + noise[1]), 5.0))
        trials.append(trial("no prefix", seed, list(articles + 3 * noise[2]), 3.0 + 0.002 * seed))
    compared = comparisons(trials)
    worse, same = compared
    assert worse["rouge1_fmeasure"]["value"] == pytest.approx(-0.05, abs=0.01) and worse["seeds"] == [1, 2, 3]
    assert worse["rouge1_fmeasure"]["p_holm"] < 0.05 < same["rouge1_fmeasure"]["p_holm"]
    assert worse["validation_loss"]["value"] == pytest.approx(2.0, abs=0.01)  # at the chosen checkpoint, not the first
    found = findings({"comparisons": compared, "trials": trials, "planned": 9})
    assert "Of 2 changes, 1 moves ROUGE-1 beyond chance" in found.text and "random start (-" in found.text
    assert "For the other 1 nothing is shown" in found.text
    assert [row[0] for row in found.table.rows] == ["base", "random start", "no prefix"]
    assert "Millions of weights" not in found.notes
    for one in trials[1::3]:
        one["training"]["parameters"] = 7_500_000
    noted = findings({"comparisons": compared, "trials": trials, "planned": 9}).notes
    assert noted.endswith("where they are not those of the base (5.70): random start 7.50.")
    assert "one seed" not in found.text and "are done" not in found.text


def test_findings_of_an_unfinished_study_say_so():
    draw = np.random.default_rng(0)
    trials = [trial(change, 1, list(draw.uniform(0, 0.3, 60)), 3.0) for change in ("base", "no prefix")]
    found = findings({"comparisons": comparisons(trials), "trials": trials, "planned": 6})
    assert (
        found.text.startswith("2 of 6 trials are done.")
        and "One seed says nothing of the validation loss." in found.text
    )
    assert "1 of the 1 comparisons have one seed: their intervals are about other pairs alone" in found.text


def test_a_change_without_a_base_of_its_seed_is_not_compared():
    assert comparisons([trial("base", 1, [0.1, 0.2], 3.0), trial("no prefix", 2, [0.1, 0.2], 3.0)]) == []


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("ablation", []),
        ("smoke-ablation", []),
        ("kinds", []),
        ("robust-training", ["--other_train_files", "other.jsonl"]),
    ],
)
def test_shipped_ablations_are_valid(name, flags):
    study = parse_training_study(["--study", name, *flags], AblationSettings)
    for change, settings in study.own.changes.items():
        changed = study.settings(settings, 1, study.output_dir)
        assert changed.to_dict() != study.settings({}, 1, study.output_dir).to_dict(), change


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ("recipe: smoke\n", "changes is empty"),
        ("recipe: smoke\nchanges: {base: {prefix: ''}}\n", "what the unchanged settings are called"),
        ("recipe: smok\nchanges: {a: {prefix: ''}}\n", "There is no recipe smok: did you mean smoke"),
        ("recipe: smoke\nchanges: {a: {prefix: ''}}\nseeds: [1, 1]\n", "give at least one, each once"),
        ("recipe: smoke\nlerning_rate: 1\n", "no setting .* lerning_rate: did you mean learning_rate"),
    ],
)
def test_a_wrong_file_is_told_before_anything_is_loaded(tmp_path, lines, sentence):
    (tmp_path / "wrong.yaml").write_text(lines)
    with pytest.raises(UserError, match=sentence):
        parse_training_study(["--study", str(tmp_path / "wrong.yaml")], AblationSettings)


def test_a_change_that_reads_other_pairs_is_seen():
    flags = ["--study", "robust-training", "--other_train_files", "other.jsonl"]
    study = parse_training_study(flags, AblationSettings)
    data = {change: study.settings(over, 1, study.output_dir).data for change, over in study.own.changes.items()}
    base = study.settings({}, 1, study.output_dir).data
    assert [change for change, one in data.items() if learns_other_pairs(one, base)] == ["a second task"]
    assert learns_other_pairs(study.settings({"max_train_samples": 5}, 1, study.output_dir).data, base)


def test_a_wrong_change_is_told_before_the_first_trial(tmp_path, capsys):
    (tmp_path / "wrong.yaml").write_text("recipe: smoke\nchanges: {a: {freeze: everything}}\n")
    assert command.main(["ablate", "--study", str(tmp_path / "wrong.yaml"), "--output_dir", str(tmp_path / "out")]) == 2
    assert "There is no part of a T5 (--freeze) everything" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_no_such_study(capsys):
    assert command.main(["ablat"]) == 2
    assert "There is no study ablat: did you mean ablate?" in capsys.readouterr().err
    assert command.main([]) == 0
    assert "robustness" in capsys.readouterr().out
