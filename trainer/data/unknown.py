"""How much of a split the vocabulary cannot write: the share of `<unk>`, and the characters behind it."""

from collections import Counter
from collections.abc import Iterable

from transformers import PreTrainedTokenizerBase

from trainer.data.encoding import encode
from trainer.data.splits import Split
from trainer.settings.groups import DataSettings

# From this share of the tokens on the reader is warned: one in a hundred, a word or two of every summary.
WARN_FROM = 0.01

# Pairs that are looked at, spread evenly over the split: enough for the share, seconds on one core.
LOOKED_AT = 1000

_SHOWN = 5  # characters that are named


def unknown_notes(splits: Iterable[Split], tokenizer: PreTrainedTokenizerBase, data: DataSettings) -> list[str]:
    """A sentence for each split about the `<unk>` tokens in what a model reads and learns of it.

    Counted within the limits of `data`, on at most `LOOKED_AT` pairs. From `WARN_FROM` on, in the articles or in the
    summaries, the sentence is a warning. A vocabulary of bytes has no `<unk>`, so there is nothing to say of it.
    """
    if tokenizer.unk_token_id is None or not tokenizer.is_fast:
        return []
    return [_note(split, tokenizer, data) for split in splits]


def _note(split: Split, tokenizer: PreTrainedTokenizerBase, data: DataSettings) -> str:
    examples = split.examples[:: -(-len(split) // LOOKED_AT)]
    characters: Counter[str] = Counter()
    shares = {}
    for what, texts, prefix, limit in (
        ("articles", [example.source for example in examples], data.prefix, data.max_source_length),
        ("summaries", [example.target for example in examples], "", data.max_target_length),
    ):
        tokens = unknown = 0
        for text, encoded in zip(texts, encode(tokenizer, texts, prefix=prefix, limit=limit), strict=True):
            places = [place for place, piece in enumerate(encoded.ids) if piece == tokenizer.unk_token_id]
            tokens, unknown = tokens + len(encoded.ids), unknown + len(places)
            offsets = encoded.encoding.offsets if places else []
            for start, end in {offsets[place] for place in places}:
                characters.update((prefix + text)[start:end].replace(" ", ""))
        shares[what] = unknown / tokens
    among = f"{split.name} ({len(examples):,} of {len(split):,} pairs)" if len(examples) < len(split) else split.name
    if not any(shares.values()):
        return f"{among}: no token is <unk>."
    named = " ".join(one if one.isprintable() else ascii(one)[1:-1] for one, _ in characters.most_common(_SHOWN))
    written = " and ".join(f"{100 * share:.2g}% of the {what}'" for what, share in shares.items())
    sentence = f"{among}: {written} tokens are <unk>, characters that the vocabulary lacks, most often {named}"
    if max(shares.values()) < WARN_FROM:
        return f"{sentence}."
    return (
        f"Warning: {sentence}. The model neither reads nor writes them: from {100 * WARN_FROM:g}% on, a model whose "
        "vocabulary knows this language or these signs will do better."
    )
