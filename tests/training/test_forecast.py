"""What is said of time and memory before the first step."""

import random

import numpy as np
import pytest
import torch

from tests.training.runs import trainer_for, weights_of
from trainer.settings.training import Settings
from trainer.training import forecast
from trainer.training.plan import Plan


def test_the_forecast_leaves_no_trace(tmp_path):
    trainer = trainer_for(tmp_path, "--optimizer", "adamw", "--weight_decay", "0.1", dropout_rate=0.1)
    before = weights_of(trainer)
    states = torch.random.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    training = trainer.model.training
    found = forecast.measure(trainer)
    assert all(torch.equal(before[name], tensor) for name, tensor in weights_of(trainer).items())
    assert torch.equal(torch.random.get_rng_state(), states[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states[1:]
    assert trainer.model.training == training
    assert all(weight.grad is None for weight in trainer.model.parameters())
    assert trainer.optimizer is None
    assert 0 < found.step_seconds < 60 and 0 < found.article_seconds < 60
    assert 1 << 27 < found.memory < found.memory_total


def test_what_the_forecast_says(tmp_path):
    found = forecast.Forecast(step_seconds=2.0, article_seconds=0.5, memory=3 * 10**9, memory_total=16 * 10**9)
    settings = Settings.parse(["--num_train_epochs", "2"])
    plan = Plan.of(settings, 160, 1)
    said = forecast.describe(found, settings, plan, validation_pairs=100)
    assert "20 steps of 16 pairs (10 an epoch), each about 2.0 s; 2 evaluations of 100 articles." in said
    assert "That should take 2.3 minutes: 40 s of training, at most 1.7 minutes of validation" in said
    assert "3.0 of 16.0 GB" in said and "days" not in said
    assert "5 steps of 16 pairs are left of 20" in forecast.describe(found, settings, plan, 100, done=15)


def test_a_machine_that_would_need_days_is_told_so_with_what_would_not():
    found = forecast.Forecast(step_seconds=20.0, article_seconds=0.01, memory=1, memory_total=2)
    settings = Settings.parse(["--recipe", "report-section-3"])
    n = 64_000
    plan = Plan.of(settings, n)
    said = forecast.describe(found, settings, plan, 100)
    assert "This machine would need days for that (4.6 days): use a GPU." in said
    assert "--recipe smoke" in said and "--recipe report-table-1 " in said, "one epoch takes 22 hours"
    assert "--recipe report-section-3" not in said
    night = int(said.split("--max_train_samples ")[1].split()[0])
    hours = Plan.of(settings, night).steps * found.step_seconds / 3600
    assert hours == pytest.approx(8, rel=0.01)
