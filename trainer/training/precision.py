"""`--precision auto`: the number format in which this machine trains this model quicker, found before the first step.

A processor's flags do not tell it: one that has bfloat16 instructions may train in fp32 half as fast again.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from transformers import PreTrainedModel

from trainer.runtime.hardware import has_bf16
from trainer.training.forecast import no_trace

TIMED_BATCHES = 3


def quicker_precision(
    model: PreTrainedModel, batch: dict[str, Any], device: torch.device, clock: Callable[[], float] = time.perf_counter
) -> tuple[str, str]:
    """(fp32 or bf16, the sentence that says why) for training `model` on batches like `batch`.

    A GPU that computes in bfloat16 always does so quicker. On a processor that has it, a few batches are trained in
    each, in turn; weights, gradients and random numbers are afterwards what they were.
    """
    if not has_bf16(device):
        return "fp32", "--precision auto: fp32, for bfloat16 is not to be had here."
    if device.type != "cpu":
        return "bf16", "--precision auto: bf16, which this GPU computes in."
    seconds: dict[str, list[float]] = {"fp32": [], "bf16": []}
    with no_trace(model, device):
        model.train()
        for turn in range(TIMED_BATCHES + 1):
            for name, taken in seconds.items():
                began = clock()
                with torch.autocast("cpu", torch.bfloat16, enabled=name == "bf16"):
                    loss = model(**batch).loss
                loss.backward()
                ended = clock()
                if turn:  # the first warms up
                    taken.append(ended - began)
    medians = {name: statistics.median(taken) for name, taken in seconds.items()}
    best = min(medians, key=medians.get)
    return best, (
        f"--precision auto: {best}. A batch takes {medians['fp32']:.2g} s in fp32 and {medians['bf16']:.2g} s in bf16 "
        "here."
    )
