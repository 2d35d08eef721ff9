"""Words and n-grams."""

import pytest

from trainer.metrics.words import ngrams, words_of


class TestWords:
    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("The BBC's £3.5m plan, re-opened.", ["the", "bbc's", "3.5m", "plan", "re-opened"]),
            ("the BBC’s  1,200 end.Then—off", ["the", "bbc's", "1,200", "end.then", "off"]),
            ("Élan 今日 х", ["élan", "今日", "х"]),
            ("?! ...", []),
        ],
    )
    def test_by_hand(self, text, words):
        assert words_of(text) == words

    def test_ngrams(self):
        assert ngrams("abcd", 3) == [("a", "b", "c"), ("b", "c", "d")]
        assert ngrams("ab", 3) == []
