"""What the page says of a summary, worst first."""

import pytest

from space.verdict import remarks

ARTICLE = (
    "Anna Vell opened the new bridge over the Orsa on Monday. She said it had cost £2.4m and four years of work. "
    "The old bridge was closed in 2019 after a lorry fell through it."
)
ONE_PLACE = "Word for word from one place in the article; no word was added."


def said(summary: str, cut_at: int | None = None, words_unread: int = 0) -> list[str]:
    return [remark.text for remark in remarks(summary, ARTICLE, cut_at=cut_at, words_unread=words_unread)]


@pytest.mark.parametrize(
    ("summary", "texts"),
    [
        ("Anna Vell opened the new bridge over the Orsa on Monday.", [ONE_PLACE]),
        (
            "Anna Vell opened the new bridge and four years of work was closed in 2019.",
            ["Joined from 3 places in the article, it may say what the article does not: read it against them."],
        ),
        ("Bo Orm opened the bridge.", ["‘Bo Orm’ is not in the article."]),
        ("The bridge in Harrow Vale cost £9m in 2021.", ["‘Harrow Vale’, ‘£9m’ and ‘2021’ are not in the article."]),
        (
            "Bo Orm, Al Ash, Cy Elm and Di Oak paid 7.",
            ["‘Bo Orm’, ‘Al Ash’, ‘Cy Elm’ and 2 more are not in the article."],
        ),
        (
            "She said it had cost £2.4m and four years of work.",
            ["It begins with “She”: whom or what that means is in the sentence before it.", ONE_PLACE],
        ),
        (
            "“The bridge cost us four years,” she said.",
            ["It is a quotation: who “she” is stands elsewhere in the article."],
        ),
        (
            "“Four years of work,” Anna Vell said on Monday, when she opened it.",
            [],
        ),  # it says who; put together of words
        ("A bridge is open again.", []),
        ("Anna Vell never opened the new bridge over the Orsa on Monday.", []),  # a word of its own: no tick
        ("Somehow a lorry fell through it.", []),
        ("", []),
    ],
)
def test_remarks(summary, texts):
    assert said(summary) == texts


def test_the_worst_comes_first_and_a_tick_never():
    texts = said("Anna Vell opened the new bridge in Rome, the old bridge was closed", cut_at=12, words_unread=1240)
    assert texts == [
        "Joined from 2 places in the article, it may say what the article does not: read it against them.",
        "‘Rome’ is not in the article.",
        "The limit of 12 new tokens cut the summary off.",
        "The last 1,240 words of the article were not read.",
    ]
    assert all(remark.warns for remark in remarks("Bo Orm left.", ARTICLE, cut_at=4, words_unread=2))
    assert [remark.warns for remark in remarks(ARTICLE[:56], ARTICLE, cut_at=None, words_unread=0)] == [False]
