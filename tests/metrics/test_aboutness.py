"""Whether a summary's nearest article is its own: by hand, against scikit-learn's definition, and in an evaluation."""

import math

import numpy as np
import pytest

from trainer.metrics.aboutness import FIGURE, POOL, SIGNATURE, Pool, aboutness, pools

ARTICLES = ["The harbour of Ellery was closed.", "The owls of Orsa sleep.", "The owls hunt voles, voles, voles."]


def test_similarities_by_hand():
    # df: the 3, of 2, owls 2, the rest 1; idf = log(4 / (1 + df)) + 1.
    one, two, three = (math.log(4 / (1 + df)) + 1 for df in (1, 2, 3))
    owls_sleep = np.array([two, one])  # of "owls sleep"
    norms = [
        math.sqrt(three**2 + two**2 + 4 * one**2),  # the of harbour ellery was closed
        math.sqrt(three**2 + 2 * two**2 + 2 * one**2),  # the of owls orsa sleep
        math.sqrt(three**2 + two**2 + one**2 + (3 * one) ** 2),  # the owls hunt voles×3
    ]
    length = np.linalg.norm(owls_sleep)
    expected = [0, (two**2 + one**2) / norms[1] / length, two**2 / norms[2] / length]
    assert Pool(ARTICLES).similarities("Owls sleep") == pytest.approx(expected, abs=1e-12)


def test_similarities_are_those_of_plain_tf_idf():
    """The formula written out word by word, over random texts."""
    draw = np.random.default_rng(0)
    texts = [" ".join(f"w{k}" for k in draw.zipf(1.4, 60) % 50) for _ in range(12)]
    summary = " ".join(f"w{k}" for k in draw.integers(0, 60, 15))

    def weight(word: str, text: str) -> float:
        df = sum(word in other.split() for other in texts)
        return text.split().count(word) * (math.log((1 + 12) / (1 + df)) + 1) if df else 0.0

    def cosine(one: str, other: str) -> float:
        words = set(one.split()) | set(other.split())
        dot = sum(weight(word, one) * weight(word, other) for word in words)
        return dot / math.sqrt(sum(weight(w, one) ** 2 for w in words) * sum(weight(w, other) ** 2 for w in words))

    assert Pool(texts).similarities(summary) == pytest.approx([cosine(summary, text) for text in texts], abs=1e-12)


def test_the_share_counts_summaries_of_the_wrong_article_and_of_none():
    predictions = ["Ellery harbour closed", "Voles hunt", "zzz"]
    figure = aboutness(predictions, predictions, ARTICLES)[FIGURE]
    assert figure.per_example.tolist() == [1, 0, 0]
    assert figure.value == pytest.approx(1 / 3) and figure.signature == SIGNATURE
    assert aboutness(ARTICLES, ARTICLES, ARTICLES)[FIGURE].value == 1


def test_the_same_article_twice_is_no_error_of_the_summary():
    assert aboutness([ARTICLES[0]] * 2, ["", ""], [ARTICLES[0]] * 2)[FIGURE].value == 1


def test_one_example_has_no_value():
    assert aboutness(["a"], ["a"], ["a"])[FIGURE].n == 0
    with pytest.raises(ValueError, match="1 articles are no pool"):
        Pool(["a"])


@pytest.mark.parametrize("n", [2, 99, 100, 101, 250, 999])
def test_every_row_is_scored_once_among_a_hundred(n):
    rows = []
    for pool, scored in pools(n):
        assert len(pool) == min(n, POOL) and pool.start <= scored.start and pool.stop == scored.stop
        rows += scored
    assert rows == list(range(n))


def test_a_row_far_down_is_looked_for_at_its_own_place():
    sources = [f"common words and a name{row}" for row in range(230)]
    right = [f"name{row}" for row in range(230)]
    assert aboutness(right, right, sources)[FIGURE].value == 1
    shifted = right[1:] + right[:1]
    assert aboutness(shifted, shifted, sources)[FIGURE].value == 0
