"""The loss of a training: cross entropy a target token, however the tokens are split into batches and processes."""

from typing import Any

import torch
from torch.nn.functional import cross_entropy


def token_loss(
    outputs: Any,
    labels: torch.Tensor,
    num_items_in_batch: torch.Tensor | int | None = None,
    label_smoothing: float = 0.0,
) -> torch.Tensor:
    """Cross entropy summed over the target tokens of a batch, over the number of those in the whole optimizer step.

    Args:
        outputs: has `logits` (batch, target tokens, vocabulary).
        labels: (batch, target tokens), -100 where nothing is to be learnt.
        num_items_in_batch: tokens of the step, over all accumulated batches and processes; those of this batch
            where it is None.
        label_smoothing: share of the target's probability spread evenly over the vocabulary.
    """
    logits = outputs.logits
    total = cross_entropy(
        logits.reshape(-1, logits.shape[-1]).float(),
        labels.reshape(-1),
        ignore_index=-100,
        reduction="sum",
        label_smoothing=label_smoothing,
    )
    if num_items_in_batch is None:
        num_items_in_batch = labels.ne(-100).sum()
    return total / num_items_in_batch
