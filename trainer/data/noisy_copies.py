"""Training articles that are read as noisy copies, another draw in each epoch (data augmentation)."""

import random
from collections.abc import Sequence
from itertools import chain, repeat

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from trainer.data.encoding import encode
from trainer.data.noise import CHANGES
from trainer.data.splits import Example
from trainer.data.tokens import JoinedDataset, SummarizationDataset


class NoisyCopies(torch.utils.data.Dataset):
    """The tokenised pairs, of which a share of the articles is damaged; the summaries stay as they are.

    What becomes of an article depends on seed, epoch and its place alone, so a run that is resumed sees what one would
    have seen that nobody disturbed.

    Args:
        examples, tokens: the pairs, and the same as ids.
        prefixes: (what stands before an article, how many of the pairs in turn have it).
        noises: (kind, strength) as in trainer/data/noise.py; each copy has one of them.
        share: of articles that are damaged, in [0, 1].
    """

    def __init__(
        self,
        examples: Sequence[Example],
        tokens: SummarizationDataset | JoinedDataset,
        tokenizer: PreTrainedTokenizerBase,
        *,
        prefixes: Sequence[tuple[str, int]],
        max_source_length: int,
        noises: Sequence[tuple[str, float]],
        share: float,
        seed: int,
    ):
        self.examples, self.tokens, self.tokenizer = examples, tokens, tokenizer
        self.prefixes = list(chain.from_iterable(repeat(prefix, number) for prefix, number in prefixes))
        self.max_source_length = max_source_length
        self.noises, self.share, self.seed, self.epoch = list(noises), share, seed, 0

    @property
    def source_lengths(self) -> np.ndarray:
        """Of the articles as they are."""
        return self.tokens.source_lengths

    @property
    def target_lengths(self) -> np.ndarray:
        return self.tokens.target_lengths

    def notes(self) -> list[str]:
        """How much was cut off, as sentences, of the articles as they are."""
        return self.tokens.notes()

    def set_epoch(self, epoch: int) -> None:
        """Chooses the draw of the next pass."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        pair = self.tokens[index]
        draw = random.Random(f"{self.seed} noise {self.epoch} {index}")
        if draw.random() >= self.share:
            return pair
        kind, strength = draw.choice(self.noises)
        damaged = CHANGES[kind].apply(self.examples[index].source, strength, draw, ()).text
        (source,) = encode(self.tokenizer, [damaged], prefix=self.prefixes[index], limit=self.max_source_length)
        return pair | {"input_ids": source.ids}
