"""What stands before the first step: room on the disk, the start model, extracted pairs."""

import json
import shutil
from types import SimpleNamespace

import pytest

from tests.tiny import SMOKE, tiny_t5
from tests.training.runs import settings_for
from trainer.data.load import load_split
from trainer.data.splits import Example, Split
from trainer.errors import UserError
from trainer.models.task import generation_config
from trainer.settings.groups import GenerationSettings
from trainer.summarizers.extractive import Oracle
from trainer.training.checkpoints import TrainingRun
from trainer.training.fit import build_trainer, check_disk, with_extracted

ROWS = [json.loads(line) for line in (SMOKE / "validation.jsonl").read_text("utf-8").splitlines()]


def test_a_disk_too_small_is_found_out_before(tmp_path, monkeypatch):
    settings = settings_for(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**9))
    run = TrainingRun.open(settings)
    check_disk(settings, run, weights=1_000_000)
    with pytest.raises(UserError, match=r"1\.0 GB free, and the run will need 3\.1 GB"):
        check_disk(settings, run, weights=60_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=20_000))
    with pytest.raises(UserError, match=r"with 20\.0 kB free, and the run will need 520 kB for .*, 500 kB more\."):
        check_disk(settings, run, weights=10_000)


def test_a_start_model_with_other_generation_settings_is_trained_with_ours(tmp_path):
    model, tokenizer = tiny_t5()
    model.generation_config = generation_config(model.config, tokenizer, GenerationSettings(num_beams=4))
    model.generation_config.num_beams = 7
    settings = settings_for(tmp_path)
    train, validation = (load_split(settings.data, name) for name in ("train", "validation"))
    trainer = build_trainer(settings, TrainingRun.open(settings), model, tokenizer, train, validation)
    assert trainer.model.generation_config.num_beams == 1
    assert trainer.model.generation_config.max_new_tokens == 6


def split() -> Split:
    return Split("train", [Example(row["id"], row["document"], row["summary"]) for row in ROWS], dataset="smoke")


def test_extracted_pairs_are_oracle_sentences_behind_the_pairs_themselves():
    train = split()
    n = len(train.examples)
    more = with_extracted(train, 0.5, seed=3)
    assert list(more.examples[:n]) == list(train.examples)
    added = more.examples[n:]
    assert len(added) == round(0.5 * n)  # each smoke article shares a word with its reference
    by_id = {pair.id: pair for pair in train.examples}
    for pair in added:
        original = by_id[pair.id.removesuffix("#extracted")]
        oracle = Oracle([(original.source, original.target)], most=1)
        assert pair.source == original.source and pair.target == oracle.summarize([original.source])[0].text
        assert pair.target in original.source and pair.target != original.target
    assert with_extracted(train, 0.5, seed=3).fingerprint == more.fingerprint
    assert with_extracted(train, 0.5, seed=4).fingerprint != more.fingerprint
    assert with_extracted(train, 0.0, seed=3) is train
    assert len(with_extracted(train, 1.0, seed=3).examples) == 2 * n


def test_an_article_without_a_word_of_its_reference_gets_no_extracted_pair():
    lone = Split("train", [Example("1", "Rain fell. Wind blew.", "zzz")], dataset="none")
    assert len(with_extracted(lone, 1.0, seed=0).examples) == 1


def test_dropout_reaches_every_layer():
    model, _ = tiny_t5(seed=1, dropout_rate=0.3)
    batch = {"input_ids": torch.arange(5, 30)[None], "labels": torch.arange(5, 15)[None]}
    model.train()
    assert model(**batch).loss != model(**batch).loss
    set_dropout(model, 0.0)
    assert model(**batch).loss == model(**batch).loss and model.config.dropout_rate == 0.0
