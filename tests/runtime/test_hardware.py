"""What the machine is said to have."""

import pytest
import torch

from trainer.errors import UserError
from trainer.runtime.hardware import chosen_device, has_bf16


def test_bf16_is_what_the_hardware_has(monkeypatch):
    assert isinstance(has_bf16("cpu"), bool)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": False, "avx2": True})
    assert not has_bf16("cpu")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})
    assert has_bf16("cpu")


def test_a_device_is_chosen_and_one_that_is_not_there_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert chosen_device("auto").type == chosen_device("cpu").type == "cpu"
    with pytest.raises(UserError, match="--device is cuda: torch finds none on this machine; it must be cpu"):
        chosen_device("cuda")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert chosen_device("auto").type == "mps" and chosen_device("cpu").type == "cpu"
