"""The weight matrices of a network, laid out for multiplying fast on a processor, in a choice of number formats.

A matrix here is a function from (rows, in) to (rows, out), both fp32, whatever its weights are stored in.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch.nn.functional import linear

from trainer.errors import UserError

Matrix = Callable[[torch.Tensor], torch.Tensor]

# fp32: the model's own weights. bf16: weights and what they are multiplied by are rounded to bf16, for processors with
# instructions for that. int8: weights are rounded to 127 steps an output, what they are multiplied by to 256 steps.
FORMATS = ("fp32", "bf16", "int8")

# Below this many weights the packed kernels take longer to start than the plain one takes to finish for a few rows.
FEWEST_HALF = 1 << 19
FEWEST_INT8 = 1 << 18
# Up to this many rows, MKL multiplies by a large fp32 matrix twice as fast when that comes first, in two parts.
FEW_ROWS = 32
PARTS = 2
# FBGEMM adds up pairs of products in 16 bits, unless the processor has VNNI instructions. With steps in ±63 and not in
# ±127 a pair always fits, so that every processor computes the same.
MOST_STEPS = 63


def matrix(weight: torch.Tensor, number_format: str = "fp32", *, many_rows: bool = False, relu: bool = False) -> Matrix:
    """Multiplies by the transpose of `weight` (out, in), fp32, as `torch.nn.Linear` does.

    Weights in fp32 that fp16 holds as exactly as fp32 arithmetic can tell (those of a model saved in bf16 or fp16) are
    stored in fp16, which halves what is read from memory at each step; they are multiplied and added up in fp32 all the
    same. Otherwise `weight` itself is used, not a copy.

    Args:
        number_format: one of `FORMATS`.
        many_rows: it is for many rows at a time, as in an encoder, where arithmetic and not memory takes the time.
        relu: negative products become 0.

    Raises:
        UserError: the format is unknown, or torch has no int8 for this processor.
    """
    if number_format == "int8" and (many_rows or weight.numel() >= FEWEST_INT8):
        return _eight_bits(weight, relu)
    if number_format not in FORMATS:
        raise UserError(f"number_format is {number_format!r}: it must be one of {', '.join(FORMATS)}.")
    if number_format == "bf16":
        multiply = _sixteen_bits(weight)
    elif many_rows or weight.numel() < FEWEST_HALF:
        multiply = partial(linear, weight=weight)
    elif _has_fbgemm() and _fits_half(weight):
        return _half(weight, relu)
    else:
        multiply = _wide(weight)
    return (lambda rows: multiply(rows).relu_()) if relu else multiply


def _sixteen_bits(weight: torch.Tensor) -> Matrix:
    rounded = weight.bfloat16()
    return lambda rows: linear(rows.bfloat16(), rounded).float()


def _wide(weight: torch.Tensor) -> Matrix:
    size, width = weight.shape
    if size % PARTS:
        return partial(linear, weight=weight)
    parts = weight.view(PARTS, size // PARTS, width)

    def multiply(rows: torch.Tensor) -> torch.Tensor:
        number = rows.shape[0]
        if number > FEW_ROWS:
            return linear(rows, weight)
        return torch.bmm(parts, rows.t().expand(PARTS, width, number)).view(size, number).t().contiguous()

    return multiply


class _Packed(torch.nn.Module):
    """Weights in FBGEMM's own layout; a module, so that what multiplies by them can be traced."""

    def __init__(self, packed: torch.ScriptObject, multiply: Callable[..., torch.Tensor]):
        super().__init__()
        self.packed, self.multiply = packed, multiply

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.multiply(rows, self.packed)


def _half(weight: torch.Tensor, relu: bool) -> Matrix:
    with _fbgemm():
        packed = torch.ops.quantized.linear_prepack_fp16(weight, None)
    kernels = torch.ops.quantized
    return _Packed(packed, kernels.linear_relu_dynamic_fp16 if relu else kernels.linear_dynamic_fp16)


def _eight_bits(weight: torch.Tensor, relu: bool) -> Matrix:
    if not _has_fbgemm():
        raise UserError("number_format is int8, which torch has for x86 processors only: leave it at fp32 here.")
    scales = (weight.abs().amax(dim=1) / MOST_STEPS).clamp(min=torch.finfo(torch.float32).tiny)
    steps = (weight / scales[:, None]).round().to(torch.int8)
    zeros = torch.zeros(len(scales), dtype=torch.long)
    with _fbgemm(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch means to move these kernels to another package
        whole = torch._make_per_channel_quantized_tensor(steps, scales.double(), zeros, 0)
        packed = torch.ops.quantized.linear_prepack(whole, None)
    return _Packed(packed, torch.ops.quantized.linear_relu_dynamic if relu else torch.ops.quantized.linear_dynamic)


def _fits_half(weight: torch.Tensor) -> bool:
    """Whether no weight loses more in fp16 than half a unit in the last place of the largest, in fp32."""
    largest = float(weight.abs().max())
    if not 0 < largest < torch.finfo(torch.float16).max:
        return False
    return float((weight - weight.half().float()).abs().max()) <= largest * torch.finfo(torch.float32).eps / 2


def _has_fbgemm() -> bool:
    return "fbgemm" in torch.backends.quantized.supported_engines


@contextmanager
def _fbgemm() -> Iterator[None]:
    """Packs for FBGEMM, whose kernels are fast for few rows too; the choice is as before afterwards."""
    before = torch.backends.quantized.engine
    torch.backends.quantized.engine = "fbgemm"
    try:
        yield
    finally:
        torch.backends.quantized.engine = before
