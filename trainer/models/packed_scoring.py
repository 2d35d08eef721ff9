"""A T5's log-probabilities of many texts about many articles, with nothing computed for padding.

All tokens of a pass are rows of one matrix, so each weight is multiplied once with all of them; only attention is
computed apart, for each article or text. What transformers computes for a padded batch is the same but for the rounding
of fp32, and took twice as long for articles and sentences of unequal length.
"""

from collections.abc import Iterator, Sequence

import torch
from torch.nn.functional import cross_entropy, rms_norm, scaled_dot_product_attention
from transformers import MT5ForConditionalGeneration, PreTrainedModel, T5ForConditionalGeneration

# More tokens at once are no faster: they no longer fit into the processor's cache.
TOKENS_A_PASS = 2048
# Rows that are multiplied with the whole vocabulary at once.
ROWS_AT_THE_HEAD = 512


def supports(model: PreTrainedModel) -> bool:
    """Whether the model is one that is computed here as transformers does: a T5 or mT5 that is not in training."""
    return type(model) in (T5ForConditionalGeneration, MT5ForConditionalGeneration) and not model.training


class ReadArticles:
    """Articles that have been read once, and can be asked time and again how probable texts are.

    Args:
        sources: the ids of each article, as for `likelihood.log_probs_of`.
    """

    @torch.inference_mode()
    def __init__(self, model: PreTrainedModel, sources: Sequence[Sequence[int]]):
        self._model = model
        # For each pass of the encoder its articles' numbers, and for each layer of the decoder their keys and values.
        self._passes: list[tuple[list[int], list[list[tuple[torch.Tensor, torch.Tensor]]]]] = []
        for articles in _groups([len(ids) for ids in sources]):
            encoded = _encode(model, [sources[number] for number in articles])
            crossed = [_crossed(block.layer[1].EncDecAttention, encoded) for block in model.decoder.block]
            self._passes.append((articles, crossed))

    @torch.inference_mode()
    def log_probs(self, texts: Sequence[Sequence[Sequence[int]]]) -> list[list[float]]:
        """For each article Σ log p(text | article), in nats, of each of its texts, which may be none."""
        found: list[list[float]] = [[] for _ in texts]
        for articles, crossed in self._passes:
            listed = [(place, text) for place, number in enumerate(articles) for text in texts[number]]
            for group in _groups([len(text) for _, text in listed]):
                chosen = [listed[place] for place in group]
                for (place, _), value in zip(chosen, _score(self._model, chosen, crossed), strict=True):
                    found[articles[place]].append(value)
        return found


def _encode(model: PreTrainedModel, sources: Sequence[Sequence[int]]) -> list[torch.Tensor]:
    """For each article (its tokens, d_model)."""
    stack, lengths = model.encoder, [len(ids) for ids in sources]
    rows = _embedded(model, [token for ids in sources for token in ids])
    bias = stack.block[0].layer[0].SelfAttention.compute_bias(max(lengths), max(lengths))
    for block in stack.block:
        attention = block.layer[0].SelfAttention
        found = _normed(rows, block.layer[0].layer_norm)
        parts = [matrix(found).split(lengths) for matrix in (attention.q, attention.k, attention.v)]
        attended = [
            _attended(attention, *part, bias[:, :, : len(part[0]), : len(part[0])]) for part in zip(*parts, strict=True)
        ]
        rows = rows + attention.o(torch.cat(attended))
        rows = _fed(rows, block.layer[1])
    return list(_normed(rows, stack.final_layer_norm).split(lengths))


def _crossed(attention: torch.nn.Module, encoded: list[torch.Tensor]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """For each article the keys and values of a layer's cross-attention, (its tokens, heads × d_kv) both."""
    lengths, rows = [len(states) for states in encoded], torch.cat(encoded)
    return list(zip(attention.k(rows).split(lengths), attention.v(rows).split(lengths), strict=True))


def _score(
    model: PreTrainedModel,
    texts: Sequence[tuple[int, Sequence[int]]],
    crossed: list[list[tuple[torch.Tensor, torch.Tensor]]],
) -> list[float]:
    """Σ log p of each text, given with the number of its article; those of an article stand together."""
    stack, start = model.decoder, model.config.decoder_start_token_id
    lengths = torch.tensor([len(text) for _, text in texts])
    longest, total = int(lengths.max()), int(lengths.sum())
    is_token = torch.arange(longest) < lengths[:, None]
    places = (torch.arange(longest) + (lengths.cumsum(0) - lengths)[:, None]).clamp(max=total - 1)
    articles = list(dict.fromkeys(article for article, _ in texts))
    per_article = [sum(len(text) for number, text in texts if number == article) for article in articles]

    rows = _embedded(model, [token for _, text in texts for token in (start, *text[:-1])])
    first = stack.block[0].layer[0].SelfAttention
    future = torch.ones(longest, longest, dtype=torch.bool).triu(1).to(rows.device)
    bias = first.compute_bias(longest, longest).masked_fill(future, torch.finfo(rows.dtype).min)
    for block, keys_values in zip(stack.block, crossed, strict=True):
        attention = block.layer[0].SelfAttention
        found = _normed(rows, block.layer[0].layer_norm)
        parts = [matrix(found)[places] for matrix in (attention.q, attention.k, attention.v)]
        rows = rows + attention.o(_attended(attention, *parts, bias)[is_token])
        cross = block.layer[1].EncDecAttention
        queries = cross.q(_normed(rows, block.layer[1].layer_norm)).split(per_article)
        attended = [
            _attended(cross, query, *keys_values[article], None)
            for article, query in zip(articles, queries, strict=True)
        ]
        rows = rows + cross.o(torch.cat(attended))
        rows = _fed(rows, block.layer[2])
    rows = _normed(rows, stack.final_layer_norm)
    if getattr(model.config, "scale_decoder_outputs", False) and not isinstance(model, MT5ForConditionalGeneration):
        rows = rows * model.config.d_model**-0.5
    targets = torch.tensor([token for _, text in texts for token in text]).to(rows.device)
    negative = torch.cat(
        [
            cross_entropy(model.lm_head(part).float(), target, reduction="none")
            for part, target in zip(rows.split(ROWS_AT_THE_HEAD), targets.split(ROWS_AT_THE_HEAD), strict=True)
        ]
    )
    return [-float(part.sum()) for part in negative.split(lengths.tolist())]


def _embedded(model: PreTrainedModel, ids: list[int]) -> torch.Tensor:
    return model.shared(torch.tensor(ids).to(model.device))


def _normed(rows: torch.Tensor, norm: torch.nn.Module) -> torch.Tensor:
    return rms_norm(rows, norm.weight.shape, norm.weight, norm.variance_epsilon)


def _fed(rows: torch.Tensor, layer: torch.nn.Module) -> torch.Tensor:
    return rows + layer.DenseReluDense(_normed(rows, layer.layer_norm))


def _attended(
    attention: torch.nn.Module,
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    bias: torch.Tensor | None,
) -> torch.Tensor:
    """Attention of (…, tokens, heads × d_kv) to as many or other tokens; the same shape as `queries`."""
    parts = [
        part.unflatten(-1, (attention.n_heads, attention.key_value_proj_dim)).transpose(-2, -3)
        for part in (queries, keys, values)
    ]
    lone = queries.dim() == 2
    if lone:
        parts = [part[None] for part in parts]
    found = scaled_dot_product_attention(*parts, attn_mask=bias, scale=1.0).transpose(1, 2).flatten(2)
    return found[0] if lone else found


def _groups(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Places, in order, in groups of at most `TOKENS_A_PASS` tokens together, or of one."""
    group: list[int] = []
    tokens = 0
    for place, length in enumerate(lengths):
        if group and tokens + length > TOKENS_A_PASS:
            yield group
            group, tokens = [], 0
        group.append(place)
        tokens += length
    if group:
        yield group
