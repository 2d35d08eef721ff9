"""Copied runs, places and the share of joined summaries, by hand."""

import random
import time

import pytest

from trainer.metrics.abstraction import extractive_fragments
from trainer.metrics.copied import CopiedFrom, Run, copied
from trainer.metrics.words import words_of

SOURCE = (
    "The rail regulator said it would look into the crash. "
    "Two people were hurt near Ellery on Monday (a third was not). "
    "The railway was built in 1904 and sold in 1990. Mrs Vell, who saw it, said the train was late."
)


def runs(summary: str, source: str = SOURCE) -> list[tuple[int, int, int, int]]:
    return [(run.start, run.source_start, run.length, run.sentence) for run in CopiedFrom(source).runs(summary)]


@pytest.mark.parametrize(
    ("summary", "expected"),
    [
        ("Two people were hurt near Ellery on Monday.", [(0, 10, 8, 1)]),
        ("TWO PEOPLE, were hurt!", [(0, 10, 4, 1)]),  # case and punctuation do not count
        ("Nothing of that", []),
        ("", []),
        # The longest run is taken first: "said the train was late" keeps its "said".
        ("The rail regulator said the train was late.", [(0, 0, 3, 0), (3, 37, 5, 3)]),
        # Of two places with the same word the one behind the run before counts, of none the first.
        ("built in 1904 and sold in 1990", [(0, 25, 7, 2)]),
        ("sold quickly in 1990", [(0, 29, 1, 2), (2, 30, 2, 2)]),
    ],
)
def test_runs(summary, expected):
    assert runs(summary) == expected


@pytest.mark.parametrize(
    ("summary", "places"),
    [
        ("Two people were hurt near Ellery on Monday.", [1]),
        ("Two people were hurt on Monday and a third was not.", [1]),  # left-out words of one sentence
        ("The rail regulator said it would look into the railway was built in 1904.", [0, 2]),
        ("A regulator looks into a crash that hurt two.", []),  # shared words, no passage
        ("Mrs Vell said it would look into Ellery on Monday and sold in 1990.", [0, 1, 2]),
        ("On Monday two people were hurt near Ellery on Monday.", [1]),
    ],
)
def test_places(summary, places):
    found = CopiedFrom(SOURCE).passages(summary)
    assert [runs[0].sentence for runs in found] == places


def test_words_in_the_other_order_are_two_places():
    source = "He left the old house at nine in the morning."
    assert len(CopiedFrom(source).passages("At nine in the morning he left the old house.")) == 2


def test_the_figures():
    summaries = [
        "Two people were hurt near Ellery on Monday.",
        "Mrs Vell said it would look into Ellery on Monday and sold in 1990.",
        "",
    ]
    figures = copied(summaries, [""] * 3, [SOURCE] * 3)
    assert figures["joined_places"].value == pytest.approx((1 + 3 + 0) / 3)
    assert figures["joined_share"].value == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="as many of each"):
        copied(summaries, [""] * 3, [SOURCE])


def test_runs_cover_what_newsroom_fragments_cover():
    """Both cover exactly the words of the summary that the article has; ours are never more (Grusky et al. 2018)."""
    draw = random.Random(0)
    words = [f"w{number}" for number in range(12)]
    for _ in range(200):
        article, summary = (" ".join(draw.choices(words, k=k)) for k in (40, 15))
        found = CopiedFrom(article).runs(summary)
        written, known = words_of(summary), set(words_of(article))
        covered = {place for run in found for place in range(run.start, run.start + run.length)}
        assert covered == {place for place, word in enumerate(written) if word in known}
        for run in found:
            source = words_of(article)[run.source_start : run.source_end]
            assert written[run.start : run.start + run.length] == source
        longest = max((run.length for run in found), default=0)
        assert longest >= max(extractive_fragments(written, words_of(article)), default=0)
    assert Run(0, 5, 3, 0).source_end == 8


def test_a_long_article_of_common_words_takes_no_longer_than_its_length_asks():
    draw = random.Random(0)
    words = ["the", "of", "a", "to", "said", *(f"w{number}" for number in range(500))]
    weights = [100] * 5 + [1] * 500
    article, summary = (" ".join(draw.choices(words, weights, k=k)) for k in (20_000, 60))
    began = time.process_time()
    assert CopiedFrom(article).runs(summary)
    assert time.process_time() - began < 5  # seconds; a quadratic search takes minutes
