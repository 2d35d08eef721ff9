"""What the machine has: devices, bfloat16 and memory."""

import os
import resource
import sys

import torch

from trainer.errors import UserError


def chosen_device(name: str) -> torch.device:
    """The device that `name` (auto, cuda, mps or cpu) asks for; auto is a GPU where there is one.

    Raises:
        UserError: this machine has no such device.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    usable = [kind for kind, is_there in there.items() if is_there]
    if name not in ("auto", *usable):
        raise UserError(f"--device is {name}: torch finds none on this machine; it must be {' or '.join(usable)}.")
    return torch.device(usable[0] if name == "auto" else name)


def has_bf16(device: torch.device | str | None = None) -> bool:
    """Whether the GPU, or without one the processor, computes in bfloat16 itself rather than by emulation."""
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "mps":
        return torch.backends.mps.is_macos_or_newer(14, 0)
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "arm_bf16", "bf16"))


def bf16_set_aside(device: torch.device) -> str:
    """What is said where --precision bf16 was asked for and `device` does not compute in it."""
    where = "processor" if device.type == "cpu" else "GPU"
    return f"This {where} does not compute in bfloat16, so --precision bf16 is set aside and fp32 is used."


def peak_memory(device: torch.device) -> int:
    """Bytes that this process had in use at the most, on the GPU where it computes there."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def total_memory(device: torch.device) -> int:
    """Bytes that the GPU, or else the machine, has."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
