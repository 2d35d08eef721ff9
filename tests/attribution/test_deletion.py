"""Words struck out and asked again: cases by hand, and log probabilities of a tiny T5."""

import pytest
import torch

from space.engine import Engine
from tests.tiny import tiny_t5
from trainer.attribution.deletion import changes, delete, places_of, without
from trainer.errors import UserError

ARTICLE = "Two boats sank off Dover. Nobody was hurt.\nA third came home."


@pytest.mark.parametrize(
    ("words", "sentences", "places"),
    [([1, 0], [], [0, 1]), ([], [1], [5, 6, 7]), ([5, 9], [1], [5, 6, 7, 9]), ([], [2], [8, 9, 10, 11])],
)
def test_places(words, sentences, places):
    assert places_of(ARTICLE, words, sentences) == places


@pytest.mark.parametrize(
    ("words", "sentences", "says"),
    [
        ([12], [], "words holds 12: the article's words are numbered from 0 to 11"),
        ([], [3], "sentences holds 3: the article's sentences are numbered from 0 to 2"),
        ([], [], "No word or sentence is named"),
        ([], [0, 1, 2], "Every word of the article is struck out"),
    ],
)
def test_what_cannot_be_struck_out(words, sentences, says):
    with pytest.raises(UserError, match=says):
        places_of(ARTICLE, words, sentences)


@pytest.mark.parametrize(
    ("places", "left"),
    [
        ([0], "boats sank off Dover. Nobody was hurt.\nA third came home."),
        ([1, 3], "Two sank Dover. Nobody was hurt.\nA third came home."),
        ([8], "Two boats sank off Dover. Nobody was hurt.\n third came home."),
        ([5, 6, 7], "Two boats sank off Dover.\nA third came home."),
        ([8, 9, 10, 11], "Two boats sank off Dover. Nobody was hurt."),
    ],
)
def test_what_is_left(places, left):
    assert without(ARTICLE, places) == left


def test_falls_by_hand():
    """With a log probability of minus the number of words that are lacking, each word counts 1 nat, "sank" 10."""
    asked = []

    def log_probs(texts):
        asked.extend(texts)
        return [len(text.split()) + 9 * ("sank" in text) - 21.0 for text in texts]

    found = delete(ARTICLE, [2, 3], log_probs)
    assert (found.before, found.after, found.fall, found.words) == (0.0, -11.0, 11.0, 2)
    assert len(found.random_after) == 10 and found.random_fall == 2.0  # "sank" itself is not drawn
    assert asked[:2] == [ARTICLE, "Two boats Dover. Nobody was hurt.\nA third came home."]
    assert {len(text.split()) for text in asked[2:]} == {10} and len(set(asked[2:])) > 1
    assert delete(ARTICLE, [2, 3], log_probs).random_after == found.random_after, "seeded"
    delete(ARTICLE, [0], log_probs, read_words=3, draws=20)
    assert all("off Dover. Nobody was hurt.\nA third came home." in text for text in asked[-20:])


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("a b c", "a b c", [("kept", "a b c")]),
        ("a b c", "a x c", [("kept", "a"), ("removed", "b"), ("added", "x"), ("kept", "c")]),
        ("a b", "a b c", [("kept", "a b"), ("added", "c")]),
        ("a b", "b", [("removed", "a"), ("kept", "b")]),
        ("", "a", [("added", "a")]),
        ("", "", []),
    ],
)
def test_changes(old, new, expected):
    assert [tuple(change) for change in changes(old, new)] == expected


def test_the_model_is_asked_again():
    model, tokenizer = tiny_t5(seed=5)
    engine = Engine(model, tokenizer, name="tiny")
    decoding = {"num_beams": 1, "max_new_tokens": 6}
    summary = "Two boats sank."
    found = engine.without(ARTICLE, summary, decoding, sentences=[1])
    left = "Two boats sank off Dover.\nA third came home."
    assert found.deletion.article == left and found.deletion.words == 3
    assert found.answer.text == engine.summarize(left, decoding).text

    def log_prob(article):
        source = tokenizer("summarize: " + article, return_tensors="pt")["input_ids"]
        labels = tokenizer(summary, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            return -model(input_ids=source, labels=labels).loss.item() * labels.shape[1]

    assert found.deletion.fall == pytest.approx(log_prob(ARTICLE) - log_prob(left), abs=1e-3)
    kept = [change.text for change in found.changes if change.kind != "added"]
    assert " ".join(kept) == summary
    again = engine.without(ARTICLE, summary, decoding, words=[5, 6, 7])
    assert again.deletion is found.deletion, "remembered"
