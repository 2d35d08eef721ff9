"""How probable a T5 finds each of several texts, given their article: those of several articles in a few passes.

Texts are laid end to end in one decoder input, and a mask lets each token see only its own text up to itself. T5 knows
positions only as distances between tokens, so every text gets the values that it would get alone, while the article's
keys and values are computed once instead of once a text. For models with absolute positions this does not hold.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from trainer.models import packed_scoring

NO_TEXT = -1  # segment of padding
TOKENS_A_ROW = 512  # the mask grows with the square of the tokens
TOKENS_A_PASS = 2048  # more at once is no faster, and takes as much memory as its logits


@dataclass(frozen=True)
class PackedTargets:
    """Several texts for each article of a batch, laid end to end.

    Attributes:
        targets: (batch, tokens) ids to be written, 0 at padding.
        decoder_input_ids: (batch, tokens) the ids before them, each text's own start token first.
        segments: (batch, tokens) the number of the text that a token belongs to, -1 at padding.
    """

    targets: torch.Tensor
    decoder_input_ids: torch.Tensor
    segments: torch.Tensor

    @classmethod
    def of(cls, articles: Sequence[Sequence[Sequence[int]]], start_token_id: int) -> "PackedTargets":
        """Packs `articles`: for each the ids of its texts, each text with its end token."""
        width = max(sum(map(len, texts)) for texts in articles)
        targets, before = torch.zeros(2, len(articles), width, dtype=torch.long)
        segments = torch.full((len(articles), width), NO_TEXT)
        for row, texts in enumerate(articles):
            place = 0
            for number, text in enumerate(texts):
                end = place + len(text)
                targets[row, place:end] = torch.tensor(text)
                before[row, place:end] = torch.tensor([start_token_id, *text[:-1]])
                segments[row, place:end] = number
                place = end
        return cls(targets, before, segments)

    def mask(self, dtype: torch.dtype) -> torch.Tensor:
        """(batch, 1, tokens, tokens) to be added to attention scores: 0 within a text up to the token, else -∞."""
        same = self.segments[:, :, None] == self.segments[:, None, :]
        seen = torch.ones_like(same[0]).tril() & same
        return torch.zeros(same.shape, dtype=dtype, device=same.device).masked_fill(~seen, torch.finfo(dtype).min)[
            :, None
        ]


def packed_log_probs(
    logits: torch.Tensor, targets: torch.Tensor, segments: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """(Σ log p of each text (batch, texts), in nats; tokens of each text (batch, texts), 0 where there is no text)."""
    negative = cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), reduction="none").view(targets.shape)
    texts = torch.arange(int(segments.max()) + 1, device=segments.device)
    belongs = (segments[:, :, None] == texts).to(negative.dtype)
    return -torch.einsum("bt,btk->bk", negative, belongs), belongs.sum(1)


def log_probs_of(
    model: PreTrainedModel, sources: Sequence[Sequence[int]], texts: Sequence[Sequence[Sequence[int]]]
) -> list[list[float]]:
    """For each article Σ log p(text | article), in nats, of each of its texts: `log_prob_reader` asked once."""
    return log_prob_reader(model, sources)(texts)


def log_prob_reader(
    model: PreTrainedModel, sources: Sequence[Sequence[int]]
) -> Callable[[Sequence[Sequence[Sequence[int]]]], list[list[float]]]:
    """Reads articles; what comes back gives for each of them Σ log p(text | article), in nats, of each of its texts.

    Its argument has for each article the ids of each text, with its end token. A text's value does not depend on which
    other texts and articles there are, but for the rounding of fp32, about 1e-6 of it; texts of one article that are
    the same ids get the very same value.

    Args:
        model: of the T5 family.
        sources: the ids of each article, with prefix and end token.
    """
    if packed_scoring.supports(model):
        compute = packed_scoring.ReadArticles(model, sources).log_probs
    else:
        compute = partial(_padded, model, sources)

    def log_probs(texts: Sequence[Sequence[Sequence[int]]]) -> list[list[float]]:
        # One text of each kind: equal values must stay equal, whatever place in a pass they are computed at.
        distinct = [list(dict.fromkeys(map(tuple, own))) for own in texts]
        if not any(distinct):
            return distinct
        found = [dict(zip(*pair, strict=True)) for pair in zip(distinct, compute(distinct), strict=True)]
        return [[values[tuple(text)] for text in own] for values, own in zip(found, texts, strict=True)]

    return log_probs


@torch.inference_mode()
def _padded(
    model: PreTrainedModel, sources: Sequence[Sequence[int]], texts: Sequence[Sequence[Sequence[int]]]
) -> list[list[float]]:
    """`log_probs_of` by the model's own forward pass."""
    encoded, attention_mask = _encode(model, sources)
    parts = [(row, part) for row, own in enumerate(texts) for part in _passes(own)]
    order = sorted(range(len(parts)), key=lambda place: sum(map(len, parts[place][1])))
    sums_of: dict[int, list[float]] = {}
    for group in _groups([sum(map(len, parts[place][1])) for place in order]):
        places = [order[place] for place in group]
        rows, packs = zip(*(parts[place] for place in places), strict=True)
        packed = PackedTargets.of(packs, model.config.decoder_start_token_id)
        articles = torch.tensor(rows, device=model.device)
        logits = model(
            encoder_outputs=BaseModelOutput(encoded[articles]),
            attention_mask=attention_mask[articles],
            decoder_input_ids=packed.decoder_input_ids.to(model.device),
            decoder_attention_mask=packed.mask(model.dtype).to(model.device),
            use_cache=False,
        ).logits
        sums, _ = packed_log_probs(logits, packed.targets.to(model.device), packed.segments.to(model.device))
        sums_of.update(zip(places, sums.tolist(), strict=True))
    found: list[list[float]] = [[] for _ in sources]
    for place, (row, part) in enumerate(parts):
        found[row] += sums_of[place][: len(part)]  # behind them stand zeros, for texts of other articles
    return found


def _encode(model: PreTrainedModel, sources: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """(States (articles, tokens, d_model), attention mask (articles, tokens)) of the encoder."""
    rows = [torch.tensor(ids) for ids in sources]
    input_ids = pad_sequence(rows, batch_first=True).to(model.device)
    attention_mask = pad_sequence([torch.ones_like(row) for row in rows], batch_first=True).to(model.device)
    return model.get_encoder()(input_ids=input_ids, attention_mask=attention_mask)[0], attention_mask


def _groups(lengths: Sequence[int]) -> list[list[int]]:
    """Places of rows, shortest first, in groups of at most `TOKENS_A_PASS` tokens with padding, or of one row."""
    groups: list[list[int]] = []
    for place, length in enumerate(lengths):
        if not groups or length * (len(groups[-1]) + 1) > TOKENS_A_PASS:
            groups.append([])
        groups[-1].append(place)
    return groups


def _passes(texts: Sequence[Sequence[int]]) -> list[list[Sequence[int]]]:
    """The texts of an article in groups of at most `TOKENS_A_ROW` tokens; a longer text is a group of its own."""
    groups: list[list[Sequence[int]]] = []
    room = 0
    for text in texts:
        if not groups or len(text) > room:
            groups.append([])
            room = TOKENS_A_ROW
        groups[-1].append(text)
        room -= len(text)
    return groups
