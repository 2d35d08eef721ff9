"""Which number format trains quicker here."""

import itertools

import pytest
import torch

from tests.tiny import tiny_t5
from trainer.training import precision
from trainer.training.precision import quicker_precision


@pytest.mark.parametrize("quicker", ["fp32", "bf16"])
def test_the_quicker_one_is_taken_and_the_model_is_as_before(monkeypatch, quicker):
    """The batches are really trained; the clock is a given one, for a test can't rely on what a machine is good at."""
    monkeypatch.setattr(precision, "has_bf16", lambda device: True)
    model, _ = tiny_t5(dropout_rate=0.5)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    batch = {"input_ids": torch.arange(2, 22).view(2, 10), "labels": torch.arange(2, 12).view(2, 5)}
    seconds = (1.0, 2.0) if quicker == "fp32" else (2.0, 1.0)
    ticks = itertools.accumulate(itertools.cycle([0.0, seconds[0], 0.0, seconds[1]]))
    torch.manual_seed(3)
    found, sentence = quicker_precision(model, batch, torch.device("cpu"), lambda: next(ticks))
    assert found == quicker
    assert sentence == (
        f"--precision auto: {quicker}. A batch takes {seconds[0]:.2g} s in fp32 and {seconds[1]:.2g} s in bf16 here."
    )
    after = torch.rand(1)
    torch.manual_seed(3)
    assert after == torch.rand(1) and not model.training
    assert all(weight.grad is None for weight in model.parameters())
    assert all(torch.equal(before[name], weight) for name, weight in model.state_dict().items())


def test_without_bfloat16_nothing_is_timed(monkeypatch):
    monkeypatch.setattr(precision, "has_bf16", lambda device: False)
    found, sentence = quicker_precision(tiny_t5()[0], {}, torch.device("cpu"))
    assert (found, sentence) == ("fp32", "--precision auto: fp32, for bfloat16 is not to be had here.")
