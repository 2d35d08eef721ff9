"""Folding pieces into words: the spans joined are the article, and not a score gets lost."""

import math
import random
from collections.abc import Callable

import pytest
from transformers import AutoTokenizer

from trainer.attribution.base import Attribution, read_source
from trainer.attribution.folding import Span, display_scores, fold_to_words, strongest
from trainer.errors import UserError

PREFIX = "summarize: "
SPECIAL = ["</s>", "<pad>", "<unk>", "<extra_id_0>"]


def attribution(*pieces: tuple[tuple[int, int] | None, float], tokens_total: int | None = None) -> Attribution:
    """An attribution of which only offsets and scores matter."""
    offsets, scores = zip(*pieces, strict=True) if pieces else ((), ())
    return Attribution(
        pieces=("?",) * len(pieces),
        offsets=offsets,
        scores=scores,
        target_log_prob=-1.0,
        baseline_log_prob=-2.0,
        target_tokens=1,
        completeness_gap=0.0,
        completeness_error=0.0,
        n_steps=1,
        tokens_read=len(pieces),
        tokens_total=len(pieces) if tokens_total is None else tokens_total,
        prefix_share=0.0,
        eos_share=0.0,
    )


def tokenized(tokenizer, article: str, score: Callable[[], float] = lambda: 1.0, limit: int = 10_000):
    source = read_source(tokenizer, article, prefix=PREFIX, max_source_length=limit)
    scored = [(offset, score()) for offset in source.offsets]
    return attribution(*scored, tokens_total=source.tokens_total), source


@pytest.fixture(scope="module")
def t5_tokenizer(shared_data):
    """The original T5 vocabulary, with its normaliser; not part of this project."""
    folder = shared_data.parent / "t5-tokenizer"
    if not folder.is_dir():
        pytest.skip(f"needs the original T5 vocabulary ({folder} is absent)")
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(params=["own", "t5"])
def tokenizer(request):
    return request.getfixturevalue("tiny")[1] if request.param == "own" else request.getfixturevalue("t5_tokenizer")


# --- by hand -----------------------------------------------------------------------------------------------


def test_pieces_of_a_word_are_summed_and_its_punctuation_stands_apart():
    #          0123456789012345678901
    article = "In Dingwall, he said."
    folded = fold_to_words(
        article,
        attribution(
            (None, 9.0),  # summarize
            ((0, 2), 1.0),
            ((3, 7), 2.0),  # ▁Ding
            ((7, 11), 0.5),  # wall
            ((11, 12), -0.25),
            ((13, 15), 0.0),
            ((16, 20), -1.0),
            ((20, 21), 4.0),
            (None, 7.0),  # </s>
        ),
    )
    assert folded == [
        Span("In", 1.0),
        Span(" ", None),
        Span("Dingwall", 2.5),
        Span(",", -0.25),
        Span(" ", None),
        Span("he", 0.0),
        Span(" ", None),
        Span("said", -1.0),
        Span(".", 4.0),
    ]


def test_a_piece_over_word_and_punctuation_goes_whole_to_the_larger_part():
    article = "wall, (a)"
    assert fold_to_words(article, attribution(((0, 5), 1.0), ((6, 8), 2.0), ((8, 9), 3.0))) == [
        Span("wall", 1.0),  # "wall," has four characters here and one in the comma, which gets none
        Span(", ", None),
        Span("(", 2.0),  # "(a": one character each, so the earlier span
        Span("a", None),
        Span(")", 3.0),
    ]


def test_a_piece_over_two_words_and_the_space_goes_to_the_longer_word():
    assert fold_to_words("a bcd", attribution(((0, 5), 1.0))) == [Span("a ", None), Span("bcd", 1.0)]


def test_white_space_pieces_introduce_the_word_after_them():
    folded = fold_to_words("a b ", attribution(((0, 1), 1.0), ((1, 2), 2.0), ((2, 3), 4.0), ((3, 4), 8.0)))
    assert folded == [Span("a", 1.0), Span(" ", None), Span("b", 14.0), Span(" ", None)]
    assert fold_to_words(" \n", attribution(((0, 1), 1.0))) == [Span(" \n", 1.0)]  # no word to go to


def test_past_the_limit_there_is_no_score():
    article = "Read this, not-this or that."
    folded = fold_to_words(article, attribution(((0, 4), 1.0), ((5, 9), 2.0), tokens_total=7))
    assert folded == [Span("Read", 1.0), Span(" ", None), Span("this", 2.0), Span(", not-this or that.", None)]


def test_a_word_cut_by_the_limit_is_two_spans_but_a_letter_keeps_its_accent():
    folded = fold_to_words("cafe\u0301s", attribution(((0, 4), 1.0), tokens_total=2))
    assert folded == [Span("cafe\u0301", 1.0), Span("s", None)]


def test_what_the_tokenizer_drops_has_no_score():
    assert fold_to_words("a \x01 b", attribution(((0, 1), 1.0), ((4, 5), 0.0))) == [
        Span("a", 1.0),
        Span(" \x01 ", None),
        Span("b", 0.0),
    ]


@pytest.mark.parametrize(
    "run, words",
    [
        ("“Hello!”", ["“", "Hello", "!”"]),
        ("(U.S.)", ["(", "U.S.", ")"]),
        ("U.S.,", ["U.S.", ","]),
        ("U.S.A.", ["U.S.A."]),
        ("6p.m.", ["6p.m", "."]),
        ("end.", ["end", "."]),
        ("3.5.", ["3.5", "."]),
        ("£5m,", ["£5m", ","]),
        ("50%.", ["50%", "."]),
        ("#tag", ["#tag"]),
        ("players'", ["players", "'"]),
        ("don't", ["don't"]),
        ("—well-known—", ["—", "well-known", "—"]),
        ("...", ["..."]),
        ("*\ufe0f\u20e3", ["*\ufe0f\u20e3"]),  # keycap emoji: one character to the eye
        ("👩\u200d👧!", ["👩\u200d👧", "!"]),
        ("עולם.", ["עולם", "."]),
        ("。", ["。"]),
    ],
)
def test_where_words_end(run, words):
    pieces = [((i, i + 1), 1.0) for i in range(len(run))]
    assert [span.text for span in fold_to_words(run, attribution(*pieces))] == words


def test_nothing_to_fold():
    assert fold_to_words("", attribution()) == []
    assert fold_to_words("", attribution(((0, 3), 1.0))) == []
    assert fold_to_words("a b", attribution((None, 1.0))) == [Span("a b", None)]


# --- real tokenizers ---------------------------------------------------------------------------------------

# (article, the text that each score should be found on), a score of 1, 2, 3, … for each scored span
GOLD = [
    ("Line one.\r\n\r\n\tLine\u00a0two", ["Line", "one", ".", "Line", "two"]),
    ("a  \n b", ["a", "b"]),
    ("שלום עולם, hi", ["שלום", "עולם", ",", "hi"]),
    ("👩\u200d👩\u200d👧 ok 🇬🇧", ["👩\u200d👩\u200d👧", "ok", "🇬🇧"]),
    ("\ufeffstart \x00x\x02 end", ["\ufeffstart", "\x00x\x02", "end"]),
    ("{a} <b> ~c", ["{", "a", "}", "<b>", "~c"]),
    ("ca\u0301fe\u0301 noir", ["ca\u0301fe\u0301", "noir"]),
    ("ﬁne … ＡＢＣ ½ ™ end", ["ﬁne", "…", "ＡＢＣ", "½", "™", "end"]),
]


@pytest.mark.parametrize("article, words", GOLD)
def test_every_word_of_odd_text_is_found(tokenizer, article, words):
    folded = fold_to_words(article, tokenized(tokenizer, article)[0])
    assert "".join(span.text for span in folded) == article
    assert [span.text for span in folded if span.score is not None] == words


def test_a_surrogate_without_its_partner_moves_no_offset(tiny):
    article = "half \ud83d surrogate"
    folded = fold_to_words(article, tokenized(tiny[1], article)[0])
    assert [span.text for span in folded if span.score is not None] == ["half", "\ud83d", "surrogate"]


def test_offsets_of_the_original_vocabulary_under_its_normaliser(t5_tokenizer):
    """Its normaliser changes lengths ("…" → "...", "½" → "1⁄2", "é" composed): offsets stay the article's."""
    article = "ofﬁce … Ａ ½ e\u0301te\u0301 \u2122 naïve\u200b tail"
    _, source = tokenized(t5_tokenizer, article)
    held = {}
    for piece, offset in zip(source.pieces, source.offsets, strict=True):
        if offset is not None:
            held.setdefault(article[slice(*offset)], []).append(piece)
    assert held["ofﬁce"] == ["▁office"]
    assert held["…"] == ["▁", "..."]
    assert held["½"] == ["▁1", "<unk>", "2"]
    assert held["tail"] == ["▁tail"]
    assert article[slice(*source.offsets[-2])] == "tail"  # no drift after all that


@pytest.mark.parametrize("article", ["\u200b", "\x01\x02", " \u200d\ufeff "])
def test_an_article_of_which_nothing_is_kept_is_refused(t5_tokenizer, article):
    with pytest.raises(UserError, match="no text that this model's vocabulary can read"):
        read_source(t5_tokenizer, article, prefix=PREFIX, max_source_length=1024)


def random_text(rng: random.Random) -> str:
    pools = [
        "abc DEF, .\"'()",
        "ﬁﬂ…ＡＢＣ½™㌔ﷺ①",
        "e\u0301\u0308\u0323A\u030a",
        "👩\u200d👧🇬🇧👍🏽#\ufe0f\u20e3",
        "שלוםعربي\u200f\u202e",
        " \t\r\n\u00a0\u3000\u2028\x85\x0b\x0c\x1c",
        "\u200b\u200c\u200d\ufeff\u2060\xad",
        "\x00\x01\x02\x7f\x80",
        "\ud83d\ude00\udfff",
        "{}<>~^\\`|",
        "漢字한국어ไทยहिन्दी",
        "▁_",
        SPECIAL,
    ]
    characters = []
    for _ in range(rng.randrange(40)):
        anything = rng.random() < 0.1
        characters.append(chr(rng.randrange(0x110000)) if anything else rng.choice(rng.choice(pools)))
    return "".join(characters)


def check(article: str, result: Attribution) -> list[Span]:
    folded = fold_to_words(article, result)
    assert "".join(span.text for span in folded) == article, ascii(article)
    inside = sum(s for s, offset in zip(result.scores, result.offsets, strict=True) if offset is not None)
    total = sum(span.score for span in folded if span.score is not None)
    assert math.isclose(inside, total, abs_tol=1e-9), ascii(article)
    assert all(span.text for span in folded)
    return folded


def test_any_text_comes_back_whole_and_no_score_is_lost(tokenizer):
    rng = random.Random(0)
    folded = 0
    for _ in range(1500):
        article = random_text(rng)
        limit = rng.choice([10_000, 10_000, 12, 20])
        try:
            result, source = tokenized(tokenizer, article, lambda: rng.gauss(0, 1), limit)
        except UserError:  # nothing in it that the vocabulary keeps
            continue
        assert len(source.ids) <= limit
        inside = [offset for offset in source.offsets if offset is not None]
        assert inside == sorted(inside, key=lambda offset: offset[0])
        assert all(0 <= start <= end <= len(article) for start, end in inside)
        check(article, result)
        folded += 1
    assert folded > 1000


def test_any_offsets_are_survived():
    """Offsets that no tokenizer should give: beyond the text, backwards, empty, overlapping, out of order."""
    rng = random.Random(1)
    for _ in range(1500):
        article = random_text(rng)
        pieces = []
        for _ in range(rng.randrange(12)):
            offset = rng.randrange(-3, len(article) + 4), rng.randrange(-3, len(article) + 4)
            pieces.append((rng.choice([None, offset, offset]), rng.gauss(0, 1)))
        result = attribution(*pieces, tokens_total=len(pieces) + rng.choice([0, 5]))
        if article:
            check(article, result)


def test_offsets_do_not_drift(tokenizer):
    """The last piece stands at the end of the text, whatever came before it."""
    rng = random.Random(2)
    for _ in range(500):
        article = random_text(rng) + " tail"
        _, source = tokenized(tokenizer, article)
        start, end = source.offsets[-2]
        assert end == len(article), ascii(article)
        assert source.pieces[-2].removeprefix("▁") == article[start:], ascii(article)


# --- what is shown -----------------------------------------------------------------------------------------


def test_display_scores_are_scaled_by_the_largest():
    spans = [Span("a", 2.0), Span(" ", None), Span("b", -4.0), Span("c", 0.0)]
    assert display_scores(spans) == [0.5, None, -1.0, 0.0]
    assert display_scores([Span("a", 0.0), Span("b", None)]) == [0.0, None]
    assert display_scores([]) == []


def test_strongest_merges_occurrences_and_leaves_out_punctuation():
    spans = [
        Span("The", 1.0),
        Span(" ", None),
        Span("fire", 2.0),
        Span(",", 50.0),
        Span("the", 1.5),
        Span("roof", -2.25),
        Span("Fire", 1.0),
        Span("rest", None),
    ]
    assert strongest(spans, 2) == [Span("fire", 3.0), Span("The", 2.5)]
    assert strongest(spans, 9) == [Span("fire", 3.0), Span("The", 2.5), Span("roof", -2.25)]
    assert strongest([], 3) == []
