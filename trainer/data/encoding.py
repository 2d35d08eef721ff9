"""Texts as token ids: prefix + text, cut to the limit, the same for training, summarising, attribution and the demo.

What people wrote is text, also where it spells a special token: `</s>` in an article is read as `<`, `/`, `s`, `>`.
The tokenizers of transformers read it as the end token, and in a summary to learn from it would teach a model to stop
there. Their `split_special_tokens` is no help for T5: its vocabulary holds the special tokens as pieces like any other,
and the search for the likeliest pieces takes them.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import tokenizers
from transformers import PreTrainedTokenizerBase

from trainer.data.sentences import split_sentences


@dataclass(frozen=True)
class Encoded:
    """One text as token ids.

    Attributes:
        ids: those kept within the limit, with the special tokens that the model puts around a text.
        total: how many there were before the cut.
        text: what was encoded, without the prefix.
        end: how many characters of `text` stand before the cut; of a tokenizer without offsets, those that the kept
            ids are decoded to (exact for bytes).
        head, tail: how many special tokens are put before and behind a text (T5: none and `</s>`).
        encoding: the library's own result before the cut; None for a tokenizer without offsets (ByT5's).
    """

    ids: list[int]
    total: int
    text: str
    end: int
    head: int
    tail: int
    encoding: tokenizers.Encoding | None = field(default=None, repr=False)

    @property
    def body(self) -> list[int]:
        """The kept ids of the text alone."""
        return self.ids[self.head : len(self.ids) - self.tail]

    @property
    def sentences_read(self) -> str:
        """The text as far as it is read; if it is cut, without the sentence that the cut falls in, unless that is the
        only one."""
        read = self.text[: self.end]
        if self.total == len(self.ids):
            return read
        sentences = split_sentences(read)
        return read.rstrip().removesuffix(sentences[-1]) if len(sentences) > 1 else read


def encode(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], *, prefix: str = "", limit: int | None = None
) -> list[Encoded]:
    """`prefix` + each text as ids, at most `limit` of them, special tokens included; the text's end is cut off."""
    return _reader(tokenizer)(prefix, texts, limit)


class _Reader:
    """Encodes texts as `tokenizer` does, but for special tokens spelled in them."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._backend = _for_text_only(tokenizer) if tokenizer.is_fast else None
        if self._backend:
            mask = self._backend.encode("a").special_tokens_mask
        else:
            mask = tokenizer("a", return_special_tokens_mask=True)["special_tokens_mask"]
        self._head, self._tail = mask.index(0), mask[::-1].index(0)

    def __call__(self, prefix: str, texts: Sequence[str], limit: int | None) -> list[Encoded]:
        if not texts:
            return []
        sources = [prefix + text for text in texts]
        if self._backend:
            encodings = self._backend.encode_batch(sources)
            rows = [encoding.ids for encoding in encodings]
        else:
            encodings = [None] * len(sources)
            # verbose=False: a text longer than the model reads needs no warning, it is cut and counted here.
            rows = self._tokenizer(sources, split_special_tokens=True, verbose=False)["input_ids"]
        found = []
        for text, ids, encoding in zip(texts, rows, encodings, strict=True):
            kept = self._cut(ids, limit)
            end = len(text) if kept is ids else max(self._end(kept, encoding) - len(prefix), 0)
            found.append(Encoded(kept, len(ids), text, end, self._head, self._tail, encoding))
        return found

    def _end(self, kept: list[int], encoding: tokenizers.Encoding | None) -> int:
        """How many characters of prefix + text stand before the cut."""
        stop = len(kept) - self._tail
        if stop <= self._head:
            return 0
        if encoding is None:
            return len(self._tokenizer.decode(kept[self._head : stop]))
        return encoding.token_to_chars(stop - 1)[1]

    def _cut(self, ids: list[int], limit: int | None) -> list[int]:
        if limit is None or len(ids) <= limit:
            return ids
        return ids[: max(limit - self._tail, 0)] + ids[len(ids) - self._tail :]


# Building one takes about as long as summarising does with a small model; four are enough for an ensemble or two.
@lru_cache(maxsize=4)
def _reader(tokenizer: PreTrainedTokenizerBase) -> _Reader:
    return _Reader(tokenizer)


def _for_text_only(tokenizer: PreTrainedTokenizerBase) -> tokenizers.Tokenizer:
    """A copy of the tokenizer's backend, with the same ids, that finds no special token in a text.

    It still puts its own around the text, and it neither cuts nor pads: the original's limit is state that all threads
    share, the copy has none.
    """
    layout = json.loads(tokenizer.backend_tokenizer.to_str())
    layout["truncation"] = layout["padding"] = None
    special = set(tokenizer.all_special_tokens) | {
        token["content"] for token in layout["added_tokens"] if token["special"]
    }
    if layout["model"]["type"] == "Unigram":
        pieces = {piece for piece, _ in layout["model"]["vocab"]}
        # A piece with a blank in it is never found: before pieces are looked for, every blank has become "▁".
        layout["model"]["vocab"] = [
            [f" {piece}" if piece in special else piece, score] for piece, score in layout["model"]["vocab"]
        ]
        layout["added_tokens"] = [token for token in layout["added_tokens"] if token["content"] not in special & pieces]
    backend = tokenizers.Tokenizer.from_str(json.dumps(layout))
    backend.encode_special_tokens = True
    return backend
