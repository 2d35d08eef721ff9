"""T5's encoder with a backward pass of its own, which takes the gradients of many target tokens back together.

PyTorch's autograd goes back once for each target token, or keeps a copy of all activations for each. Here one forward
pass is kept, in a form in which nothing has to be computed twice, and any number of gradients with respect to the
encoder's output are taken back through it, a few at a time: a matrix product of rows × tokens in place of many small
ones. The attention is worked through in blocks of queries, so that the memory stays bounded for long articles.

The weights get no gradient: only the input's is wanted. The values are those of transformers' own encoder up to
rounding (tests/attribution/test_encoder.py). There is no padding mask: one article at a time.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.models.t5.modeling_t5 import T5Attention

# Families whose encoder is the one written out here. LongT5's attention is another.
FAMILIES = ("t5", "mt5", "umt5")
# One temporary tensor is kept below this, so that it stays in the processor's cache and the allocator reuses it.
WORK_BYTES = 8 << 20
FLOAT = 4  # bytes


@dataclass
class _Layer:
    """The weights of one encoder layer; each normalisation's scale is multiplied into the matrix behind it."""

    query_key_value: Tensor  # (3 × inner, width)
    output: Tensor  # (width, inner)
    up: Tensor  # (hidden, width)
    gate: Tensor | None  # (hidden, width), the part that goes through the activation where there is a gate
    down: Tensor  # (width, hidden)
    relative: Tensor  # (buckets, heads): what attention scores get added by the distance of key and query


@dataclass
class _Kept:
    """What the backward pass needs of one layer."""

    bias: Tensor  # (heads, 2 × length − 1), by key place − query place, from −(length − 1) on
    normed: Tensor  # (length, width) input of the attention, divided by its root mean square
    inverse: Tensor  # (length, 1) 1 / that root mean square
    query: Tensor  # (heads, length, width of a head)
    key: Tensor
    value: Tensor
    mixed: Tensor  # (length, inner): what the heads read
    probabilities: Tensor | None  # (heads, length, length), None where they are computed again
    normed_hidden: Tensor  # as `normed`, of the feed-forward part
    inverse_hidden: Tensor
    slope: Tensor  # (length, hidden): derivative of the feed-forward's inner values by `up`'s (or gate's) output
    slope_up: Tensor | None  # the same by `up`'s output where there is a gate

    @property
    def bytes(self) -> int:
        return sum(part.numel() * part.element_size() for part in vars(self).values() if part is not None)


@dataclass
class Tape:
    """One forward pass: its output (length, width), the encoder's, and what the backward pass needs."""

    output: Tensor
    layers: list[_Kept | Tensor] = field(repr=False)  # of a layer that is computed again its input alone
    normed: Tensor = field(repr=False)
    inverse: Tensor = field(repr=False)

    def __len__(self) -> int:
        return len(self.output)


class Encoder:
    """The encoder of a T5.

    Args:
        stack: the model's encoder, in float32.
        config: the model's.
        memory: bytes that one pass may keep. Where all attention probabilities would take more, they are computed
            again in the backward pass; where the rest of all layers would, a layer's input is kept and the rest is
            computed again.
    """

    def __init__(self, stack: nn.Module, config, memory: int):
        self._config = config
        self._memory = memory
        self._activation = None if config.dense_act_fn == "relu" else stack.block[0].layer[1].DenseReluDense.act
        self._final = stack.final_layer_norm.weight.detach()
        relative = None
        self._layers = []
        for block in stack.block:
            attention, forward = block.layer[0], block.layer[1]
            if attention.SelfAttention.has_relative_attention_bias:
                relative = attention.SelfAttention.relative_attention_bias.weight.detach()
            self._layers.append(_layer(attention, forward, relative, config.is_gated_act))

    # --- forward ---

    def forward(self, embeddings: Tensor) -> Tape:
        """Encodes `embeddings` (length, width)."""
        states, kept = embeddings, []
        buckets = self._buckets(len(embeddings), embeddings.device)
        for layer in self._layers:
            read = states
            states, one = self._forward(layer, read, layer.relative[buckets].T.contiguous())
            kept.append(one if len(self._layers) * one.bytes <= self._memory else read)
        normed, inverse = self._normalise(states)
        return Tape(normed * self._final, kept, normed, inverse)

    def _forward(self, layer: _Layer, states: Tensor, bias: Tensor) -> tuple[Tensor, _Kept]:
        length, heads = len(states), self._config.num_heads
        normed, inverse = self._normalise(states)
        projected = (normed @ layer.query_key_value.T).view(length, 3, heads, -1)
        query, key, value = projected.permute(1, 2, 0, 3).contiguous()
        kept_whole = 2 * len(self._layers) * heads * length * length * FLOAT <= self._memory
        keep = normed.new_empty(heads, length, length) if kept_whole else None
        mixed = normed.new_empty(length, heads, query.shape[-1])
        for head in range(heads):
            for start, end in _blocks(length):
                scores = torch.addmm(_bias_of(bias[head], start, end), query[head, start:end], key[head].T)
                probabilities = scores.softmax(-1)
                if keep is not None:
                    keep[head, start:end] = probabilities
                mixed[start:end, head] = probabilities @ value[head]
        mixed = mixed.view(length, -1)
        states = torch.addmm(states, mixed, layer.output.T)
        normed_hidden, inverse_hidden = self._normalise(states)
        inner, slope, slope_up = self._feed(layer, normed_hidden)
        states = torch.addmm(states, inner, layer.down.T)
        return states, _Kept(
            bias,
            normed,
            inverse,
            query,
            key,
            value,
            mixed,
            keep,
            normed_hidden,
            inverse_hidden,
            slope,
            slope_up,
        )

    def _normalise(self, states: Tensor) -> tuple[Tensor, Tensor]:
        inverse = (states.pow(2).mean(-1, keepdim=True) + self._config.layer_norm_epsilon).rsqrt_()
        return states * inverse, inverse

    def _feed(self, layer: _Layer, normed: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """The feed-forward's inner values, and their derivatives by what goes into the activation and past it."""
        up = normed @ layer.up.T
        before = up if layer.gate is None else normed @ layer.gate.T
        if self._activation is None:
            slope = (before > 0).to(before.dtype)
            active = before * slope
        else:
            with torch.enable_grad():
                leaf = before.detach().requires_grad_()
                active = self._activation(leaf)
                (slope,) = torch.autograd.grad(active.sum(), leaf)
            active = active.detach()
        if layer.gate is None:
            return active, slope, None
        return active * up, slope.mul_(up), active

    # --- backward ---

    def backward(self, tape: Tape, gradients: Tensor, along: Tensor | None = None) -> Tensor:
        """Gradients (rows, length, width) by the output → by the input, same shape.

        With `along` (length, width) only their products with it, (rows, length): the first layer then has less to do.
        """
        at_once = max(1, WORK_BYTES // (FLOAT * len(tape) * self._config.d_ff))
        parts = [
            self._normalise_backward(part * self._final, tape.normed, tape.inverse) for part in gradients.split(at_once)
        ]
        buckets = self._buckets(len(tape), gradients.device)
        for place, (layer, kept) in reversed(list(enumerate(zip(self._layers, tape.layers, strict=True)))):
            if isinstance(kept, Tensor):
                _, kept = self._forward(layer, kept, layer.relative[buckets].T.contiguous())
            direction = along if place == 0 else None
            parts = [self._backward(layer, kept, part, direction) for part in parts]
        return torch.cat(parts)

    def _backward(self, layer: _Layer, kept: _Kept, states: Tensor, along: Tensor | None) -> Tensor:
        states = self._feed_backward(layer, kept, states)
        mixed = states @ layer.output
        if along is not None:
            return self._attention_along(layer, kept, mixed, along).add_((states * along).sum(-1))
        normed = self._attention_backward(kept, mixed) @ layer.query_key_value
        return self._normalise_backward(normed, kept.normed, kept.inverse).add_(states)

    def _feed_backward(self, layer: _Layer, kept: _Kept, states: Tensor) -> Tensor:
        inner = states @ layer.down
        if layer.gate is None:
            normed = inner.mul_(kept.slope) @ layer.up
        else:
            normed = (inner * kept.slope_up) @ layer.up + inner.mul_(kept.slope) @ layer.gate
        return self._normalise_backward(normed, kept.normed_hidden, kept.inverse_hidden).add_(states)

    def _attention_along(self, layer: _Layer, kept: _Kept, mixed: Tensor, along: Tensor) -> Tensor:
        """Gradients by what the heads read (rows, length, inner) → their products with `along`, through the attention.

        What `along` does to queries, keys and values is the same for all rows. So is its product with the derivative
        of the attention scores; the rows' own gradients of the scores need not be written out.
        """
        rows, length, heads = len(mixed), len(along), self._config.num_heads
        along = self._normalise_backward(along[None].clone(), kept.normed, kept.inverse)[0]
        moved = (along @ layer.query_key_value.T).view(length, 3, heads, -1).permute(1, 2, 0, 3)
        centre = self._centre(kept, mixed)
        mixed = mixed.view(rows, length, heads, -1)
        found = mixed.new_zeros(rows, length)
        for head in range(heads):
            read, value = mixed[:, :, head].contiguous(), kept.value[head]
            gathered = None
            for start, end in _blocks(length):
                probabilities = _probabilities(kept, head, start, end)
                by_query = (moved[0, head, start:end] @ kept.key[head].T).mul_(probabilities)
                by_key = (kept.query[head, start:end] @ moved[1, head].T).mul_(probabilities)
                part, middle = read[:, start:end], centre[:, start:end, head]
                found[:, start:end] += (part * (by_query @ value)).sum(-1) - middle * by_query.sum(-1)
                found -= middle @ by_key
                both = torch.cat([probabilities, by_key], 1).T @ part
                gathered = both if gathered is None else gathered.add_(both)
            found += (gathered[:, :length] * moved[2, head]).sum(-1) + (gathered[:, length:] * value).sum(-1)
        return found

    @staticmethod
    def _centre(kept: _Kept, mixed: Tensor) -> Tensor:
        """(rows, length, heads): Σ over keys of probability × its gradient, without the probabilities.

        Dao et al. 2022 ("FlashAttention"), appendix B.4.
        """
        heads, length, size = kept.query.shape
        return (mixed * kept.mixed).view(len(mixed), length, heads, size).sum(-1)

    def _attention_backward(self, kept: _Kept, mixed: Tensor) -> Tensor:
        """Gradients by what the heads read (rows, length, inner) → by queries, keys and values, side by side."""
        rows, length, heads = len(mixed), mixed.shape[1], self._config.num_heads
        size = kept.query.shape[-1]
        centre = self._centre(kept, mixed)
        mixed = mixed.view(rows, length, heads, size)
        result = mixed.new_empty(rows, length, 3, heads, size)
        for head in range(heads):
            read = mixed[:, :, head].contiguous()
            by_key, by_value = torch.zeros_like(read), torch.zeros_like(read)
            for start, end in _blocks(length, 4 * rows):  # several small tensors are worked on at once
                probabilities = _probabilities(kept, head, start, end)
                part = read[:, start:end].contiguous()
                scores = (part.flatten(0, 1) @ kept.value[head].T).view(rows, end - start, length)
                scores.sub_(centre[:, start:end, head, None]).mul_(probabilities)
                result[:, start:end, 0, head] = scores @ kept.key[head]
                by_key.baddbmm_(scores.transpose(1, 2), kept.query[head, start:end].expand(rows, -1, -1))
                by_value.baddbmm_(probabilities.T.expand(rows, -1, -1), part)
            result[:, :, 1, head], result[:, :, 2, head] = by_key, by_value
        return result.view(rows, length, -1)

    @staticmethod
    def _normalise_backward(gradients: Tensor, normed: Tensor, inverse: Tensor) -> Tensor:
        """Through x / root mean square of x; `gradients` (rows, length, width) is used up."""
        along = (gradients * normed).mean(-1, keepdim=True)
        return torch.addcmul(gradients, along, normed, value=-1, out=gradients).mul_(inverse)

    def _buckets(self, length: int, device: torch.device) -> Tensor:
        """(2 × length − 1) the class of each distance of key and query, from −(length − 1) on."""
        return T5Attention._relative_position_bucket(
            torch.arange(-(length - 1), length, device=device),
            bidirectional=True,
            num_buckets=self._config.relative_attention_num_buckets,
            max_distance=self._config.relative_attention_max_distance,
        )


def fits(model: PreTrainedModel) -> bool:
    """Whether the model's encoder is the one written out here."""
    return model.config.model_type in FAMILIES


def _blocks(length: int, parts: int = 1) -> list[tuple[int, int]]:
    """(start, end) of the blocks of queries in which attention is worked through.

    One row's scores in a block take at most one of so many equal parts of WORK_BYTES.
    """
    size = max(1, min(length, WORK_BYTES // (FLOAT * length * parts)))
    return [(start, min(start + size, length)) for start in range(0, length, size)]


def _bias_of(bias: Tensor, start: int, end: int) -> Tensor:
    """(queries from `start` to `end`, length) out of one head's (2 × length − 1)."""
    length = (len(bias) + 1) // 2
    windows = bias.unfold(0, length, 1)  # window w holds the biases of query length − 1 − w
    return windows[length - end : length - start].flip(0)


def _probabilities(kept: _Kept, head: int, start: int, end: int) -> Tensor:
    if kept.probabilities is not None:
        return kept.probabilities[head, start:end]
    scores = torch.addmm(_bias_of(kept.bias[head], start, end), kept.query[head, start:end], kept.key[head].T)
    return scores.softmax(-1)


def _layer(attention: nn.Module, forward: nn.Module, relative: Tensor, gated: bool) -> _Layer:
    before, own, dense = attention.layer_norm.weight, attention.SelfAttention, forward.DenseReluDense
    scale = forward.layer_norm.weight
    return _Layer(
        query_key_value=torch.cat([own.q.weight, own.k.weight, own.v.weight]).detach() * before.detach(),
        output=own.o.weight.detach(),
        up=(dense.wi_1 if gated else dense.wi).weight.detach() * scale.detach(),
        gate=dense.wi_0.weight.detach() * scale.detach() if gated else None,
        down=dense.wo.weight.detach(),
        relative=relative,
    )
