"""Batches of all objectives."""

import json

import numpy as np

from tests.pretraining.recipe import flags
from tests.tiny import SMOKE, tiny_tokenizer
from trainer import pretrain
from trainer.data.spelling import Spelling
from trainer.pretraining.corpus import load_corpus
from trainer.pretraining.mixture import EOS, IGNORED, PAD, Mixture
from trainer.settings.pretraining import parse


def test_batches_follow_from_seed_and_step_alone(tmp_path, recipe):
    settings = parse(flags(recipe, tmp_path))
    tokenizer = tiny_tokenizer()
    corpora = {"train.jsonl": load_corpus(SMOKE / "train.jsonl", tokenizer, tmp_path)}
    straight = Mixture(corpora, settings, tokenizer)
    seen = [straight.batch(step, 4) for step in range(30)]
    for step in (29, 3, 17, 8, 4):  # another process, another order
        again = Mixture(corpora, settings, tokenizer).batch(step, 4)
        assert np.array_equal(again.source, seen[step].source) and np.array_equal(again.labels, seen[step].labels)
    copy_prefix = tokenizer("copy:", add_special_tokens=False)["input_ids"]
    for step, batch in enumerate(seen):
        assert batch.source.shape[0] == 4 and batch.source.shape[1] <= 64 and batch.labels.shape[1] <= 25
        for row in batch.source:
            assert row[row != PAD][-1] == EOS
        for row in batch.labels:
            assert row[row != IGNORED][-1] == EOS
        if step < 4:  # the first steps only exercise copying
            assert all(row[: len(copy_prefix)].tolist() == copy_prefix for row in batch.source)
    held_out = np.concatenate(corpora["train.jsonl"][0].sentences)[:30].tolist()
    assert not any(held_out == row[5:35].tolist() for batch in seen for row in batch.source)


def test_names_and_numbers_that_only_the_target_has_get_no_loss_where_the_recipe_says_so(tmp_path, recipe):
    tokenizer = tiny_tokenizer()
    corpora = {"train.jsonl": load_corpus(SMOKE / "train.jsonl", tokenizer, tmp_path)}
    plain = Mixture(corpora, parse(flags(recipe, tmp_path)), tokenizer)
    masked = Mixture(corpora, parse(flags(recipe, tmp_path, "--learn_unsupported", "no")), tokenizer)
    spelling, ignored = Spelling.of(tokenizer), 0
    summarize = tokenizer("summarize:", add_special_tokens=False)["input_ids"]
    for step in range(4, 40):
        one, other = plain.batch(step, 4), masked.batch(step, 4)
        assert np.array_equal(one.source, other.source) and np.array_equal(one.target, other.target)
        assert np.array_equal(one.labels, np.where(one.target == PAD, IGNORED, one.target))
        read = other.inputs()["decoder_input_ids"].numpy()
        assert np.array_equal(read[:, 1:], one.target[:, :-1]) and (read[:, 0] == PAD).all()  # whatever is learnt
        assert other.n_labels <= one.n_labels and other.n_tokens == one.n_tokens
        for row in range(len(one.source)):
            gone = (one.labels[row] != IGNORED) & (other.labels[row] == IGNORED)
            ignored += gone.sum()
            if one.source[row][: len(summarize)].tolist() == summarize:
                target = one.target[row][one.target[row] != PAD]
                expected = spelling.unsupported(target, one.source[row][one.source[row] != PAD])
                assert gone[: len(target)].tolist() == expected.tolist()
    assert ignored > 20
    for one, other in zip(plain.validation["lead"], masked.validation["lead"], strict=True):
        assert np.array_equal(one.labels, other.labels)  # so that losses of both can be compared


def test_a_first_sentence_in_capitals_is_no_lead(tmp_path, recipe):
    path = tmp_path / "train.jsonl"
    rest = " The boats came in. Nobody knew why they did. The gulls cried all day long."
    rows = [{"document": lead + rest} for lead in ["SENATOR OPENS THE HARBOUR OF ELLERY TODAY."] * 30]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    corpora = {"train.jsonl": load_corpus(path, tiny_tokenizer(), tmp_path)}
    mixture = Mixture(corpora, parse(flags(recipe, tmp_path)), tiny_tokenizer())
    assert "lead" not in mixture.validation and "gap" in mixture.validation


def test_a_text_can_hold_out_more_of_its_documents(tmp_path, recipe):
    tokenizer = tiny_tokenizer()
    corpus = load_corpus(SMOKE / "train.jsonl", tokenizer, tmp_path)
    settings = parse(flags(recipe, tmp_path))
    settings.texts = {name: {**weights, "held_out_every": 2} for name, weights in settings.texts.items()}
    mixture = Mixture({"train.jsonl": corpus}, settings, tokenizer)
    drawn = [row.tolist() for step in range(30) for row in mixture.batch(step, 0).source]
    kept = [
        batch.source[row].tolist() for batch in mixture.validation["continuation"] for row in range(len(batch.source))
    ]
    for number in range(len(corpus)):
        text = np.concatenate(corpus[number].sentences)[:12].tolist()
        learnt = any(text == row[at : at + 12] for row in drawn for at in range(6))
        held = any(text == row[at : at + 12] for row in kept for at in range(6))
        assert not (learnt and number % 2 == 0) and not (held and number % 2), number


def test_texts_that_give_no_example_are_told_at_once(tmp_path, recipe, capsys):
    row = (SMOKE / "train.jsonl").read_text("utf-8").splitlines()[0]
    (tmp_path / "train.jsonl").write_text(row + "\n", "utf-8")
    more = ["--text_dir", str(tmp_path), "--max_steps", "6", "--copy_share", "0", "0", "--vocab_size", "200"]
    assert pretrain.main(flags(recipe, tmp_path / "out", *more)) == 2
    said = capsys.readouterr().err
    assert "the texts gave no example" in said and "train.jsonl has 1" in said and "held out" in said
