"""A T5's forward pass for decoding only, several times as fast as the one that can also be trained.

What it does otherwise than transformers: texts of a batch are laid end to end in the encoder, so nothing is computed
for padding; query, key and value are one matrix; the keys and values of the cross-attention are computed once, and all
candidate summaries of an article share them; the decoder's own are written into memory that is there from the start;
relative positions are looked up once a text, not once a layer and step. In fp32 the results differ from transformers'
by rounding only.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch.nn.functional import embedding, gelu, scaled_dot_product_attention, silu
from transformers import MT5ForConditionalGeneration, PreTrainedModel, T5ForConditionalGeneration

from trainer.models.matrices import Matrix, matrix

ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": torch.relu,
    "gelu_new": lambda values: gelu(values, approximate="tanh"),
    "gelu": gelu,
    "silu": silu,
}
# Articles are encoded together up to this many tokens: more at once is no faster and no longer fits the cache. In int8
# each is encoded alone, for the rows that are multiplied together share one scale.
TOKENS_A_PASS = 1024
# The attention of an article longer than that is computed for this many of its tokens at a time: what it takes of
# memory grows with the length, not with its square, and what is added to the scores stays in the cache.
QUERIES_A_PASS = 256
# From this step of a network on, a step is traced, which saves a quarter of what a small model's takes; tracing takes
# as long as some twenty steps.
STEPS_TO_TRACE = 32


@dataclass(frozen=True)
class _Layer:
    """One layer of the encoder or the decoder; the last three are the decoder's cross-attention."""

    self_norm: torch.Tensor
    query_key_value: Matrix
    self_out: Matrix
    feed_norm: torch.Tensor
    feed: Callable[[torch.Tensor], torch.Tensor]
    cross_norm: torch.Tensor | None = None
    cross_query: Matrix | None = None
    cross_out: Matrix | None = None


@dataclass
class DecoderState:
    """What the decoder remembers of the summaries that it is writing, `rows` for each article.

    All rows of an article share one memory. Row r writes the keys and values of step t into slot t × rows + r, and
    `hidden` keeps from each row what is not its own past, so that rows change places without any key being moved.

    Attributes:
        cross: (layers, 2, articles, heads, source tokens, d_kv) keys and values of the articles.
        cross_mask: (articles, 1, 1, source tokens) 0 or -∞, or None where all articles are equally long.
        own: (layers, 2, articles, heads, slots, d_kv) keys and values of what is written.
        hidden: (articles, 1, rows, slots) 0 where a row sees a slot, else -∞; None where there is one row.
        bias: (1, heads, 1, slots) by the distance to the last slot.
        steps: how many tokens each row has read.
    """

    cross: torch.Tensor
    cross_mask: torch.Tensor | None
    own: torch.Tensor
    hidden: torch.Tensor | None
    bias: torch.Tensor
    rows: int
    steps: int = 0

    def reorder(self, parents: torch.Tensor) -> None:
        """Row r of an article goes on from its row `parents[article, r]`."""
        articles, _, rows, slots = self.hidden.shape
        index = (parents + rows * torch.arange(articles)[:, None]).flatten()
        self.hidden = self.hidden.view(articles * rows, slots)[index].view(articles, 1, rows, slots)

    def keep(self, articles: torch.Tensor) -> None:
        """Forgets all articles but those of these numbers."""
        self.cross, self.own = self.cross[:, :, articles], self.own[:, :, articles]
        self.cross_mask = None if self.cross_mask is None else self.cross_mask[articles]
        self.hidden = None if self.hidden is None else self.hidden[articles]

    def advance(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(Memory of this step (layers, 2, articles, heads, rows, d_kv), of all steps so far, what is added to scores).

        The last is (1 or articles, heads, 1 or rows, slots so far).
        """
        rows, start = self.rows, self.steps * self.rows
        end = start + rows
        mask = self.bias[..., self.bias.shape[-1] - end :]
        if self.hidden is not None:
            self.hidden[..., start:end].diagonal(dim1=-2, dim2=-1).zero_()
            mask = mask + self.hidden[..., :end]
        self.steps += 1
        return self.own[..., start:end, :], self.own[..., :end, :], mask


class T5Network:
    """The weights of a T5 laid out for decoding on a processor.

    Large matrices may be kept in a smaller copy (`trainer.models.matrices`); of the others the model's own are used.
    Where the model may have changed since, `is_of` says so.

    Args:
        model: one for which `supports` is true.
        number_format: of the matrices, one of `trainer.models.matrices.FORMATS`; all else is fp32.

    Raises:
        UserError: as `trainer.models.matrices.matrix`.
    """

    def __init__(self, model: PreTrainedModel, number_format: str = "fp32"):
        config = model.config
        self.number_format = number_format
        many, few = (partial(matrix, number_format=number_format, many_rows=many) for many in (True, False))
        self.norm = partial(_norm, least=torch.tensor(config.d_model * config.layer_norm_epsilon).sqrt())
        self.heads, self.width = config.num_heads, config.d_kv
        self.embedding = model.shared.weight.detach()
        self._activation = ACTIVATIONS[config.dense_act_fn]
        self._encoder = [self._layer(block, many) for block in model.encoder.block]
        decoder = [self._layer(block, few) for block in model.decoder.block]
        crossed = [block.layer[1].EncDecAttention for block in model.decoder.block]
        self._cross = [many(_joined(attention.k, attention.v)) for attention in crossed]
        self._encoder_norm = _scale(model.encoder.final_layer_norm)
        last_norm = _scale(model.decoder.final_layer_norm)
        last_norm = last_norm * config.d_model**-0.5 if scales_output(model) else last_norm
        head = few(model.lm_head.weight.detach())
        self._step = _Step(decoder, self.embedding, last_norm, head, self.norm, self.heads, self.width)
        self._steps, self._traced = 0, {}
        self._positions = [stack.block[0].layer[0].SelfAttention for stack in (model.encoder, model.decoder)]
        self._weights = weights_of(model)

    @staticmethod
    def supports(model: torch.nn.Module) -> bool:
        """A T5 or mT5 in fp32 on the processor, with nothing put into it or around its layers."""
        if type(model) not in (T5ForConditionalGeneration, MT5ForConditionalGeneration):
            return False
        ordinary = all(
            type(module) is torch.nn.Linear and module.bias is None
            for name, module in model.named_modules()
            if name.endswith((".q", ".k", ".v", ".o", ".wi", ".wi_0", ".wi_1", ".wo")) or name == "lm_head"
        )
        wide = all(weight.dtype == torch.float32 and weight.device.type == "cpu" for weight in model.parameters())
        return ordinary and wide and model.config.dense_act_fn in ACTIVATIONS

    def is_of(self, model: PreTrainedModel, number_format: str = "fp32") -> bool:
        """Whether these are still the weights of `model`, in that format; to be asked before each decoding."""
        return self.number_format == number_format and self._weights == weights_of(model)

    def _layer(self, block: torch.nn.Module, matrix: Callable[..., Matrix]) -> _Layer:
        attention, feed = block.layer[0], block.layer[-1]
        own = attention.SelfAttention
        cross = block.layer[1] if block.is_decoder else None
        return _Layer(
            _scale(attention.layer_norm),
            matrix(_joined(own.q, own.k, own.v)),
            matrix(_joined(own.o)),
            _scale(feed.layer_norm),
            _FeedForward(feed.DenseReluDense, self._activation, matrix),
            cross_norm=cross and _scale(cross.layer_norm),
            cross_query=cross and matrix(_joined(cross.EncDecAttention.q)),
            cross_out=cross and matrix(_joined(cross.EncDecAttention.o)),
        )

    def read(self, articles: Sequence[Sequence[int]], rows: int, max_new_tokens: int) -> DecoderState:
        """Encodes texts of token ids, for a decoder that writes `rows` summaries of each, so long at most."""
        lengths = [len(ids) for ids in articles]
        longest, number = max(lengths), len(articles)
        layers = len(self._cross)
        cross = torch.empty(layers, 2, number, self.heads, longest, self.width)
        for group in _groups(lengths, 0 if self.number_format == "int8" else TOKENS_A_PASS):
            states = self._encode([articles[row] for row in group])
            for layer, key_value in enumerate(self._cross):
                found = key_value(states).view(-1, 2, self.heads, self.width).permute(1, 2, 0, 3)
                for row, part in zip(group, found.split([lengths[row] for row in group], dim=2), strict=True):
                    cross[layer, :, row, :, : lengths[row]] = part
                    cross[layer, :, row, :, lengths[row] :] = 0.0
        mask = None
        if min(lengths) < longest:
            mask = torch.zeros(number, 1, 1, longest)
            for row, length in enumerate(lengths):
                mask[row, ..., length:] = -torch.inf
        slots = max_new_tokens * rows
        bias = self._bias(self._positions[1], torch.arange(1 - max_new_tokens, 1), bidirectional=False)
        return DecoderState(
            cross,
            mask,
            torch.empty(layers, 2, number, self.heads, slots, self.width),
            torch.full((number, 1, rows, slots), -torch.inf) if rows > 1 else None,
            bias.repeat_interleave(rows, dim=1)[None, :, None],
            rows,
        )

    def _encode(self, articles: Sequence[Sequence[int]]) -> torch.Tensor:
        """(tokens of all articles, d_model), one after the other."""
        lengths = [len(ids) for ids in articles]
        longest = max(lengths)
        rows = embedding(torch.tensor([token for ids in articles for token in ids]), self.embedding)
        by_distance = self._bias(self._positions[0], torch.arange(1 - longest, longest), bidirectional=True)
        bias = _square(by_distance, 0, longest) if longest <= TOKENS_A_PASS else None
        for layer in self._encoder:
            found = layer.query_key_value(self.norm(rows, layer.self_norm))
            found = found.view(-1, 3, self.heads, self.width).permute(1, 2, 0, 3)[:, None]
            attended = [self._attend(*part, bias, by_distance) for part in found.split(lengths, dim=3)]
            rows = rows + layer.self_out(attended[0] if len(attended) == 1 else torch.cat(attended))
            rows = rows + layer.feed(self.norm(rows, layer.feed_norm))
        return self.norm(rows, self._encoder_norm)

    def _attend(self, query, key, value, bias: torch.Tensor | None, by_distance: torch.Tensor) -> torch.Tensor:
        """Attention of one article to itself: (tokens, heads × d_kv) of three (1, heads, tokens, d_kv)."""
        length = query.shape[2]
        size = QUERIES_A_PASS if bias is None else length
        parts = []
        for start in range(0, length, size):
            stop = min(start + size, length)
            here = _square(by_distance, start, stop) if bias is None else bias
            mask = here[None, :, : stop - start, :length]
            found = scaled_dot_product_attention(query[:, :, start:stop], key, value, mask, scale=1.0)
            parts.append(found[0].transpose(0, 1).reshape(stop - start, -1))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    @staticmethod
    def _bias(attention: torch.nn.Module, distances: torch.Tensor, bidirectional: bool) -> torch.Tensor:
        """(heads, distances): what relative positions (of the token seen, from the one that sees) add to scores."""
        buckets = attention._relative_position_bucket(
            distances,
            bidirectional=bidirectional,
            num_buckets=attention.relative_attention_num_buckets,
            max_distance=attention.relative_attention_max_distance,
        )
        return attention.relative_attention_bias.weight.detach()[buckets].t().contiguous()

    def step(self, state: DecoderState, tokens: torch.Tensor) -> torch.Tensor:
        """Logits (articles × rows, vocabulary) of what follows `tokens` (articles × rows,)."""
        memory = *state.advance(), state.cross, state.cross_mask
        inputs = (tokens, *(part for part in memory if part is not None))
        self._steps += 1
        if self._steps < STEPS_TO_TRACE:
            return self._step(*inputs)
        key = len(inputs)
        if key not in self._traced:
            # What it writes into the memory it writes again when the trace is run: the same.
            # Which of two ways to multiply is chosen by the number of rows stays as it is now: both are right for any.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", torch.jit.TracerWarning)
                self._traced[key] = torch.jit.trace(self._step, inputs, check_trace=False)
        with torch.jit.optimized_execution(False):  # optimising would take longer than it saves
            return self._traced[key](*inputs)


class _FeedForward(torch.nn.Module):
    def __init__(self, dense: torch.nn.Module, activation: Callable, matrix: Callable[..., Matrix]):
        super().__init__()
        gated, relu = hasattr(dense, "wi_0"), activation is torch.relu
        self.into = matrix(_joined(dense.wi_0 if gated else dense.wi), relu=relu)
        self.gate = matrix(_joined(dense.wi_1)) if gated else None
        self.out = matrix(_joined(dense.wo))
        self.activation = None if relu else activation

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        found = self.into(rows) if self.activation is None else self.activation(self.into(rows))
        return self.out(found if self.gate is None else found * self.gate(rows))


class _Step(torch.nn.Module):
    """The decoder's work of one step, in a form that can be traced: tensors in, one tensor out."""

    def __init__(self, layers, embeddings, last_norm, head, norm, heads: int, width: int):
        super().__init__()
        self.layers, self.embeddings, self.last_norm, self.head = layers, embeddings, last_norm, head
        self.norm, self.heads, self.width = norm, heads, width
        parts = [part for layer in layers for part in vars(layer).values()] + [head]
        self.packed = torch.nn.ModuleList(part for part in parts if isinstance(part, torch.nn.Module))

    def forward(self, tokens, written, own, mask, cross, cross_mask=None) -> torch.Tensor:
        """The arguments are those of `DecoderState.advance` and `DecoderState`."""
        articles, rows_each = cross.shape[2], written.shape[4]
        rows = embedding(tokens, self.embeddings)
        steps = zip(self.layers, written.unbind(0), own.unbind(0), cross.unbind(0), strict=True)
        for layer, place, past, source in steps:
            found = layer.query_key_value(self.norm(rows, layer.self_norm))
            found = found.view(articles, rows_each, 3, self.heads, self.width).permute(2, 0, 3, 1, 4)
            place.copy_(found[1:])
            attended = scaled_dot_product_attention(found[0], past[0], past[1], mask, scale=1.0)
            rows = rows + layer.self_out(attended.transpose(1, 2).reshape(-1, self.heads * self.width))
            query = layer.cross_query(self.norm(rows, layer.cross_norm))
            query = query.view(articles, rows_each, self.heads, self.width).transpose(1, 2)
            attended = scaled_dot_product_attention(query, source[0], source[1], cross_mask, scale=1.0)
            rows = rows + layer.cross_out(attended.transpose(1, 2).reshape(-1, self.heads * self.width))
            rows = rows + layer.feed(self.norm(rows, layer.feed_norm))
        return self.head(self.norm(rows, self.last_norm))


def _norm(rows: torch.Tensor, scale: torch.Tensor, least: torch.Tensor) -> torch.Tensor:
    """T5's layer norm, x / √(mean(x²) + ε) × weight, as x / √(Σx² + dε) × (√d × weight): half the operators."""
    return rows / torch.hypot(torch.linalg.vector_norm(rows, dim=-1, keepdim=True), least) * scale


def _scale(norm: torch.nn.Module) -> torch.Tensor:
    """√d × the weight of a layer norm, as `_norm` takes it."""
    weight = norm.weight.detach()
    return weight * weight.numel() ** 0.5


def _joined(*linears: torch.nn.Linear) -> torch.Tensor:
    """(outputs of all, inputs): the weight itself where there is one."""
    weights = [part.weight.detach() for part in linears]
    return weights[0] if len(weights) == 1 else torch.cat(weights)


def scales_output(model: PreTrainedModel) -> bool:
    """Whether the decoder's output is divided by √d_model before the head: in the first T5, not in T5 v1.1 and mT5."""
    return isinstance(model, T5ForConditionalGeneration) and model.config.scale_decoder_outputs


def weights_of(model: torch.nn.Module) -> tuple[tuple[int, int], ...]:
    """Where the weights are and how often each was changed in place."""
    return tuple((weight.data_ptr(), weight._version) for weight in model.parameters())


def _groups(lengths: Sequence[int], most: int) -> list[list[int]]:
    """Numbers of articles, in order, in groups of at most so many tokens or of one article."""
    groups: list[list[int]] = []
    tokens = 0
    for row, length in enumerate(lengths):
        if not groups or tokens + length > most:
            groups.append([])
            tokens = 0
        groups[-1].append(row)
        tokens += length
    return groups


def _square(by_distance: torch.Tensor, start: int, stop: int) -> torch.Tensor:
    """(heads, stop - start, longest): the bias of queries `start` to `stop`, of (heads, 2 longest - 1) by distance."""
    longest = (by_distance.shape[1] + 1) // 2
    return by_distance.unfold(1, longest, 1)[:, longest - stop : longest - start].flip(1)
