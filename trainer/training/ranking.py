"""Learning to choose: which sentence of an article is its best one-sentence summary.

For each article a few of its own sentences are read by the decoder, the one nearest to the reference among them. The
model learns to find that one the most probable a token, and to write it:

    loss = − Σᵢ qᵢ log softmax(SCALE · mean log p)ᵢ − mean log p(best),   q = softmax(gain / TEMPERATURE)

where the gain of a sentence is its ROUGE-1 F1 + ROUGE-2 F1 with the reference. That is the listwise form of BRIO's
contrastive loss (Liu et al. 2022, section 3.2) on extracts instead of a model's own summaries.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from trainer.data.encoding import encode
from trainer.data.sampling import EvenSampler
from trainer.data.splits import Example
from trainer.data.tokens import SummarizationDataset
from trainer.metrics.rouge import RougeTokenizer
from trainer.models.likelihood import PackedTargets, packed_log_probs
from trainer.summarizers.extractive import ngram_f1
from trainer.summarizers.extracts import extracts

SCALE = 10.0
TEMPERATURE = 0.08
NOTHING = -100  # as in labels: no article to learn from


class RankedExtracts(torch.utils.data.Dataset):
    """For each article its ids, some of its sentences as ids, and the gain of each, the best first.

    An item is `{"input_ids": [int, …], "texts": [[int, …], …], "gains": [float, …]}`; of an article that has fewer than
    two sentences within what is read, and at `EvenSampler.BLANK`, the last two lists are empty.

    Args:
        examples, tokens: the pairs, and the same as ids.
        number: sentences of an article at most; the others beside the best are drawn by `seed` and row.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        tokens: SummarizationDataset,
        tokenizer: PreTrainedTokenizerBase,
        number: int,
        seed: int,
    ):
        self.examples, self.tokens, self.tokenizer = examples, tokens, tokenizer
        self.number, self.seed = number, seed
        self._words = RougeTokenizer()

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> dict[str, list]:
        if index == EvenSampler.BLANK:
            return {"input_ids": [self.tokenizer.eos_token_id], "texts": [], "gains": []}
        example = self.examples[index]
        prefix, limit = self.tokens.prefix, self.tokens.max_source_length
        (source,) = encode(self.tokenizer, [example.source], prefix=prefix, limit=limit)
        sentences = extracts(source.sentences_read)
        if len(sentences) < 2:
            return {"input_ids": source.ids, "texts": [], "gains": []}
        gains = np.array([self._gain(sentence, example.target) for sentence in sentences])
        best = int(gains.argmax())
        others = [number for number in range(len(sentences)) if number != best]
        draw = np.random.default_rng((self.seed, index))
        chosen = [best, *draw.permutation(others)[: self.number - 1].tolist()]
        texts = encode(self.tokenizer, [sentences[number] for number in chosen], limit=self.tokens.max_target_length)
        return {"input_ids": source.ids, "texts": [text.ids for text in texts], "gains": gains[chosen].tolist()}

    def _gain(self, sentence: str, reference: str) -> float:
        words, expected = self._words.tokenize(sentence), self._words.tokenize(reference)
        return ngram_f1(words, expected, 1) + ngram_f1(words, expected, 2)


class RankedCollator:
    """Batches of `RankedExtracts` items by `collate_ranked`; of ordinary pairs, as validation has them, by `plain`."""

    def __init__(self, plain: Callable[[list[dict]], Any], start_token_id: int, pad_token_id: int):
        self.plain, self.start_token_id, self.pad_token_id = plain, start_token_id, pad_token_id

    def __call__(self, items: list[dict]) -> Any:
        if "texts" in items[0]:
            return collate_ranked(items, self.start_token_id, self.pad_token_id)
        return self.plain(items)


def collate_ranked(items: Sequence[dict[str, list]], start_token_id: int, pad_token_id: int) -> dict[str, torch.Tensor]:
    """A batch for `ranking_loss`.

    `input_ids` and `attention_mask` (batch, source tokens); `decoder_input_ids`, `targets` and `segments` (batch,
    packed tokens) and `decoder_attention_mask` (batch, 1, packed tokens, packed tokens) as in `PackedTargets`; `gains`
    (batch, texts), -∞ where there is no text; `labels` (batch, 1), the number of the best text, -100 where an article
    has none: so that counting labels counts articles.
    """
    width = max(len(item["input_ids"]) for item in items)
    input_ids = torch.full((len(items), width), pad_token_id)
    gains = torch.full((len(items), max(1, *(len(item["gains"]) for item in items))), -torch.inf)
    labels = torch.full((len(items), 1), NOTHING)
    for row, item in enumerate(items):
        input_ids[row, : len(item["input_ids"])] = torch.tensor(item["input_ids"])
        if item["gains"]:
            gains[row, : len(item["gains"])] = torch.tensor(item["gains"])
            labels[row] = 0
    packed = PackedTargets.of([item["texts"] or [[pad_token_id]] for item in items], start_token_id)
    return {
        "input_ids": input_ids,
        "attention_mask": input_ids.ne(pad_token_id).long(),
        "decoder_input_ids": packed.decoder_input_ids,
        "decoder_attention_mask": packed.mask(torch.float32),
        "targets": packed.targets,
        "segments": packed.segments,
        "gains": gains,
        "labels": labels,
    }


def ranking_loss(
    logits: torch.Tensor,
    targets: torch.Tensor,
    segments: torch.Tensor,
    gains: torch.Tensor,
    labels: torch.Tensor,
    num_items_in_batch: torch.Tensor | int | None = None,
) -> torch.Tensor:
    """The loss of this module's head, summed over the articles that have sentences, over their number in the step.

    Args:
        logits: (batch, packed tokens, vocabulary); the others as `collate_ranked` makes them.
        num_items_in_batch: articles of the optimizer step; those of this batch where it is None.
    """
    sums, lengths = packed_log_probs(logits, targets, segments)
    there = torch.isfinite(gains)
    means = (sums / lengths.clamp(min=1)).masked_fill(~there, -torch.inf)
    learnt = labels[:, 0].ne(NOTHING)
    means, gains, there = means[learnt], gains[learnt], there[learnt]
    wanted = (gains / TEMPERATURE).softmax(-1)
    ranked = (SCALE * means).log_softmax(-1).masked_fill(~there, 0.0)
    best = means[torch.arange(len(means)), labels[learnt, 0]]
    total = -(wanted * ranked).sum() - best.sum()
    return total / (learnt.sum().clamp(min=1) if num_items_in_batch is None else num_items_in_batch)
