"""A sweep of the smoke recipe for real, its pruning, and what its findings say."""

import json

import numpy as np
import optuna
import pytest

from trainer import study as command
from trainer.errors import UserError
from trainer.settings.studies import STUDIES, SweepSettings, parse_training_study
from trainer.studies.store import Slot, Store
from trainer.studies.sweep import drawn_points, findings, importance_of, points_of, read_space, slots_of

QUICK = ["--study", "smoke-sweep", "--max_new_tokens", "4", "--max_eval_samples", "1", "--max_source_length", "24"]
QUICK += ["--max_target_length", "8", "--max_validation_samples", "2", "--max_steps", "1"]


def study_of(tmp_path, lines):
    (tmp_path / "study.yaml").write_text(f"recipe: smoke\n{lines}")
    return parse_training_study(["--study", str(tmp_path / "study.yaml"), "--output_dir", str(tmp_path)], SweepSettings)


def test_a_grid_is_swept(tmp_path, capsys):
    study_of(tmp_path, "seeds: [1]\nspace: {learning_rate: [1e-3, 1e-2], train_batch_size: [2]}\n")
    flags = ["--study", str(tmp_path / "study.yaml"), "--output_dir", str(tmp_path)]
    assert command.main(["sweep", *QUICK[2:], *flags]) == 0
    record = json.loads((tmp_path / "study.json").read_text())
    assert sorted(one["params"]["learning_rate"] for one in record["trials"]) == [0.001, 0.01]
    assert {one["data"]["split"] for one in record["trials"]} == {"validation"}  # test pairs are never looked at
    assert {one["training"]["pairs_per_step"] for one in record["trials"]} == {2}
    assert len(record["points"]) == 2 and "2 trials (2 done)" in capsys.readouterr().out
    assert "Seeds | ROUGE-1 | from the best" in (tmp_path / "study.md").read_text()
    assert (tmp_path / "study.svg").read_text().startswith("<svg")


def test_a_trial_behind_the_others_is_ended_early(tmp_path, capsys):
    """The median pruner sees the validation ROUGE of every evaluation; the last trial is told to be bad."""
    space = "space: {learning_rate: {low: 1e-9, high: 1e-2, log: true}}\n"
    study = study_of(tmp_path, f"{space}sampler: random\ntrials: 1\npruner: median\nseeds: [1]\n")
    flags = [*QUICK[2:-1], "3", "--eval_every", "1", "--output_dir", str(tmp_path)]
    store = optuna.create_study(study_name="study", storage=study.storage, direction="maximize")
    better = {step: 0.9 for step in (1, 2, 3)}
    for _ in range(3):  # of somebody else, all better than a toy can be
        store.add_trial(optuna.create_trial(value=0.9, intermediate_values=better, params={}, distributions={}))
    assert command.main(["sweep", "--study", str(tmp_path / "study.yaml"), *flags]) == 0
    assert "ended early, it was behind the others" in capsys.readouterr().out
    (pruned,) = [trial for trial in store.get_trials() if trial.state == optuna.trial.TrialState.PRUNED]
    assert list(pruned.intermediate_values) == [1] and not any((tmp_path / "trials").iterdir())


def test_importance_is_of_what_matters(tmp_path):
    store = Store(f"sqlite:///{tmp_path / 'study.db'}", "known", tmp_path)
    points = [{"rate": rate, "size": size} for rate in (1, 2, 3) for size in (1, 2, 3)]
    store.plan([Slot(str(point), {"seed": 1}, point) for point in points], {})
    assert importance_of(store) == {}  # nothing is done yet
    store.work(
        lambda trial: trial.suggest_categorical("rate", [1, 2, 3]) + 0.01 * trial.suggest_categorical("size", [1, 2, 3])
    )
    found = importance_of(store)
    assert list(found) == ["rate", "size"] and found["rate"] > 0.9 and sum(found.values()) == pytest.approx(1)


def test_points_that_chance_draws(tmp_path):
    lines = "space: {learning_rate: {low: 1e-5, high: 1e-2, log: true}, train_batch_size: [2, 4]}\n"
    study = study_of(tmp_path, f"{lines}sampler: random\ntrials: 6\n")
    space = read_space(study)
    points = drawn_points(space, 6)
    assert points[:3] == drawn_points(space, 3) and len({str(point) for point in points}) == 6
    assert all(1e-5 <= point["learning_rate"] <= 1e-2 and point["train_batch_size"] in (2, 4) for point in points)
    assert sum(point["learning_rate"] < 10**-3.5 for point in points) in range(1, 6)  # drawn by its logarithm
    assert len(drawn_points({"train_batch_size": [2, 4]}, 5)) == 2  # no more than there are
    assert len(slots_of(study, space)) == 18  # three seeds each


def test_findings_tell_a_best_from_those_that_are_near():
    draw = np.random.default_rng(0)
    articles = draw.uniform(0.05, 0.3, 80)
    trials = []
    for rate, shift in ((0.1, 0.0), (0.2, -0.001), (0.3, -0.08)):
        for seed in (1, 2):
            scores = articles + shift + draw.normal(0, 0.02, 80)
            trials.append({
                "state": "done", "seed": seed, "params": {"learning_rate": rate},
                "scores": {"rouge1_fmeasure": list(scores)}, "settings": {},
            })  # fmt: skip
    trials.append({"state": "pruned", "seed": 1, "params": {"learning_rate": 0.4}})
    points = points_of(trials)
    assert points[-1]["params"] == {"learning_rate": 0.3} and points[-1]["from_best"]["p_holm"] < 0.05
    found = findings({"points": points, "trials": trials, "space": {"learning_rate": []}, "importance": {}})
    assert found.text.startswith("7 trials (6 done, 1 pruned). Best on the validation pairs: learning_rate 0.")
    assert "1 are worse beyond chance" in found.text and "1 can't be told from it" in found.text


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ("seeds: [1]\n", "space is empty"),
        ("space: {learning_rate: {low: 1, high: 2}}\n", "is a range, and a grid needs a list"),
        ("space: {learning_rate: 3}\n", "must be a list of different values"),
        ("space: {learning_rate: [1e-3, 1e-3]}\n", "must be a list of different values"),
    ],
)
def test_a_wrong_space_is_refused(tmp_path, lines, sentence):
    with pytest.raises(UserError, match=sentence):
        study_of(tmp_path, lines)


@pytest.mark.parametrize(
    ("space", "sentence"),
    [
        ("{lerning_rate: [1, 2]}", "lerning_rate: did you mean learning_rate"),
        ("{learning_rate: {low: 2e-3, high: 1e-3}}", "low must be a number below high"),
        ("{prefix: {low: a, high: b}}", "low must be a number below high"),
    ],
)
def test_a_space_of_no_settings_is_refused(tmp_path, space, sentence):
    with pytest.raises(UserError, match=sentence):
        read_space(study_of(tmp_path, f"space: {space}\nsampler: tpe\n"))


@pytest.mark.parametrize("name", sorted(path.stem for path in STUDIES.glob("*sweep.yaml")))
def test_shipped_sweeps_are_valid(name):
    study = parse_training_study(["--study", name], SweepSettings)
    for slot in slots_of(study, read_space(study)):
        study.settings(slot.params, slot.values["seed"], study.output_dir)
