"""A T5 vocabulary of one's own: a unigram model in the layout that T5 expects.

T5 fixes three ids (pad 0, `</s>` 1, `<unk>` 2) and counts its sentinels downwards from the end of the vocabulary, so
that `<extra_id_0>` has the highest id (Raffel et al. 2020, section 2.2 and the released vocabulary).
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import Unigram
from tokenizers.trainers import UnigramTrainer
from transformers import T5Tokenizer

SPECIAL_TOKENS = ["<pad>", "</s>", "<unk>"]


def train_vocabulary(
    texts: Sequence[str], vocab_size: int, extra_ids: int = 100, character_coverage: float = 0.9998
) -> T5Tokenizer:
    """Trains a unigram vocabulary (Kudo 2018) of at most `vocab_size` ids, sentinels and special tokens included.

    `texts` is read twice. Case is kept, so that names in a summary can be copied as they stand in the article. The
    rarest characters, beyond `character_coverage` of all, become `<unk>`: without that, the foreign letters of an
    encyclopedia would fill a small vocabulary (SentencePiece has the same knob). A small text may not hold enough
    pieces: then the vocabulary is smaller than asked for.

    Raises:
        ValueError: `vocab_size` leaves no room for pieces beside the special tokens and sentinels.
    """
    room = vocab_size - extra_ids
    if room <= len(SPECIAL_TOKENS):
        raise ValueError(f"vocab_size is {vocab_size}: with extra_ids={extra_ids} it must be over {extra_ids + 3}")
    tokenizer = Tokenizer(Unigram())
    # Pieces are counted exactly as T5Tokenizer will cut them later: at white space, "▁" before each word.
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
    tokenizer.train_from_iterator(_common_characters_only(texts, character_coverage), trainer=trainer)
    vocab = [(piece, 0.0) for piece in SPECIAL_TOKENS] + _ranked(tokenizer)
    vocab += [(f"<extra_id_{i}>", 0.0) for i in range(extra_ids - 1, -1, -1)]
    return T5Tokenizer(vocab=vocab, extra_ids=extra_ids)


def _common_characters_only(texts: Iterable[str], coverage: float) -> Iterator[str]:
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    dropped, budget = {}, (1 - coverage) * counts.total()
    for character, count in reversed(counts.most_common()):
        budget -= count
        if budget < 0:
            break
        dropped[ord(character)] = " "
    return (text.translate(dropped) for text in texts)


def _ranked(tokenizer: Tokenizer) -> list[tuple[str, float]]:
    """Pieces and their log probabilities, the likeliest first.

    The trainer adds floats, and appends the characters that earned no place of their own, in an order that changes
    from run to run. Rounded and sorted, the same pieces get the same ids and scores; at some sizes the choice of the
    last pieces still differs from process to process, which is the library's. Whoever must go on with a vocabulary
    saves it. The tokenizers library shows the scores only in its own JSON form.
    """
    scores = json.loads(tokenizer.to_str())["model"]["vocab"]
    pieces = [(piece, round(score, 4)) for piece, score in scores if piece not in SPECIAL_TOKENS]
    ranked = sorted(pieces, key=lambda item: (-item[1], item[0]))
    earned = max((rank for rank, (piece, _) in enumerate(ranked, 1) if len(piece) > 1), default=0)
    appended = sorted(piece for piece, _ in ranked[earned:])
    return ranked[:earned] + [(piece, score) for piece, (_, score) in zip(appended, ranked[earned:], strict=True)]
