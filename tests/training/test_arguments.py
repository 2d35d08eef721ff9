"""Our settings in transformers' words."""

import shutil

import pytest
import torch

from tests.tiny import tiny_t5
from tests.training.runs import settings_for, trainer_for, weights_of
from trainer.data.load import load_split
from trainer.errors import UserError
from trainer.training import arguments, precision
from trainer.training.checkpoints import TrainingRun, read_notes
from trainer.training.fit import fit


@pytest.mark.parametrize(
    ("schedule", "shape"),
    [
        ("linear", [0.5, 1.0, 0.5, 0.125]),
        ("cosine", [0.5, 1.0, 0.5, 0.0380602337]),
        ("constant", [0.5, 1.0, 1.0, 1.0]),
        ("inverse_sqrt", [0.5, 1.0, (2 / 6) ** 0.5, (2 / 9) ** 0.5]),
    ],
)
def test_schedules(tmp_path, schedule, shape):
    flags = ["--lr_scheduler", schedule, "--warmup_steps", "2", "--max_steps", "10", "--learning_rate", "1e-3"]
    trainer = trainer_for(tmp_path, *flags)
    trainer.create_optimizer()
    scheduler = trainer.create_scheduler(10)
    rates = []
    for _ in range(10):
        rates.append(scheduler.get_last_lr()[0] / 1e-3)
        trainer.optimizer.step()
        scheduler.step()
    assert [rates[step] for step in (1, 2, 6, 9)] == pytest.approx(shape)


def test_adafactor_takes_the_rate_it_is_given(tmp_path):
    trainer = trainer_for(tmp_path, "--optimizer", "adafactor", "--warmup_steps", "0.2", "--max_steps", "10")
    assert trainer.args.get_warmup_steps(10) == 2
    trainer.create_optimizer()
    options = trainer.optimizer.param_groups[0]
    assert type(trainer.optimizer).__name__ == "Adafactor"
    assert options["lr"] == trainer.settings.optimisation.learning_rate
    assert not options["relative_step"] and not options["scale_parameter"]


def test_bf16_where_there_is_none(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(arguments, "has_bf16", lambda: False)
    trainer = trainer_for(tmp_path, "--precision", "bf16")
    assert not trainer.args.bf16
    assert "does not compute in bfloat16, so --precision bf16 is set aside and fp32 is used" in capsys.readouterr().out


def test_the_environment_does_not_change_the_precision(tmp_path, monkeypatch):
    """`accelerate launch --mixed_precision bf16` sets this variable; the weights are those of a plain run."""
    plain = trainer_for(tmp_path / "plain", "--max_steps", "2")
    plain.train()
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    launched = trainer_for(tmp_path / "launched", "--max_steps", "2")
    launched.train()
    assert launched.accelerator.mixed_precision == "no" and launched.precision == "fp32"
    assert all(torch.equal(weights_of(plain)[name], weight) for name, weight in weights_of(launched).items())


@pytest.mark.parametrize(
    ("name", "value"), [("ACCELERATE_USE_FSDP", "true"), ("ACCELERATE_DYNAMO_BACKEND", "INDUCTOR")]
)
def test_the_environment_does_not_choose_another_way_of_training(tmp_path, monkeypatch, name, value):
    monkeypatch.setenv(name, "no")  # what accelerate launch sets where nothing was asked for
    trainer_for(tmp_path)
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=f"{name} is {value} in the environment"):
        trainer_for(tmp_path)


def test_what_was_computed_in_is_recorded_and_a_resume_compares_it(tmp_path, monkeypatch):
    """bfloat16 goes through emulation on a processor without it, as it does where the machine says it has it."""
    monkeypatch.setattr(arguments, "has_bf16", lambda: True)
    flags = ["--max_steps", "4", "--save_every", "2", "--save_total_limit", "2", "--precision", "bf16"]
    settings = settings_for(tmp_path, *flags)
    splits = [load_split(settings.data, name) for name in ("train", "validation")]
    run = TrainingRun.open(settings)
    fit(settings, run, *tiny_t5(), *splits)
    assert run.trained["precision"] == "bf16"
    shutil.rmtree(run.last_checkpoint)  # as if it had been killed before, and a machine without bfloat16 went on
    assert run.last_checkpoint.name == "checkpoint-2" and read_notes(run.last_checkpoint)["precision"] == "bf16"
    monkeypatch.setattr(arguments, "has_bf16", lambda: False)
    with pytest.raises(UserError, match="has computed in bf16 so far, and would go on in fp32 here"):
        fit(settings, run, *tiny_t5(), *splits)


def test_a_run_keeps_the_precision_that_auto_began_with(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(arguments, "has_bf16", lambda: True)
    monkeypatch.setattr(precision, "has_bf16", lambda device: True)
    flags = ["--max_steps", "4", "--save_every", "2", "--save_total_limit", "2", "--precision", "auto"]
    settings = settings_for(tmp_path, *flags)
    splits = [load_split(settings.data, name) for name in ("train", "validation")]
    run = TrainingRun.open(settings)
    fit(settings, run, *tiny_t5(), *splits)
    found = run.trained["precision"]
    assert f"--precision auto: {found}. A batch takes" in capsys.readouterr().out
    shutil.rmtree(run.last_checkpoint)
    monkeypatch.setattr(precision, "has_bf16", lambda device: found == "fp32")  # what another machine might prefer
    fit(settings, run, *tiny_t5(), *splits)
    assert run.trained["precision"] == found
    assert "A batch takes" not in capsys.readouterr().out
