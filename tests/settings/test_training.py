"""Settings: defaults, recipes, flags over recipes, unknown names, wrong values, the page of help."""

import importlib.util
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from trainer.errors import UserError
from trainer.settings.base import ROOT, public_name
from trainer.settings.groups import (
    DataSettings,
    EvaluationSettings,
    GenerationSettings,
    ModelSettings,
    OptimisationSettings,
    read_card_notes,
)
from trainer.settings.machine import help_of
from trainer.settings.training import HARMLESS, RECIPES, Settings, differences, recipes, training_parser

GROUPS = Settings.groups()


def test_defaults_are_the_models_and_data_of_the_report():
    settings = Settings.parse([])
    assert settings.data.dataset == "EdinburghNLP/xsum"
    assert settings.model.model == "google-t5/t5-small"
    assert (settings.data.max_source_length, settings.data.max_target_length) == (1024, 128)
    assert settings.data.prefix == "summarize: "
    assert settings.output_dir == ROOT / "runs" / "t5-small-finetuned-xsum"
    assert not settings.hub.push


def test_names_of_flags_are_unique_and_each_has_help():
    names = [item.name for group in GROUPS for item in fields(group)]
    assert len(names) == len(set(names))
    for group in GROUPS:
        for item in fields(group):
            assert len(help_of(group, item.name)) > 15, item.name
    assert set(names) >= HARMLESS


@pytest.mark.parametrize(
    ("recipe", "rate", "batch", "epochs"),
    [
        ("report-section-2", 2e-5, 8, 1),
        ("report-card", 2e-5, 16, 1),
        ("report-table-3", 2e-5, 16, 1),
        ("report-table-1", 3e-4, 16, 1),
        ("report-section-3", 2e-5, 16, 5),
    ],
)
def test_the_reports_four_settings(recipe, rate, batch, epochs):
    settings = Settings.parse(["--recipe", recipe])
    optimisation = settings.optimisation
    assert (optimisation.learning_rate, optimisation.train_batch_size) == (rate, batch)
    assert optimisation.num_train_epochs == epochs
    assert optimisation.gradient_accumulation_steps == 1
    assert settings.run.recipe == recipe


def test_every_recipe_is_valid_and_says_where_it_comes_from():
    found = recipes()
    assert {"smoke", "starter", "report-section-2", "report-card", "report-table-1", "report-section-3", "best"} <= set(
        found
    )
    for name, title in found.items():
        Settings.parse(["--recipe", name])
        head = (RECIPES / f"{name}.yaml").read_text("utf-8").split("\n\n")[0]
        assert title and "# Source: " in head, name
        assert "easured" in head, f"{name} must state its time and score, or that they were not measured"


def test_flags_go_over_the_recipe(tmp_path):
    settings = Settings.parse(["--recipe", "report-card", "--learning_rate", "1e-3", "--no_baselines"])
    assert settings.optimisation.learning_rate == 1e-3
    assert settings.optimisation.train_batch_size == 16
    assert not settings.evaluation.baselines
    # Also a value that happens to be the default of the field.
    default = OptimisationSettings().learning_rate
    settings = Settings.parse(["--recipe", "report-card", "--learning_rate", str(default)])
    assert settings.optimisation.learning_rate == default


def test_a_recipe_of_ones_own(tmp_path):
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(
        "learning_rate: 3e-4\nprefix: 'tl;dr: '\nbaselines: false\ntrain_file: a.csv\nvalidation_file: b.csv\n"
    )
    settings = Settings.parse(["--recipe", str(recipe)])
    assert settings.optimisation.learning_rate == 3e-4  # YAML itself takes 3e-4 for a string
    assert settings.data.prefix == "tl;dr: "
    assert settings.evaluation.baselines is False
    assert settings.data.train_file == tmp_path / "a.csv"
    assert settings.data.splits == ("train", "validation")


def test_another_start_sets_the_recipes_own_aside():
    settings = Settings.parse(["--recipe", "smoke", "--model", "google-t5/t5-small"])
    assert settings.model.from_scratch is None  # though the model is the default one
    assert settings.data.train_file is not None
    settings = Settings.parse(["--recipe", "smoke", "--dataset", "EdinburghNLP/xsum"])
    assert settings.data.train_file is settings.data.validation_file is settings.data.test_file is None
    settings = Settings.parse(["--recipe", "smoke", "--train_file", "a.csv", "--validation_file", "b.csv"])
    assert settings.data.test_file is None, "test pairs of other data than the training pairs"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--lerning_rate", "1"], "no flag --lerning_rate: did you mean --learning_rate?"),
        (["--learning-rat=1"], "did you mean --learning-rate?"),
        (["--num_beam", "2"], "did you mean --num_beams?"),  # never taken for an abbreviation
        (["xsum"], "'xsum' belongs to no flag"),
        (["--learning_rate", "fast"], "invalid float value: 'fast'"),
        (["--learning_rate", "0"], "--learning_rate is 0.0: it must be over 0"),
        (["--learning_rate", "nan"], "--learning_rate is nan: it must be a finite number"),
        (["--learning_rate", "3"], "usual is 1e-5 to 1e-3"),
        (["--train_batch_size", "0"], "--train_batch_size is 0: it must be at least 1"),
        (["--warmup_steps", "1.5"], "a whole number of steps, or a share below 1"),
        (["--label_smoothing", "1"], "between 0 and 0.9"),
        (["--precision", "fp16"], "choose from 'fp32', 'bf16'"),
        (["--push", "maybe"], "Truthy value expected"),
        (["--eval_every", "often"], "must be 'epoch' or a number of steps"),
        (["--min_new_tokens", "200"], "between 0 and 128"),
        (["--dataset", " "], "--dataset is empty"),
        (["--target_column", "document"], "must be different columns"),
        (["--train_file", "a.csv"], "without --validation_file"),
        (["--test_file", "a.csv"], "--test_file is given without --train_file"),
        (["--train_file", "a.txt", "--validation_file", "b.csv"], "must end in .jsonl, .csv or .parquet"),
        (["--train_file", "a.csv", "--dataset", "xsum"], "name two things to start from"),
        (["--model", "a/b", "--from_scratch", "c.json"], "name two things to start from"),
        (["--hub_model_id", "a/b/c"], "must be user/name"),
        (["--recipe", "smok"], "no recipe smok: did you mean smoke?"),
        (["--recipe", "no/such.yaml"], "there is no such file"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_would(argv, said):
    with pytest.raises(UserError) as error:
        Settings.parse(argv)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("learning_rat: 1", "did you mean learning_rate?"),
        ("learning_rate: fast", "invalid float value"),
        ("learning_rate: -1", "must be over 0"),
        ("learning_rate:", "no single value"),
        ("learning_rate: [1, 2]", "no single value"),
        ("[learning_rate]", "must be lines of `name: value`"),
        ("a: b: c", "not readable YAML"),
        ("push_only: model", "no setting"),
    ],
)
def test_a_wrong_recipe_names_itself(tmp_path, text, said):
    recipe = tmp_path / "wrong.yaml"
    recipe.write_text(text)
    with pytest.raises(UserError) as error:
        Settings.parse(["--recipe", str(recipe)])
    assert said in str(error.value)
    assert "must be over" in said or "wrong.yaml" in str(error.value)


def test_groups_check_types_when_built_in_code():
    assert DataSettings(train_file="a.csv", validation_file="b.csv").train_file == Path("a.csv")
    assert OptimisationSettings(learning_rate=1).learning_rate == 1.0
    for build, said in (
        (lambda: OptimisationSettings(train_batch_size=True), "must be of type int"),
        (lambda: OptimisationSettings(train_batch_size=1.5), "must be of type int"),
        (lambda: OptimisationSettings(optimizer="sgd"), "must be adamw or adafactor"),
        (lambda: GenerationSettings(num_beams=None), "must be of type int"),
        (lambda: EvaluationSettings(baselines=1), "must be of type bool"),
    ):
        with pytest.raises(UserError, match=said):
            build()


def test_settings_survive_as_a_recipe_and_differences_are_named(tmp_path):
    settings = Settings.parse(["--recipe", "smoke", "--seed", "7", "--no_baselines"])
    values = {name: value for part in settings.to_dict().values() for name, value in part.items() if value is not None}
    for name in ("recipe", "from_start"):
        values.pop(name)
    path = tmp_path / "again.yaml"
    path.write_text(yaml.safe_dump(values), "utf-8")
    again = Settings.parse(["--recipe", str(path)])
    again.run.recipe = "smoke"
    assert again == settings
    other = Settings.parse(["--recipe", "smoke", "--no_baselines", "--num_beams", "4", "--push", "--save_every", "3"])
    assert differences(settings.to_dict(), other.to_dict()) == ["--seed: 7 -> 42", "--num_beams: 1 -> 4"]
    with pytest.raises(UserError, match="did you mean seed"):
        OptimisationSettings(sed=1)


def test_published_settings_tell_nothing_of_this_machine(tmp_path):
    (tmp_path / "mine").mkdir()
    settings = Settings.parse(
        ["--recipe", "smoke", "--model", str(tmp_path / "mine"), "--output_dir", str(tmp_path / "runs" / "x")]
    )
    published = settings.public()
    assert str(tmp_path) not in str(published) and str(ROOT) not in str(published)
    assert published["model"]["model"] == "mine"
    assert published["data"]["train_file"] == "trainer/recipes/smoke/train.jsonl"
    assert public_name("google-t5/t5-small") == "google-t5/t5-small"


def test_names_of_runs(tmp_path):
    assert ModelSettings(from_scratch=Path("x/tiny/config.json")).name == "t5-tiny"
    assert ModelSettings(from_scratch=Path("x/wide.json")).name == "t5-wide"
    assert ModelSettings(model="user/my-t5").name == "my-t5"
    assert DataSettings(train_file="news/train.jsonl", validation_file="b.csv").name == "news"
    assert DataSettings(train_file="my pairs.csv", validation_file="b.csv").name == "my-pairs"


def test_help_is_a_page():
    page = training_parser().format_help()
    for group in GROUPS:
        assert group.__doc__.rstrip(".") + ":" in " ".join(page.split())
        for item in fields(group):
            assert f"--{item.name}" in page or f"--[no_]{item.name}" in page
    assert "--learning-rate" not in page, "one spelling is enough"
    for name, title in recipes().items():
        assert name in page and title.split()[0] in page
    assert "torchrun --nproc_per_node=2" in page
    assert "[0.0003]" in page and "['google-t5/t5-small']" in page
    assert max(len(line) for line in page.splitlines()) <= 100


def test_help_and_mistyped_flags_need_not_load_torch():
    code = "import sys; from trainer.settings.training import training_parser; training_parser().format_help(); "
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_a_tracker_that_is_not_installed(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="the package trackio is not installed: `pip install trackio`"):
        Settings.parse(["--report_to", "trackio"])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert Settings.parse(["--report_to", "trackio"]).run.report_to == "trackio"


def test_card_notes_are_read_and_checked(tmp_path):
    path = tmp_path / "notes.yaml"
    path.write_text("usage: Research only.\nprovenance: [{name: A, licence: B, size: C, use: D}]\n", "utf-8")
    assert Settings.parse(["--card_notes", str(path)]).hub.card_notes == path
    assert read_card_notes(path) == {
        "usage": "Research only.",
        "provenance": [{"name": "A", "licence": "B", "size": "C", "use": "D"}],
    }
    for text, message in [
        ("licence: x", "nothing else"),
        ("provenance: [{name: A}]", "name, licence, size and use"),
        ("a: [", "not YAML"),
    ]:
        path.write_text(text, "utf-8")
        with pytest.raises(UserError, match=message):
            Settings.parse(["--card_notes", str(path)])
    with pytest.raises(UserError, match="no such file"):
        Settings.parse(["--card_notes", str(tmp_path / "absent.yaml")])


def test_a_run_of_a_version_that_lacked_a_setting_goes_on():
    new = Settings.parse([]).to_dict()
    old = {name: dict(values) for name, values in new.items()}
    del old["model"]["freeze"], old["model"]["position_bias"]
    assert differences(old, new) == []
    new["model"]["position_bias"] = False
    assert differences(old, new) == ["--position_bias: true -> false"]
