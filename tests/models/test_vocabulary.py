"""Our own vocabularies have T5's layout, are the same at every training, and read what they wrote."""

import pytest
from transformers import AutoTokenizer, T5Tokenizer

from trainer.models.vocabulary import train_vocabulary

TEXTS = [
    "The lighthouse at Port Ellery was repaired on Monday.",
    "Repairs to the lighthouse cost £3,500, the port said.",
]


def test_layout_is_t5s(tmp_path):
    tokenizer = train_vocabulary(TEXTS * 5, 180)
    assert tokenizer.convert_tokens_to_ids(["<pad>", "</s>", "<unk>"]) == [0, 1, 2]
    assert len(tokenizer) <= 180
    sentinels = tokenizer.convert_tokens_to_ids([f"<extra_id_{k}>" for k in range(100)])
    assert sentinels == list(range(len(tokenizer) - 1, len(tokenizer) - 101, -1))
    ids = tokenizer("The port <extra_id_0> Monday.")["input_ids"]
    assert ids[-1] == 1 and sentinels[0] in ids and 2 not in ids
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert isinstance(loaded, T5Tokenizer) and loaded("The port <extra_id_0> Monday.")["input_ids"] == ids
    for text in TEXTS:
        assert loaded.decode(loaded(text)["input_ids"], skip_special_tokens=True) == text


def test_same_texts_give_the_same_ids():
    first, second = train_vocabulary(TEXTS * 5, 180), train_vocabulary(TEXTS * 5, 180)
    assert first.get_vocab() == second.get_vocab()
    assert first.backend_tokenizer.to_str() == second.backend_tokenizer.to_str()


def test_rare_characters_do_not_fill_the_vocabulary():
    texts = [*TEXTS * 50, "".join(chr(0x4E00 + k) for k in range(300))]
    common = train_vocabulary(texts, 250, character_coverage=0.94)
    assert not any("\u4e00" <= piece <= "\u9fff" for piece in common.get_vocab())
    assert common("\u4e00")["input_ids"][-2] == common.unk_token_id
    assert "£" in "".join(common.get_vocab())


def test_no_room_for_pieces_is_refused():
    with pytest.raises(ValueError, match="vocab_size is 103"):
        train_vocabulary(TEXTS, 103)
