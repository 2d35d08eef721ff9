"""Texts as documents."""

import gzip
import json

import numpy as np
import pytest

from tests.tiny import SMOKE, tiny_tokenizer
from trainer.errors import UserError
from trainer.pretraining.corpus import load_corpus, recase, text_of


def test_corpus_holds_every_word_of_its_file(tmp_path):
    tokenizer = tiny_tokenizer()
    rows = [{"text": "WASHINGTON, D.C. -- The bill passed. Few were surprised.", "title": "SEN. DOE: BILL PASSED"}]
    rows += [json.loads(line) for line in (SMOKE / "test.jsonl").read_text("utf-8").splitlines()]
    path = tmp_path / "some.jsonl.gz"
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    for corpus in (load_corpus(path, tokenizer, tmp_path), load_corpus(path, tokenizer, tmp_path)):  # made, then cached
        assert len(corpus) == len(rows)
        assert tokenizer.decode(corpus[0].title) == "Bill passed" and corpus[0].summary is None
        assert tokenizer.decode(np.concatenate(corpus[0].sentences)) == "The bill passed. Few were surprised."
        for row, document in zip(rows[1:], (corpus[k] for k in range(1, len(rows))), strict=True):
            known = tokenizer.decode(tokenizer(row["document"], add_special_tokens=False)["input_ids"])
            assert tokenizer.decode(np.concatenate(document.sentences)) == known
            assert len(document.sentences) > 2 and document.title is None
            assert tokenizer.decode(document.summary) == tokenizer.decode(
                tokenizer(row["summary"], add_special_tokens=False)["input_ids"]
            )


@pytest.mark.parametrize(
    ("title", "text", "expected"),
    [
        ("SENATE BACKS NASA BILL", "The Senate voted. NASA has a bill. It backs Nasa.", "Senate backs NASA bill"),
        ("SEN. DOE: AID FOR OHIO", "Aid goes to Ohio. The aid is welcome. More aid.", "Aid for Ohio"),
        ("Ohio gets aid", "Aid goes to OHIO.", "Ohio gets aid"),
        ("1987", "In 1987 all was well.", "1987"),
    ],
)
def test_headlines_in_capitals_are_recased_from_their_article(title, text, expected):
    assert recase(title, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("LONDON (Reuters) - Shares rose.", "Shares rose."),
        ("WASHINGTON, D.C. – Senator Doe spoke.", "Senator Doe spoke."),
        ("Well-known people came - and went.", "Well-known people came - and went."),
    ],
)
def test_datelines_come_off(text, expected):
    assert text_of({"text": text}) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"text": "A b. C d."}\n{oh', "line 2: broken JSON"),
        ("[1]", "line 1: a list .* where a JSON object is needed"),
        ("{}", "no text"),
    ],
)
def test_bad_text_files_are_named(tmp_path, content, message):
    path = tmp_path / "bad.jsonl"
    path.write_text(content, "utf-8")
    with pytest.raises(UserError, match=message):
        load_corpus(path, tiny_tokenizer(), tmp_path)
    with pytest.raises(UserError, match="does not exist"):
        load_corpus(tmp_path / "absent.jsonl", tiny_tokenizer(), tmp_path)


def test_the_cache_serves_alone_and_says_what_is_wrong_with_it(tmp_path):
    text, cache = tmp_path / "some.jsonl", tmp_path / "cache"
    text.write_bytes((SMOKE / "test.jsonl").read_bytes())
    made = load_corpus(text, tiny_tokenizer(), cache, "news/some.jsonl")
    changed = text.read_text("utf-8").replace("the", "any")
    text.unlink()
    alone = load_corpus(text, tiny_tokenizer(), cache, "news/some.jsonl")
    assert np.array_equal(alone[0].sentences[0], made[0].sentences[0]) and len(alone) == len(made)
    with pytest.raises(UserError, match="of another vocabulary"):
        load_corpus(text, tiny_tokenizer(500), cache, "news/some.jsonl")

    part = cache / "news/some.jsonl.0"
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"some\.jsonl\.0 is missing or damaged"):
        load_corpus(text, tiny_tokenizer(), cache, "news/some.jsonl")
    text.write_text(changed, "utf-8")
    assert load_corpus(text, tiny_tokenizer(), cache, "news/some.jsonl").n_tokens != made.n_tokens
