"""Proof by asking the model again: curves, falls, agreement and the check with shuffled weights."""

import json
import math

import numpy as np
import pytest

from tests.attribution.test_gradients import PREFIX, texts
from tests.attribution.test_matrix import pair_of
from trainer.attribution.faithfulness import CountingPasses, faithfulness_of
from trainer.attribution.matrix import IntegratedGradients, Pair
from trainer.attribution.proof import SHARES, Necessity, Proof, agreement, sanity_check
from trainer.attribution.registry import METHODS
from trainer.errors import UserError


@pytest.fixture(scope="module")
def pair(tiny):
    return pair_of(*tiny, *texts(1, words=18)[0])


@pytest.fixture(scope="module")
def proof(pair):
    return Proof(pair, orders=4)


@pytest.fixture(scope="module")
def falls(pair, proof):
    """(source tokens) scores that put each word's own fall on its tokens: what a curve should begin with."""
    return proof.words.spread(np.array([[proof.fall([word]) for word in range(len(proof.words))]]))[0]


def test_a_fall_is_that_of_the_text_without_the_words(tiny, pair, proof):
    text = " ".join(word for number, word in enumerate(pair.article.split()) if number not in (3, 5))
    without = pair_of(*tiny, text, pair.summary)
    log_probs = [
        one.passes.log_probs(one.passes.embeddings(one.source.ids), one.target.ids).sum().item()
        for one in (pair, without)
    ]
    assert proof.fall([3, 5]) == pytest.approx(log_probs[0] - log_probs[1], abs=1e-3)


def test_curves_run_between_the_whole_article_and_none(proof, falls):
    deletion, insertion = proof.deletion(falls), proof.insertion(falls)
    count = len(proof.words)
    whole, empty = proof.log_prob([]), proof.log_prob(range(count))
    for curve, first, last in ((deletion, whole, empty), (insertion, empty, whole)):
        for line in (curve.log_probs, *curve.random):
            assert len(line) == len(SHARES) and (line[0], line[-1]) == (first, last)
        assert curve.random.shape == (4, len(SHARES)) and curve.p in (0.2, 0.4, 0.6, 0.8, 1.0)
    two = [round(share * count) for share in SHARES].index(1)
    assert deletion.log_probs[two] == whole - max(proof.fall([word]) for word in range(count))
    widths = np.diff(SHARES)
    area = sum(w * (a + b) / 2 for w, a, b in zip(widths, deletion.log_probs, deletion.log_probs[1:], strict=False))
    assert deletion.area == pytest.approx(area)


def test_the_right_order_beats_the_reverse(proof, falls):
    assert proof.deletion(falls).area < proof.deletion(-falls).area
    assert proof.deletion(falls).p < proof.deletion(-falls).p


def test_what_random_words_do_as_well_is_not_noticeable(proof, falls):
    assert proof.noticeable(-falls) == 0
    assert proof.noticeable(falls) >= 5


def test_necessity(proof, falls):
    found = proof.necessity(falls, 2)
    order = proof.order(falls)
    words = proof.pair.article.split()
    assert found.words == tuple(words[word] for word in order[:2])
    assert found.fall == pytest.approx(proof.fall(order[:2]))
    with pytest.raises(UserError, match="count is 99"):
        proof.necessity(falls, 99)


@pytest.mark.parametrize(
    "fall, random_fall, sentence",
    [
        (
            40 * math.log(10),
            math.log(1.5),
            "Without these 5 words the summary becomes 10⁴⁰ times less probable; without 5 random words 1.5 times less "
            "probable.",
        ),
        (
            -math.log(2),
            0.0,
            "Without these 5 words the summary becomes 2.0 times more probable; without 5 random words about as "
            "probable as before.",
        ),
    ],
)
def test_necessity_in_words(fall, random_fall, sentence):
    assert Necessity(("a", "b", "c", "d", "e"), fall, random_fall).sentence == sentence


def test_agreement():
    first = np.array([5.0, 4.0, 3.0, 2.0, 1.0])
    assert agreement(first, first, 2) == agreement(first, first**2, 2)
    assert (agreement(first, first, 2).spearman, agreement(first, first, 2).overlap) == (pytest.approx(1.0), 1.0)
    assert (agreement(first, -first, 2).spearman, agreement(first, -first, 2).overlap) == (pytest.approx(-1.0), 0.0)
    assert agreement(first, first[[1, 2, 0, 3, 4]], 2).overlap == 0.5
    assert math.isnan(agreement(first, np.ones(5)).spearman)


class OfTheText:
    """A method that looks at the text alone: the check must catch it."""

    def attribute(self, pair, rows=None, progress=None):
        matrix = IntegratedGradients(n_steps=1).attribute(pair, rows)
        matrix.scores[:] = np.arange(matrix.scores.shape[1])
        return matrix


def test_shuffled_weights_change_a_methods_scores(pair):
    before = {name: value.clone() for name, value in pair.passes.model.state_dict().items()}
    steps = []
    found = sanity_check(
        pair, IntegratedGradients(n_steps=3), pair.whole, progress=lambda done, total: steps.append((done, total))
    )
    assert steps == [(done, None) for done in range(1, 13)]  # three in each of four runs
    assert list(found) == ["decoder", "encoder", "embeddings"]
    assert found["embeddings"] < 0.5
    assert sanity_check(pair, OfTheText(), pair.whole)["embeddings"] == pytest.approx(1.0)
    assert all(value.equal(before[name]) for name, value in pair.passes.model.state_dict().items())


def test_faithfulness_of_every_method(tiny, pair):
    counting = Pair.read(
        CountingPasses(tiny[0]), tiny[1], pair.article, pair.summary, prefix=PREFIX, max_source_length=1024
    )
    found = list(faithfulness_of(counting, orders=2))
    assert [one.method for one in found] == list(METHODS)
    by_name = {one.method: one for one in found}
    ours = by_name["integrated_gradients"]
    assert (ours.converged, ours.forward_passes, ours.backward_passes) == (True, ours.n_steps, ours.n_steps)
    words, saliency = by_name["occlusion_words"], by_name["saliency"]
    assert words.forward_passes == len(pair.article.split()) + 1 and words.backward_passes == 0
    assert words.fall_without_words[1] >= max(one.fall_without_words[1] for one in found) - 1e-6
    assert (saliency.forward_passes, saliency.backward_passes, saliency.completeness_error) == (1, 1, None)
    assert -1 <= by_name["contextcite"].lds <= 1 and all(one.seconds > 0 for one in found)
    record = json.loads(json.dumps([one.record() for one in found], allow_nan=False))
    assert record[0]["fall_without_words"].keys() == {"1", "5"}


def test_faithfulness_with_the_check(tiny):
    counting = Pair.read(CountingPasses(tiny[0]), tiny[1], "One. Two three.", "b", prefix=PREFIX, max_source_length=99)
    (found,) = faithfulness_of(counting, {"saliency": {}}, sanity=True, orders=1)
    assert found.sanity.keys() == {"decoder", "encoder", "embeddings"}
    assert found.fall_without_words.keys() == {1} and found.fall_without_sentences.keys() == {1}
