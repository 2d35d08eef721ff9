"""Our settings in transformers' words."""

import pytest

from tests.training.runs import trainer_for
from trainer.training import arguments


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
