"""The copied-from map as places in both texts."""

import random

import pytest

from space.views.copied import copied_map, marked
from tests.space.pages import ARTICLES, _Page
from trainer.metrics.words import word_spans, words_of

ARTICLE = "Anna Vell opened the new bridge. It cost £2.4m, she said.\nThe old bridge was closed in 2019 after a fall."
WORDS = ["red", "boats", "sank", "<b>", "&", "at", "night", "while", "two", "men", "slept"]
SUMMARY = "ANNA VELL opened the bridge that was closed in 2019!"


def test_pieces_are_the_same_words_in_both_texts():
    found = copied_map(SUMMARY, ARTICLE)
    assert [piece.letter for piece in found.pieces] == ["a", "b"]
    first, second = found.pieces
    assert [SUMMARY[start:end] for start, end in first.in_summary] == ["ANNA VELL opened the"]
    assert [ARTICLE[start:end] for start, end in first.in_article] == ["Anna Vell opened the"]
    assert [ARTICLE[start:end] for start, end in second.in_article] == ["was closed in 2019"]
    assert (second.sentence, second.sentence_text) == (3, "The old bridge was closed in 2019 after a fall.")
    assert (first.words, second.words) == (4, 4)
    assert [SUMMARY[start:end] for start, end in found.lacking] == ["that"]


def test_nothing_copied_is_nothing_marked():
    assert copied_map("Quite another thing", ARTICLE).pieces == ()
    assert copied_map("", ARTICLE) == copied_map("", "")


@pytest.mark.parametrize("text", [*ARTICLES.values(), SUMMARY, "İstanbul’da İki ΣΑΣ ﬁne"])
def test_word_spans_are_where_the_words_stand(text):
    spans = word_spans(text)
    assert len(spans) == len(words_of(text))
    for (start, end), word in zip(spans, words_of(text), strict=True):
        assert words_of(text[start:end]) == [word] or text[start:end].lower() == word


def test_marked_text_is_the_text_whatever_overlaps():
    draw = random.Random(3)
    article = " ".join(
        draw.choices(["red", "boats", "sank", "<b>", "&", "at", "night", "while", "two", "men", "slept"], k=200)
    )
    words = article.split()
    summary = " ".join(words[10:18] + words[14:22] + words[12:17] + ["never"] + words[100:108])
    found = copied_map(summary, article)
    assert len(found.pieces) >= 2
    for text, places in (
        (article, [(piece, piece.in_article) for piece in found.pieces]),
        (summary, [(piece, piece.in_summary) for piece in found.pieces]),
    ):
        atoms = [(start, end, '<span class="w">') for start, end in word_spans(text)]
        page = _Page(marked(text, atoms, places))
        assert page.text == text
        assert {tag for tag, _ in page.tags} == {"span", "mark"}
        letters = " ".join(attributes["data-piece"] for tag, attributes in page.tags if tag == "mark").split()
        assert set(letters) == {piece.letter for piece in found.pieces}
        ends = [attributes.get("data-letter", "") for tag, attributes in page.tags if tag == "mark"]
        assert sorted("".join(ends)) == sorted(piece.letter for piece in found.pieces)
