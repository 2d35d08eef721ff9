"""How probable a T5 finds each of several texts, given one article: all of them in one pass of the decoder.

Texts are laid end to end in one decoder input, and a mask lets each token see only its own text up to itself. T5 knows
positions only as distances between tokens, so every text gets the values that it would get alone, while the article's
keys and values are computed once instead of once a text. For models with absolute positions this does not hold.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

NO_TEXT = -1  # segment of padding
TOKENS_A_PASS = 512  # the mask grows with the square of the tokens


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


@torch.inference_mode()
def log_probs_of(model: PreTrainedModel, input_ids: torch.Tensor, texts: Sequence[Sequence[int]]) -> list[float]:
    """Σ log p(text | article), in nats, of each text.

    Args:
        model: of the T5 family.
        input_ids: (1, source tokens), with prefix and end token.
        texts: the ids of each text, with its end token.
    """
    attention_mask = torch.ones_like(input_ids)
    encoded = model.get_encoder()(input_ids=input_ids, attention_mask=attention_mask)
    found: list[float] = []
    for part in _passes(texts):
        packed = PackedTargets.of([part], model.config.decoder_start_token_id)
        logits = model(
            encoder_outputs=encoded,
            attention_mask=attention_mask,
            decoder_input_ids=packed.decoder_input_ids.to(model.device),
            decoder_attention_mask=packed.mask(model.dtype).to(model.device),
            use_cache=False,
        ).logits
        sums, _ = packed_log_probs(logits, packed.targets.to(model.device), packed.segments.to(model.device))
        found += sums[0].tolist()
    return found


def _passes(texts: Sequence[Sequence[int]]) -> list[list[Sequence[int]]]:
    """The texts in groups of at most `TOKENS_A_PASS` tokens; a longer text is a group of its own."""
    groups: list[list[Sequence[int]]] = []
    room = 0
    for text in texts:
        if not groups or len(text) > room:
            groups.append([])
            room = TOKENS_A_PASS
        groups[-1].append(text)
        room -= len(text)
    return groups
