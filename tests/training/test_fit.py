"""What stands before the first step: room on the disk, the start model, dropout."""

import shutil
from types import SimpleNamespace

import pytest
import torch

from tests.tiny import tiny_t5
from tests.training.runs import settings_for
from trainer.data.load import load_split
from trainer.errors import UserError
from trainer.models.task import generation_config
from trainer.settings.groups import GenerationSettings
from trainer.training.checkpoints import TrainingRun
from trainer.training.fit import build_trainer, check_disk, set_dropout


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


def test_dropout_reaches_every_layer():
    model, _ = tiny_t5(seed=1, dropout_rate=0.3)
    batch = {"input_ids": torch.arange(5, 30)[None], "labels": torch.arange(5, 15)[None]}
    model.train()
    assert model(**batch).loss != model(**batch).loss
    set_dropout(model, 0.0)
    assert model(**batch).loss == model(**batch).loss and model.config.dropout_rate == 0.0
