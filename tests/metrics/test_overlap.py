"""Token overlap, against the code of SQuAD."""

import random
import re
import string
from collections import Counter

import pytest

from trainer.metrics.overlap import overlap, token_overlap


def squad_f1(prediction, reference):
    """`f1_score` of SQuAD's evaluate-v1.1, step for step."""

    def normalize(text):
        text = "".join(char for char in text.lower() if char not in set(string.punctuation))
        return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())

    predicted, expected = normalize(prediction).split(), normalize(reference).split()
    same = sum((Counter(predicted) & Counter(expected)).values())
    if same == 0:
        return 0
    precision, recall = same / len(predicted), same / len(expected)
    return 2 * precision * recall / (precision + recall)


class TestOverlap:
    def test_by_hand(self):
        """cat of cat sat; cat of cat ran off; articles and punctuation gone."""
        assert token_overlap("The cat, sat.", "a cat ran OFF!") == pytest.approx((1 / 2, 1 / 3, 2 / 5))
        assert token_overlap("no no no", "no no yes") == pytest.approx((2 / 3, 2 / 3, 2 / 3))

    @pytest.mark.parametrize("pair", [("", ""), ("", "x"), ("x", ""), ("the", "the"), ("!", "x"), ("x", "y")])
    def test_nothing_in_common(self, pair):
        assert token_overlap(*pair) == (0.0, 0.0, 0.0)

    def test_it_is_squads(self):
        draw = random.Random(2)
        words = ["the", "a", "cat", "Cat,", "cat's", "3.5", "(dog)", "an", "—", "theatre", "é"]
        for _ in range(500):
            pair = [" ".join(draw.choices(words, k=draw.randrange(12))) for _ in range(2)]
            assert token_overlap(*pair)[2] == pytest.approx(squad_f1(*pair))

    def test_figures(self):
        found = overlap(["the cat sat", ""], ["a cat ran off", "x"], ["", ""])
        assert {name: figure.value for name, figure in found.items()} == pytest.approx(
            {"overlap_precision": 1 / 4, "overlap_recall": 1 / 6, "overlap_fmeasure": 1 / 5}
        )
        assert found["overlap_fmeasure"].signature == "overlap_fmeasure|tool:trainer|normalization:squad-1.1|case:lower"
