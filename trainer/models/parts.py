"""Parts of a T5 taken out or kept from learning, to see what each is good for.

What is taken out is held at zero: the weights through which it speaks are zero and frozen, so that the model is saved,
loaded and decoded as any other T5. It computes as if the part were gone, and is no smaller for it.
"""

import torch
from transformers import PreTrainedModel

from trainer.errors import UserError
from trainer.models.load import T5_FAMILY
from trainer.settings.groups import ModelSettings
from trainer.settings.machine import listed


def shape_parts(model: PreTrainedModel, chosen: ModelSettings) -> None:
    """Changes the model in place as the settings say: layers, position bias, cross-attention, frozen parts.

    Raises:
        UserError: the model has not so many layers, or is none of the T5 family and more is asked than to freeze parts.
    """
    if model.config.model_type not in T5_FAMILY:
        _refuse_parts_of_t5(model, chosen)
    for side, number in (("encoder", chosen.encoder_layers), ("decoder", chosen.decoder_layers)):
        if number is not None:
            keep_layers(model, side, number)
    for number in map(int, listed(chosen.cross_attention_off or "")):
        layers = model.decoder.block
        if number > len(layers):
            raise UserError(f"--cross_attention_off is {number}: the decoder has {len(layers)} layers.")
        _hold_at_zero(layers[number - 1].layer[1].EncDecAttention.o.weight)
    if not chosen.position_bias:
        for name, weight in model.named_parameters():
            if "relative_attention_bias" in name:
                _hold_at_zero(weight)
    for part in listed(chosen.freeze or ""):
        _freeze(model, part)


def _refuse_parts_of_t5(model: PreTrainedModel, chosen: ModelSettings) -> None:
    asked = {"encoder_layers", "decoder_layers", "cross_attention_off"}
    names = [f"--{name}" for name in sorted(asked) if getattr(chosen, name) is not None]
    names += [] if chosen.position_bias else ["--no_position_bias"]
    if names:
        raise UserError(f"{names[0]} is for the T5 family, and the model is of another ({model.config.model_type}).")


def keep_layers(model: PreTrainedModel, side: str, number: int) -> None:
    """Silences layers of the encoder or the decoder until `number` are left, evenly spaced, first and last among them.

    A silent layer adds zero to what it is given, as if it were not there. (Were layers taken out, transformers 5.24
    could no longer generate: it sizes the decoder's cache by the number of encoder layers.)

    Raises:
        UserError: there are fewer.
    """
    blocks = getattr(model, side).block
    total = len(blocks)
    if number > total:
        raise UserError(f"--{side}_layers is {number}: the {side} has {total} layers, and none are added.")
    kept = {round(place * (total - 1) / max(number - 1, 1)) for place in range(number)}
    for place, block in enumerate(blocks):
        if place not in kept:
            for name, weight in block.named_parameters():
                if name.endswith((".o.weight", ".wo.weight")):
                    _hold_at_zero(weight)


def _freeze(model: PreTrainedModel, part: str) -> None:
    """Keeps a part from learning. The embeddings are shared by encoder, decoder and (in T5 1.0) the output."""
    embeddings = model.get_input_embeddings().weight
    if part == "embeddings":
        embeddings.requires_grad_(False)
        return
    for weight in getattr(model, f"get_{part}")().parameters():
        if weight is not embeddings:
            weight.requires_grad_(False)


def _hold_at_zero(weight: torch.nn.Parameter) -> None:
    with torch.no_grad():
        weight.zero_()
    weight.requires_grad_(False)
