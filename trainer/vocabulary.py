"""A T5 vocabulary of one's own: a unigram model in the layout that T5 expects.

T5 fixes three ids (pad 0, `</s>` 1, `<unk>` 2) and counts its sentinels downwards from the end of the vocabulary, so
that `<extra_id_0>` has the highest id (Raffel et al. 2020, section 2.2 and the released vocabulary).
"""

import json
from collections.abc import Iterable

from tokenizers import Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import Unigram
from tokenizers.trainers import UnigramTrainer
from transformers import T5Tokenizer

SPECIAL_TOKENS = ["<pad>", "</s>", "<unk>"]


def train_vocabulary(texts: Iterable[str], vocab_size: int, extra_ids: int = 100) -> T5Tokenizer:
    """Trains a unigram vocabulary (Kudo 2018) of at most `vocab_size` ids, sentinels and special tokens included.

    `texts` is read once. Characters are not normalised and case is kept, so that names in a summary can be copied as
    they stand in the article. A small text may not hold enough pieces: then the vocabulary is smaller than asked for.

    Raises:
        ValueError: `vocab_size` leaves no room for pieces beside the special tokens and sentinels.
    """
    room = vocab_size - extra_ids
    if room <= len(SPECIAL_TOKENS):
        raise ValueError(f"vocab_size is {vocab_size}: with extra_ids={extra_ids} it must be over {extra_ids + 3}")
    tokenizer = Tokenizer(Unigram())
    # Pieces are counted exactly as T5Tokenizer will cut them later: at white space, "▁" before each word.
    tokenizer.normalizer = normalizers.Sequence([])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=True),
        ]
    )
    trainer = UnigramTrainer(
        vocab_size=room,
        special_tokens=SPECIAL_TOKENS,
        unk_token="<unk>",
        show_progress=False,
        max_piece_length=16,
    )
    tokenizer.train_from_iterator(texts, trainer=trainer)
    pieces = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    scores = _scores(tokenizer)
    vocab = [(piece, scores.get(piece, 0.0)) for piece, _ in pieces]
    vocab += [(f"<extra_id_{i}>", 0.0) for i in range(extra_ids - 1, -1, -1)]
    return T5Tokenizer(vocab=vocab, extra_ids=extra_ids)


def _scores(tokenizer: Tokenizer) -> dict[str, float]:
    """The log probability of each piece; the tokenizers library shows it only in its own JSON form."""
    return dict(json.loads(tokenizer.to_str())["model"]["vocab"])
