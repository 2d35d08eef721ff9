"""What recipes/pretrain/t5-small.yaml says to type, from texts to a fine-tuned model, with a tiny shape on the CPU."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from tests.pretraining.recipe import RECIPE, flags
from tests.tiny import SMOKE, tiny_tokenizer
from trainer import pretrain, train
from trainer.models.load import load_model
from trainer.pretraining import corpus
from trainer.settings.pretraining import RECIPES, parse

TINY = RECIPE + "vocab_size: 640\npad_to: 16\n"


@pytest.fixture
def tokenizer(tmp_path) -> Path:
    tiny_tokenizer().save_pretrained(tmp_path / "tokenizer")
    return tmp_path / "tokenizer"


def test_from_texts_to_a_fine_tuned_model(tmp_path, tokenizer, monkeypatch):
    monkeypatch.setattr(corpus, "PART_BYTES", 4000)
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(TINY.replace("vocab_size: 600\n", ""), "utf-8")
    packed = tmp_path / "packed"
    common = ["--tokenizer", str(tokenizer), "--corpus_cache", str(packed)]
    assert pretrain.main(flags(recipe, tmp_path / "tokens", *common, "--max_steps", "0")) == 0
    assert max(file.stat().st_size for file in packed.iterdir()) <= 4000
    assert len(list(packed.iterdir())) > 3

    carried = tmp_path / "carried"
    shutil.move(packed, carried)
    run = tmp_path / "run"
    piece = ["--recipe", str(recipe), "--text_dir", str(tmp_path / "no texts here"), "--output_dir", str(run)]
    piece += ["--tokenizer", str(tokenizer), "--corpus_cache", str(carried)]
    assert pretrain.main([*piece, "--max_minutes", "0"]) == 0  # a piece without time does no step, and keeps what is
    for steps in (6, 12):
        assert pretrain.main([*piece, "--max_steps", str(steps)]) == 0
    assert pretrain.main([*piece, "--cooldown_steps", "4"]) == 0
    assert torch.load(run / "checkpoint.pt", weights_only=True)["step"] == 12
    model, words, _ = load_model(run / "model")
    assert (model.config.vocab_size, len(words)) == (640, 600)

    files = [f"--{split}_file={SMOKE / split}.jsonl" for split in ("train", "validation", "test")]
    more = ["--recipe", "best", "--num_train_epochs", "1", "--max_source_length", "64", "--max_new_tokens", "6"]
    more += ["--output_dir", str(tmp_path / "tuned"), "--bootstrap_samples", "100"]
    more += ["--train_batch_size", "8"]  # two steps, because the first is a warm-up at rate 0
    assert train.main([*files, *more, "--model", str(run / "model")]) == 0
    results = json.loads((tmp_path / "tuned/model/results.json").read_text("utf-8"))
    assert {"model-finetuned-smoke", "model (start)"} <= {one["system"] for one in results["evaluations"]}
    tuned, _, _ = load_model(tmp_path / "tuned/model")
    assert not torch.equal(tuned.shared.weight, model.shared.weight)


def test_the_recipe_is_one_of_t5_small(tokenizer):
    settings = parse(["--recipe", "t5-small", "--text_dir", "texts", "--tokenizer", str(tokenizer)])
    assert settings.shape() == {
        "vocab_size": 32128,
        "d_model": 512,
        "d_kv": 64,
        "d_ff": 2048,
        "num_layers": 6,
        "num_decoder_layers": 6,
        "num_heads": 8,
    }
    assert settings.compile and settings.precision == "bf16"
    assert settings.batch_size * settings.max_source_length >= 64_000
    assert yaml.safe_load((RECIPES / "t5-small.yaml").read_text("utf-8"))["texts"].keys() == settings.texts.keys()
