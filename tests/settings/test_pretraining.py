"""The settings of a pre-training: bounds, names, recipes, the page of help."""

from dataclasses import fields

import pytest

from tests.pretraining.recipe import RECIPE, flags
from trainer import pretrain
from trainer.errors import UserError
from trainer.settings.machine import help_of
from trainer.settings.pretraining import RECIPES, PretrainSettings, parse, pretraining_parser


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(RECIPE, "utf-8")
    return path


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--recipe", "bas"], "There is no recipe bas: did you mean base?"),
        (["--d_model", "48"], "but the settings say"),
        (["--learning_rat", "1"], "There is no flag --learning_rat: did you mean --learning_rate?"),
        (["more"], "'more' belongs to no flag"),
        (["--precision", "fp16"], "choose from 'fp32', 'bf16'"),
        (["--device", "tpu"], "choose from 'auto', 'cpu', 'cuda', 'mps'"),
        (["--log_steps", "0"], "--log_steps is 0: it must be at least 1"),
        (["--eval_steps", "0"], "--eval_steps is 0: it must be at least 1"),
        (["--batch_size", "0"], "--batch_size is 0: it must be at least 1"),
        (["--anneal_steps", "0"], "--anneal_steps is 0: it must be at least 1"),
        (["--warmup_steps", "-1"], "--warmup_steps is -1: it must be at least 0"),
        (["--learning_rate", "nan"], "--learning_rate is nan: it must be a finite number"),
        (["--adam_beta2", "1"], "--adam_beta2 is 1.0: it must be at least 0 and below 1"),
        (["--copy_share", "0.5"], "expected 2 arguments"),
        (["--copy_share", "0.5", "2"], "--copy_share.1 is 2.0: it must be at most 1"),
        (["--vocab_size", "100"], "--vocab_size is 100: it must be between 104 and 65535"),
        (["--num_heads", "1"], "--no_copy_ready"),
        (["--text_dir", "nowhere"], "train.jsonl does not exist"),
    ],
)
def test_wrong_settings_are_refused_in_a_sentence(tmp_path, recipe, capsys, more, message):
    assert pretrain.main(flags(recipe, tmp_path, "--max_steps", "1")) == 0
    assert pretrain.main([*flags(recipe, tmp_path), *more]) == 2
    assert message in capsys.readouterr().err


def test_unknown_names_in_a_recipe_are_refused(tmp_path):
    path = tmp_path / "typo.yaml"
    for line, message in [
        ("learning_rat: 1", r"no setting \(in the recipe .*typo.yaml\) learning_rat: did you mean learning_rate\?"),
        ("copy_share: 1", r"typo.yaml: --copy_share: expected 2 arguments"),
        ("batch_size: [1, 2]", "batch_size has no single value"),
        ("texts: {train.jsonl: {weight: much}}", "texts.train.jsonl.weight is 'much': it must be a valid"),
        ("texts: {train.jsonl: {sumary: 1}}", "texts.train.jsonl.sumary is unknown"),
        ("texts: {train.jsonl: {held_out_every: 0}}", "texts.train.jsonl.held_out_every is 0: it must be at least 1"),
        ("texts: {}", "texts is empty"),
        ("shares: {}\ncopy_share: [0.1, 0]", "shares is empty"),
        ("shares: {span: -1}", "shares.span is -1: it must be at least 0"),
    ]:
        path.write_text(f"{RECIPE}{line}\n", "utf-8")
        with pytest.raises(UserError, match=message):
            parse(flags(path, tmp_path))
    with pytest.raises(UserError, match="--text_dir is missing: Folder"):
        parse([])
    with pytest.raises(UserError, match=r"shares\.leed is unknown"):
        PretrainSettings(text_dir=".", texts={"a": {}}, shares={"leed": 1})


def test_every_setting_is_on_the_page_of_help():
    page = pretraining_parser().format_help()
    for item in fields(PretrainSettings):
        assert item.name in ("texts", "shares") or f"--{item.name} " in page or f"--[no_]{item.name}" in page
        assert len(help_of(PretrainSettings, item.name)) > 4
    assert max(map(len, page.splitlines())) <= 100


@pytest.mark.parametrize("name", sorted(path.stem for path in RECIPES.glob("*.yaml")))
def test_shipped_recipes_are_valid(name):
    settings = parse(["--recipe", name, "--text_dir", "texts"])
    assert settings.recipe == name and settings.texts and sum(settings.shares.values()) == pytest.approx(1)
