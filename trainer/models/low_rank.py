"""LoRA: a model is kept as it is, and learns a change of low rank of some of its weights (Hu et al. 2022).

peft does this too; here it is a few lines, because a weight stays a weight: whoever asks a layer for its `weight` gets
the changed one, our own decoding among them, and every checkpoint holds the changed weights under their usual names. So
checkpoints and finished models load as any other T5. Beside them a checkpoint holds what the weights were and the two
factors of each change, which only a training that goes on from it reads.
"""

import math

import torch
from torch.nn.utils import parametrize
from transformers import PreTrainedModel

from trainer.errors import UserError

CHANGED = ("q", "v")  # layers of every attention: queries and values, as in the paper's main experiments


class LowRankChange(torch.nn.Module):
    """`W` → `W + up · down`, with `down` (rank, in) random and `up` (out, rank) zero at the start.

    The paper's factor α/r is 1 here (it takes α for the first r that is tried); the learning rate does the same.
    """

    def __init__(self, weight: torch.Tensor, rank: int, draw: torch.Generator):
        super().__init__()
        outputs, inputs = weight.shape
        bound = 1 / math.sqrt(inputs)
        self.down = torch.nn.Parameter(torch.empty(rank, inputs).uniform_(-bound, bound, generator=draw))
        self.up = torch.nn.Parameter(torch.zeros(outputs, rank))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return weight + self.up @ self.down


def add_low_rank(model: PreTrainedModel, rank: int, seed: int) -> None:
    """Freezes the model and gives queries and values of all its attentions a change of this rank to learn.

    Raises:
        UserError: the rank is no smaller than the weights that it changes, or there are no such layers.
    """
    layers = [
        layer
        for name, layer in model.named_modules()
        if isinstance(layer, torch.nn.Linear) and name.rpartition(".")[2] in CHANGED
    ]
    if not layers:
        raise UserError("--lora_rank: the model has no layers q and v, as the attentions of a T5 have.")
    most = min(min(layer.weight.shape) for layer in layers)
    if rank >= most:
        raise UserError(f"--lora_rank is {rank}: the weights that it changes have rank {most}, so it must be below.")
    for weight in model.parameters():
        weight.requires_grad_(False)
    draw = torch.Generator().manual_seed(seed)
    for layer in layers:
        parametrize.register_parametrization(layer, "weight", LowRankChange(layer.weight, rank, draw))
        layer.parametrizations.weight.original.requires_grad_(False)
        layer.register_state_dict_post_hook(_add_changed_weight)
        layer.register_load_state_dict_pre_hook(_leave_out_changed_weight)


def _add_changed_weight(layer: torch.nn.Module, state: dict, prefix: str, _: dict) -> None:
    state[f"{prefix}weight"] = layer.weight.detach()


def _leave_out_changed_weight(layer: torch.nn.Module, state: dict, prefix: str, *_: object) -> None:
    state.pop(f"{prefix}weight", None)
