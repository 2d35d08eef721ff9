"""Copied fragments and novel n-grams."""

import math
import random

import pytest

from trainer.metrics.abstraction import abstraction, extractive_fragments


class TestAbstraction:
    def test_by_hand(self):
        """Summary of six words, fragments "the cat sat" and "a dog" of the source, "barked" is new."""
        source = "A dog and the cat sat on the mat. The cat slept."
        found = abstraction(["The cat sat; a dog barked"], [""], [source])
        values = {name: figure.value for name, figure in found.items()}
        assert values == {
            "coverage": pytest.approx(5 / 6),
            "density": pytest.approx((9 + 4) / 6),
            "novel_1grams": pytest.approx(1 / 6),
            "novel_2grams": pytest.approx(2 / 5),  # sat a, dog barked
            "novel_3grams": pytest.approx(3 / 4),  # all but the cat sat
            "novel_4grams": 1.0,
        }

    def test_greedy_takes_the_longest_run_wherever_it_stands(self):
        assert extractive_fragments("abcabd", "abxabdabc") == [3, 3]
        assert extractive_fragments("aab", "aaab") == [2, 1]  # and not 3: the run begins inside the first one
        assert extractive_fragments("aaa", "aa") == [2, 1]
        assert extractive_fragments("xyz", "abc") == []
        assert extractive_fragments("", "abc") == extractive_fragments("abc", "") == []

    def test_a_copy_is_covered_whole_and_novel_in_nothing(self):
        found = abstraction(["one two three four"], [""], ["zero one two three four five"])
        assert [figure.value for figure in found.values()] == [1.0, 4.0, 0.0, 0.0, 0.0, 0.0]

    def test_summaries_without_ngrams_are_left_out(self):
        found = abstraction(["", "new", "an old"], [""] * 3, ["an old thing"] * 3)
        assert [figure.n for figure in found.values()] == [2, 2, 2, 1, 0, 0]
        assert found["novel_1grams"].value == 0.5
        assert math.isnan(found["novel_4grams"].value)

    def test_fragments_are_those_of_the_papers_algorithm(self):
        """Grusky et al. 2018, figure 3, word for word."""

        def fragments(article, summary):
            found, i, j = [], 0, 0
            while i < len(summary):
                longest = []
                while j < len(article):
                    if summary[i] == article[j]:
                        i2, j2 = i, j
                        while i2 < len(summary) and j2 < len(article) and summary[i2] == article[j2]:
                            i2, j2 = i2 + 1, j2 + 1
                        if len(longest) < i2 - i:
                            longest = summary[i:i2]
                        j = j2
                    else:
                        j += 1
                i, j = i + max(len(longest), 1), 0
                if longest:
                    found.append(len(longest))
            return found

        draw = random.Random(2)
        for _ in range(300):
            article, summary = ([draw.choice("abcdefgh") for _ in range(draw.randrange(n))] for n in (40, 15))
            assert extractive_fragments(summary, article) == fragments(article, summary)
