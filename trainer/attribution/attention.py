"""What the decoder's attention to the article shows: weights, weights carried back through the encoder, and norms.

Attention weights say where the model looks and not what a token did to the probability (Jain and Wallace 2019): the
scores are shares, ≥ 0, and not nats.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.attribution.matrix import AttributionMatrix, Pair, Rows, checked, row_weights
from trainer.errors import UserError


@dataclass(frozen=True)
class CrossAttention:
    """The cross-attention weights of the step that writes each summary token.

    Args:
        layer: of the decoder, counted from 0; None: the mean of all.
        head: counted from 0; None: the mean of all.
    """

    layer: int | None = None
    head: int | None = None

    def attribute(
        self, pair: Pair, rows: Rows | None = None, progress: Callable[[int, int], None] | None = None
    ) -> AttributionMatrix:
        """Shares of attention: a summary token's add up to 1.

        Raises:
            UserError: the model has no such layer or head.
        """
        config = pair.passes.model.config
        layers, heads = config.num_decoder_layers, config.num_heads
        for name, value, count in (("layer", self.layer, layers), ("head", self.head, heads)):
            if value is not None and not 0 <= value < count:
                raise UserError(f"{name} is {value}: the decoder's are numbered from 0 to {count - 1}.")
        weights = pair.passes.attentions(pair.source.ids, pair.target.ids).cross
        weights = weights.mean(0) if self.layer is None else weights[self.layer]
        weights = weights.mean(0) if self.head is None else weights[self.head]
        return _matrix(pair, rows, weights, progress)


@dataclass(frozen=True)
class AttentionRollout:
    """Cross-attention carried back through the encoder's layers (Abnar and Zuidema 2020, "attention rollout").

    An encoder layer's attention, the mean of its heads, counts half, and the token itself, which the residual
    connection passes on, the other half.
    """

    def attribute(
        self, pair: Pair, rows: Rows | None = None, progress: Callable[[int, int], None] | None = None
    ) -> AttributionMatrix:
        """Shares of attention: a summary token's add up to 1."""
        attentions = pair.passes.attentions(pair.source.ids, pair.target.ids)
        weights = attentions.cross.mean((0, 1))
        for layer in reversed(attentions.encoder):
            weights = (weights @ layer.mean(0) + weights) / 2
        return _matrix(pair, rows, weights, progress)


@dataclass(frozen=True)
class ValueWeightedAttention:
    """The lengths of the vectors that cross-attention brings from each source token (Kobayashi et al. 2020).

    A token may be looked at and bring nothing. What head h brings is its weight × the token's value, through the output
    matrix; the heads' vectors are summed before their length is taken, and the layers' lengths are averaged.
    """

    def attribute(
        self, pair: Pair, rows: Rows | None = None, progress: Callable[[int, int], None] | None = None
    ) -> AttributionMatrix:
        """Lengths ≥ 0, in units of the decoder's states."""
        attentions = pair.passes.attentions(pair.source.ids, pair.target.ids)
        total = torch.zeros(attentions.cross.shape[2:], device=attentions.cross.device)
        blocks = pair.passes.model.decoder.block
        with torch.no_grad():
            for weights, block in zip(attentions.cross, blocks, strict=True):
                attention = block.layer[1].EncDecAttention
                values = attention.v(attentions.read[0]).view(len(attentions.read[0]), len(weights), -1)
                output = attention.o.weight.view(-1, len(weights), values.shape[-1])
                brought = torch.einsum("shk,whk->hsw", values, output)
                for token in range(total.shape[0]):
                    total[token] += torch.einsum("hs,hsw->sw", weights[:, token], brought).norm(dim=-1)
        return _matrix(pair, rows, total / len(blocks), progress)


def _matrix(pair: Pair, rows: Rows | None, weights: Tensor, progress) -> AttributionMatrix:
    """`weights` (target tokens, source tokens) summed over each row's tokens."""
    rows = checked(pair, rows)
    chosen = row_weights(pair, rows)
    log_probs = pair.passes.log_probs(pair.passes.embeddings(pair.source.ids), pair.target.ids).cpu()
    if progress is not None:
        progress(1, 1)
    scores = (chosen @ weights.cpu()).double().numpy()
    return AttributionMatrix(pair.source, pair.target, rows, scores, (chosen @ log_probs).double().numpy())
