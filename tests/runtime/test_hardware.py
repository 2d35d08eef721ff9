"""What the machine is said to have."""

import torch

from trainer.runtime.hardware import has_bf16


def test_bf16_is_what_the_hardware_has(monkeypatch):
    assert isinstance(has_bf16("cpu"), bool)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": False, "avx2": True})
    assert not has_bf16("cpu")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})
    assert has_bf16("cpu")
