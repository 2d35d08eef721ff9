"""Texts as token ids: the tokenizer's own, but for special tokens that a text spells."""

import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer, ByT5Tokenizer

from tests.architectures import save_bart, save_bert2bert, save_pegasus
from trainer.attribution.base import read_source, read_target
from trainer.data.encoding import encode
from trainer.data.splits import Example
from trainer.data.tokens import tokenize
from trainer.pretraining.corpus import load_corpus
from trainer.settings.groups import DataSettings
from trainer.summarizers.seq2seq import Seq2SeqSummarizer

ROOT = Path(__file__).resolve().parents[2]
SMOKE = ROOT / "trainer" / "recipes" / "smoke"
SPELLED = "</s> A ferry </s> sank<pad>.<extra_id_0>All<unk> <extra_id_99> were saved</s>."


def smoke_texts() -> list[str]:
    rows = [json.loads(line) for line in (SMOKE / "train.jsonl").read_text("utf-8").splitlines()]
    return [row["document"] for row in rows] + [row["summary"] for row in rows]


@pytest.fixture(params=["tiny", "starter", "t5", "bart", "pegasus", "bert2bert", "byt5"])
def tokenizer(request, tmp_path):
    if request.param == "tiny":
        return request.getfixturevalue("tiny")[1]
    if request.param == "byt5":
        return ByT5Tokenizer()
    if request.param == "t5":
        return AutoTokenizer.from_pretrained(request.getfixturevalue("shared_data").parent / "t5-tokenizer")
    if request.param == "starter":
        return AutoTokenizer.from_pretrained(ROOT / "space" / "starter")
    save = {"bart": save_bart, "pegasus": save_pegasus, "bert2bert": save_bert2bert}[request.param]
    return AutoTokenizer.from_pretrained(save(tmp_path))


def test_ordinary_texts_have_the_tokenizers_own_ids(tokenizer):
    texts = [*smoke_texts(), "", "½ ﬁ é {<~ 😀\n\tend "]
    whole = encode(tokenizer, texts, prefix="summarize: ")
    cut = encode(tokenizer, texts, prefix="summarize: ", limit=12)
    for text, encoded, short in zip(texts, whole, cut, strict=True):
        source = "summarize: " + text
        assert encoded.ids == tokenizer(source, verbose=False).input_ids
        assert encoded.total == short.total == len(encoded.ids)
        assert short.ids == tokenizer(source, truncation=True, max_length=12).input_ids
        assert encoded.body == tokenizer(source, add_special_tokens=False, verbose=False).input_ids


def test_special_tokens_in_a_text_are_text(tokenizer):
    names = [name for name in tokenizer.all_special_tokens if name != "<n>"]
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    before = tokenizer("as ever").input_ids
    for text in [
        SPELLED,
        *(f"{left}{name}{right}" for name in names for left in ("", "a", "a ") for right in ("", " b")),
    ]:
        encoded = encode(tokenizer, [text])[0]
        assert special.isdisjoint(encoded.body), text
        assert len(encoded.body) > 1 and encoded.ids != encoded.body
        if tokenizer.is_fast:  # every letter of it was read
            read = {place for start, end in encoded.encoding.offsets for place in range(start, end)}
            assert read >= {place for place, character in enumerate(text) if character != " "}
    assert tokenizer("as ever").input_ids == before  # the tokenizer itself is as it was
    end = tokenizer.eos_token or tokenizer.sep_token
    assert tokenizer(end, add_special_tokens=False).input_ids == [tokenizer.convert_tokens_to_ids(end)]


def test_where_the_cut_falls_is_known_by_characters(tokenizer):
    text = "A ferry sank near the old harbour. Nobody was hurt, said the coast guard. It was towed away at night."
    for limit in (20, 24, 61):
        (cut,) = encode(tokenizer, [text], prefix="summarize: ", limit=limit)
        if cut.total == len(cut.ids):
            assert cut.end == len(text) and cut.sentences_read == text
            continue
        read = tokenizer.decode(cut.body).replace(" ", "").lower()
        if tokenizer.unk_token_id not in cut.body:
            assert read == ("summarize: " + text[: cut.end]).replace(" ", "").lower()
        assert cut.end < len(text) and text.startswith(cut.sentences_read)
        if text.index("Nobody") < cut.end <= text.index("It was"):
            assert cut.sentences_read.rstrip() == "A ferry sank near the old harbour."
    (nothing,) = encode(tokenizer, [text], prefix="summarize: ", limit=cut.head + cut.tail)
    assert nothing.end == 0 and nothing.sentences_read == ""


def test_every_reader_reads_the_same(tiny, tmp_path):
    """Training, summarising, explaining and pre-training: a spelled token is nowhere a control token."""
    model, tokenizer = tiny
    text = encode(tokenizer, [SPELLED], prefix="summarize: ")[0].ids
    target = encode(tokenizer, [SPELLED])[0].ids
    assert text.count(tokenizer.eos_token_id) == target.count(tokenizer.eos_token_id) == 1

    pair = tokenize([Example("1", SPELLED, SPELLED)], tokenizer, DataSettings())[0]
    assert pair == {"input_ids": text, "labels": target}
    summary = Seq2SeqSummarizer(model, tokenizer, name="tiny", generation={"max_new_tokens": 2}).summarize([SPELLED])[0]
    assert summary.tokens_read == summary.tokens_total == len(text)
    assert read_source(tokenizer, SPELLED, prefix="summarize: ", max_source_length=1024).ids == tuple(text)
    assert read_target(tokenizer, SPELLED, max_target_length=200) == tuple(target)

    path = tmp_path / "texts.jsonl"
    path.write_text(json.dumps({"text": "One more. " + SPELLED, "title": SPELLED, "summary": SPELLED}) + "\n", "utf-8")
    document = load_corpus(path, tokenizer, tmp_path)[0]
    pieces = [id_ for part in (*document.sentences, document.title, document.summary) for id_ in part.tolist()]
    assert set(tokenizer.all_special_ids) & set(pieces) <= {tokenizer.unk_token_id}
    assert document.summary.tolist() == target[:-1]
