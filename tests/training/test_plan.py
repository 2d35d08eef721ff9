"""The plan of steps is what the trainer does."""

import pytest

from tests.training.runs import trainer_for
from trainer.training.plan import Plan


@pytest.mark.parametrize(
    ("n", "batch", "accumulation", "epochs"), [(28, 4, 2, 1), (28, 8, 1, 0.5), (10, 4, 1, 2), (7, 2, 3, 1)]
)
def test_the_plan_is_what_the_trainer_does(tmp_path, n, batch, accumulation, epochs):
    flags = ["--train_batch_size", str(batch), "--gradient_accumulation_steps", str(accumulation)]
    flags += ["--num_train_epochs", str(epochs), "--max_eval_samples", "1", "--eval_every", "2"]
    trainer = trainer_for(tmp_path, *flags, n=n)
    trainer.train()
    plan = Plan.of(trainer.settings, n)
    assert trainer.state.max_steps == trainer.state.global_step == plan.steps
    scored = [entry["step"] for entry in trainer.state.log_history if "eval_loss" in entry]
    assert len(scored) == plan.evaluations and scored[-1] == plan.steps
    assert plan.batch_size == batch * accumulation
