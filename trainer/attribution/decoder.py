"""T5's decoder, written out so that the gradients of many target tokens go back to the source together.

Autograd goes back through the decoder for many rows at once, but only as far as each layer's attention to the source:
to the scores of its keys, and to what its values were mixed into. From there to the encoder's output the way is a
product of matrices of which one side is the same for all rows. The values are those of transformers' own decoder up to
rounding (tests/attribution/test_encoder.py).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers.models.t5.modeling_t5 import T5Attention


@dataclass
class _Reading:
    """One layer's attention to the source."""

    query: Tensor  # (heads, target tokens, width of a head)
    scores: Tensor  # (heads, target tokens, source tokens), before the softmax
    weights: Tensor  # the same behind it
    mixed: Tensor  # (heads, target tokens, width of a head): the values, weighted


@dataclass
class Decoded:
    """One forward pass: the decoder's output (target tokens, width), and how its layers read the source."""

    output: Tensor
    readings: list[_Reading]


class Decoder:
    """The decoder of a T5.

    Args:
        stack: the model's decoder, in float32 and without gradients.
        config: the model's.
    """

    def __init__(self, stack: nn.Module, config):
        self._stack = stack
        self._config = config

    def forward(self, source: Tensor, before: Tensor) -> Decoded:
        """Decodes.

        Args:
            source: (source tokens, width) the encoder's output.
            before: (target tokens) the ids before each target token, the start token first.
        """
        states = self._stack.embed_tokens.weight[before]
        mask = torch.full((len(before), len(before)), -torch.inf, device=states.device).triu(1)
        bias, readings = mask, []
        for block in self._stack.block:
            own, cross, forward = block.layer
            attention = own.SelfAttention
            if attention.has_relative_attention_bias:
                bias = self._bias(attention, len(before)) + mask
            normed = own.layer_norm(states)
            query, key, value = (self._heads(part(normed)) for part in (attention.q, attention.k, attention.v))
            mixed = (query @ key.transpose(1, 2) + bias).softmax(-1) @ value
            states = states + attention.o(self._joined(mixed))
            attention = cross.EncDecAttention
            key, value = (self._heads(part(source)).detach() for part in (attention.k, attention.v))
            key.requires_grad_(torch.is_grad_enabled())  # so that there is a graph from the first layer's scores on
            query = self._heads(attention.q(cross.layer_norm(states)))
            scores = query @ key.transpose(1, 2)
            weights = scores.softmax(-1)
            mixed = weights @ value
            readings.append(_Reading(query.detach(), scores, weights.detach(), mixed))
            states = states + attention.o(self._joined(mixed))
            states = states + forward.DenseReluDense(forward.layer_norm(states))
        return Decoded(self._stack.final_layer_norm(states), readings)

    def backward(self, decoded: Decoded, gradients: Tensor) -> Tensor:
        """Gradients (rows, target tokens, width) by the output → (rows, source tokens, width) by the source."""
        wanted = [part for reading in decoded.readings for part in (reading.scores, reading.mixed)]
        if len(gradients) == 1:  # quicker than a batch of one
            found = torch.autograd.grad(decoded.output, wanted, gradients[0], retain_graph=True)
            found = tuple(part[None] for part in found)
        else:
            found = torch.autograd.grad(decoded.output, wanted, gradients, retain_graph=True, is_grads_batched=True)
        rows, heads = len(gradients), self._config.num_heads
        reached = gradients.abs().amax((0, 2)).nonzero()
        count = int(reached[-1]) + 1 if len(reached) else 1  # no gradient flows to the tokens behind
        total = None
        with torch.no_grad():
            for place, (block, reading) in enumerate(zip(self._stack.block, decoded.readings, strict=True)):
                attention = block.layer[1].EncDecAttention
                by_scores, by_mixed = (part[:, :, :count] for part in found[2 * place : 2 * place + 2])
                to_keys, to_values = (
                    part.weight.view(heads, -1, part.in_features) for part in (attention.k, attention.v)
                )
                # A score's gradient × its query is the key's gradient, and × the keys' matrix the source's.
                asked = (reading.query[:, :count] @ to_keys).flatten(0, 1).expand(rows, -1, -1)
                turned = by_scores.flatten(1, 2).transpose(1, 2)
                total = turned @ asked if total is None else total.baddbmm_(turned, asked)
                given = (by_mixed @ to_values).flatten(1, 2)
                total.baddbmm_(reading.weights[:, :count].flatten(0, 1).T.expand(rows, -1, -1), given)
        return total

    def _heads(self, projected: Tensor) -> Tensor:
        """(tokens, inner) → (heads, tokens, width of a head)."""
        return projected.view(len(projected), self._config.num_heads, -1).transpose(0, 1).contiguous()

    @staticmethod
    def _joined(mixed: Tensor) -> Tensor:
        """(heads, tokens, width of a head) → (tokens, inner)."""
        return mixed.transpose(0, 1).flatten(1)

    def _bias(self, attention: nn.Module, length: int) -> Tensor:
        """(heads, queries, keys) of one summary."""
        weight = attention.relative_attention_bias.weight
        places = torch.arange(length, device=weight.device)
        buckets = T5Attention._relative_position_bucket(
            places[None, :] - places[:, None],
            bidirectional=False,
            num_buckets=self._config.relative_attention_num_buckets,
            max_distance=self._config.relative_attention_max_distance,
        )
        return weight[buckets].permute(2, 0, 1)
