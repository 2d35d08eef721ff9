"""Article–summary pairs as token ids, and batches of them.

dataset = tokenize(split.examples, tokenizer, DataSettings())
batch = collator(tokenizer)([dataset[0], dataset[1]])
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
import torch
from tqdm import tqdm
from transformers import DataCollatorForSeq2Seq, PreTrainedModel, PreTrainedTokenizerBase

from trainer.data.encoding import encode
from trainer.data.splits import Example
from trainer.errors import UserError
from trainer.runtime.files import replacing
from trainer.settings.groups import DataSettings

CHUNK = 1000  # texts that are tokenised at a time


class SummarizationDataset(torch.utils.data.Dataset):
    """Token ids of all pairs, made once, as 32-bit arrays (XSum's 204,045: about 0.4 GB).

    With a `cache` folder they are kept there in files that are mapped into memory, and whoever asks for the same ids
    again, as a run that goes on after a kill or the second of several processes, only reads them.

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
        cache: Path | None = None,
    ) -> None:
        taken = encode(tokenizer, [prefix])[0].total
        if max_source_length <= taken:
            raise UserError(
                f"--max_source_length is {max_source_length}: the prefix {prefix!r} and </s> take {taken} "
                f"tokens, so nothing of an article would be read. It must be over {taken}; usual is 1024."
            )
        self.prefix = prefix
        self.max_source_length, self.max_target_length = max_source_length, max_target_length
        ids = partial(_kept, cache=cache) if cache and tokenizer.is_fast else _encode
        sources, targets = [example.source for example in examples], [example.target for example in examples]
        self._sources, self.truncated_sources = ids(sources, tokenizer, prefix, max_source_length)
        self._targets, self.truncated_targets = ids(targets, tokenizer, "", max_target_length)
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
    examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase, data: DataSettings, cache: Path | None = None
) -> SummarizationDataset:
    """The pairs as token ids, with the prefix and the limits of `data`; kept in the folder `cache`, if one is given."""
    return SummarizationDataset(
        examples,
        tokenizer,
        prefix=data.prefix,
        max_source_length=data.max_source_length,
        max_target_length=data.max_target_length,
        cache=cache,
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


def _encode(texts: list[str], tokenizer: PreTrainedTokenizerBase, prefix: str, limit: int) -> tuple[_Ragged, int]:
    """(ids with `</s>`, number of texts cut)."""
    # Long texts take all the time: about 1.6 s for 1,000 articles on one core. Shown on a terminal only.
    progress = tqdm(total=len(texts), desc="Tokenising", unit=" texts", delay=3, leave=False, disable=None)
    parts: list[np.ndarray] = []
    lengths: list[int] = []
    cut = 0
    for start in range(0, len(texts), CHUNK):
        encoded = encode(tokenizer, texts[start : start + CHUNK], prefix=prefix, limit=limit)
        cut += sum(text.total > limit for text in encoded)
        lengths += [len(text.ids) for text in encoded]
        parts.append(np.fromiter((i for text in encoded for i in text.ids), dtype=np.int32))
        progress.update(len(encoded))
    progress.close()
    ids = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int32)
    return _Ragged(ids, np.array(lengths, dtype=np.int64)), cut


def _kept(
    texts: list[str], tokenizer: PreTrainedTokenizerBase, prefix: str, limit: int, cache: Path
) -> tuple[_Ragged, int]:
    """As `_encode`, from a file in `cache` whose name stands for the texts, the tokenizer, the prefix and the limit.

    It is one array: the number of texts, how many were cut, their lengths, their ids. A file that is not whole is made
    anew.
    """
    name = sha256(json.dumps([tokenizers.__version__, prefix, limit]).encode())
    name.update(tokenizer.backend_tokenizer.to_str().encode())
    for text in texts:
        encoded = text.encode("utf-8", "surrogatepass")
        name.update(len(encoded).to_bytes(8))
        name.update(encoded)
    path = cache / f"{name.hexdigest()[:32]}.npy"
    try:
        kept = np.load(path, mmap_mode="r")
    except (OSError, ValueError):
        found, cut = _encode(texts, tokenizer, prefix, limit)
        with replacing(path) as partial_path, partial_path.open("wb") as file:
            np.save(file, np.concatenate([np.array([len(texts), cut]), found.lengths, found.ids], dtype=np.int32))
        kept = np.load(path, mmap_mode="r")
    number, cut = int(kept[0]), int(kept[1])
    return _Ragged(kept[2 + number :], kept[2 : 2 + number].astype(np.int64)), cut


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
