"""Article–summary pairs as token ids, and batches of them.

dataset = tokenize(split.examples, tokenizer, DataSettings())
batch = collator(tokenizer)([dataset[0], dataset[1]])
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from tqdm import tqdm
from transformers import DataCollatorForSeq2Seq, PreTrainedModel, PreTrainedTokenizerBase

from trainer.data.encoding import encode
from trainer.data.splits import Example
from trainer.errors import UserError
from trainer.settings.groups import DataSettings


class SummarizationDataset(torch.utils.data.Dataset):
    """Token ids of all pairs, made once and kept in memory as 32-bit arrays (XSum's 204,045: about 0.5 GB).

    An item is `{"input_ids": [int, …], "labels": [int, …]}`, unpadded: prefix + article cut to
    `max_source_length` tokens, and the summary cut to `max_target_length`. Both end with `</s>`, also when
    cut. They are the ids that `tokenizer(text, truncation=True, max_length=…)` gives, but for special tokens that a
    text spells: those are text (trainer/data/encoding.py).

    Attributes:
        source_lengths, target_lengths: tokens of each as kept (int64 arrays).
        truncated_sources, truncated_targets: how many lost tokens to the limits.

    Raises:
        UserError: after the prefix `max_source_length` leaves no room for a token of the article.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        tokenizer: PreTrainedTokenizerBase,
        *,
        prefix: str,
        max_source_length: int,
        max_target_length: int,
    ) -> None:
        taken = encode(tokenizer, [prefix])[0].total
        if max_source_length <= taken:
            raise UserError(
                f"--max_source_length is {max_source_length}: the prefix {prefix!r} and </s> take {taken} "
                f"tokens, so nothing of an article would be read. It must be over {taken}; usual is 1024."
            )
        self.prefix = prefix
        self.max_source_length, self.max_target_length = max_source_length, max_target_length
        # The articles take all the time: about 2 s for 1,000 on one core. Shown on a terminal only.
        progress = tqdm(examples, "Tokenising", unit=" articles", delay=3, leave=False, disable=None)
        sources = (example.source for example in progress)
        targets = (example.target for example in examples)
        self._sources, self.truncated_sources = _encode(sources, tokenizer, prefix, max_source_length)
        self._targets, self.truncated_targets = _encode(targets, tokenizer, "", max_target_length)
        self.source_lengths = self._sources.lengths
        self.target_lengths = self._targets.lengths

    def __len__(self) -> int:
        return len(self.source_lengths)

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        return {"input_ids": self._sources[index], "labels": self._targets[index]}

    def notes(self) -> list[str]:
        """How much was cut off, as sentences; none where nothing was."""
        notes = []
        for what, n, option in (
            ("articles", self.truncated_sources, "max_source_length"),
            ("summaries", self.truncated_targets, "max_target_length"),
        ):
            if n:
                share = f"{n:,} of {len(self):,} {what} ({100 * n / len(self):.1f}%)"
                notes.append(f"{share} were cut to --{option} {getattr(self, option):,} tokens.")
        return notes


def tokenize(
    examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase, data: DataSettings
) -> SummarizationDataset:
    """The pairs as token ids, with the prefix and the limits of `data`."""
    return SummarizationDataset(
        examples,
        tokenizer,
        prefix=data.prefix,
        max_source_length=data.max_source_length,
        max_target_length=data.max_target_length,
    )


class JoinedDataset(torch.utils.data.ConcatDataset):
    """Several `SummarizationDataset`s, each with a prefix of its own, as one."""

    datasets: list[SummarizationDataset]

    @property
    def source_lengths(self) -> np.ndarray:
        return np.concatenate([part.source_lengths for part in self.datasets])

    @property
    def target_lengths(self) -> np.ndarray:
        return np.concatenate([part.target_lengths for part in self.datasets])

    def notes(self) -> list[str]:
        """How much was cut off of each, as sentences."""
        return [note for part in self.datasets for note in part.notes()]


class _Ragged:
    """Many lists of ids in one array: as Python lists they would take ten times the memory."""

    def __init__(self, ids: np.ndarray, lengths: np.ndarray) -> None:
        self.ids, self.lengths = ids, lengths
        self.ends = np.cumsum(lengths)

    def __getitem__(self, index: int) -> list[int]:
        end, length = self.ends[index], self.lengths[index]
        return self.ids[end - length : end].tolist()


def _encode(texts: Iterator[str], tokenizer: PreTrainedTokenizerBase, prefix: str, limit: int) -> tuple[_Ragged, int]:
    """(ids with `</s>`, number of texts cut)."""
    parts: list[np.ndarray] = []
    lengths: list[int] = []
    cut = 0
    while chunk := list(islice(texts, 1000)):
        encoded = encode(tokenizer, chunk, prefix=prefix, limit=limit)
        cut += sum(text.total > limit for text in encoded)
        lengths += [len(text.ids) for text in encoded]
        parts.append(np.fromiter((i for text in encoded for i in text.ids), dtype=np.int32))
    ids = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int32)
    return _Ragged(ids, np.array(lengths, dtype=np.int64)), cut


@dataclass
class PairCollator(DataCollatorForSeq2Seq):
    """Pads; and where an item says which of its labels are `ignored`, those count in no loss but are still read."""

    def __call__(self, features: list[dict[str, list[int]]], return_tensors: str | None = None) -> Any:
        ignored = [item.get("ignored", []) for item in features]
        features = [{name: ids for name, ids in item.items() if name != "ignored"} for item in features]
        batch = super().__call__(features, return_tensors)
        for row, places in enumerate(ignored):
            batch["labels"][row, places] = self.label_pad_token_id
        return batch


def collator(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel | None = None) -> PairCollator:
    """Makes batches of `SummarizationDataset` items, padded to the longest in the batch.

    A batch holds `input_ids` and `attention_mask` (batch, source tokens) and `labels` (batch, target tokens),
    with -100 at padding, where no loss is counted. With the model it holds `decoder_input_ids` too, the
    labels moved one to the right: under label smoothing Trainer keeps the labels from the model, which then
    needs them.
    """
    return PairCollator(tokenizer, model=model, padding="longest", label_pad_token_id=-100)
