"""Which sentences can stand alone, and what is taken off them."""

import pytest

from trainer.summarizers.extracts import extracts, is_whole, tidied


@pytest.mark.parametrize(
    ("sentence", "whole"),
    [
        ("Two boats sank off Dover.", True),
        ("“Two boats sank off Dover,” she said.", True),
        ("£3m was paid for the two boats.", True),
        ("Two boats sank off Dover", False),  # no end: a heading or a caption
        ("two boats sank off Dover.", False),  # no beginning
        ("It sank.", False),  # four words or fewer
        (" ".join(["boat"] * 61).capitalize() + ".", False),
        ('He said: "Two boats sank off Dover.', False),
        ("Two boats sank off Dover.”", False),
        ("Two boats (both old sank off Dover.", False),
        ("She called it ‘the worst day of all.", False),
        ("The firm’s boats sank off Dover, didn’t they?", True),
        ("Two boats sank off Dover...", False),
    ],
)
def test_whole_sentences(sentence, whole):
    assert is_whole(sentence) is whole


@pytest.mark.parametrize(
    ("sentence", "text"),
    [
        ("But the crew is safe.", "The crew is safe."),
        ("And, the crew is safe.", "The crew is safe."),
        ("However, nobody was hurt.", "Nobody was hurt."),
        ("In addition, the crew is safe.", "The crew is safe."),
        ("But for the storm, the crew would be safe.", "But for the storm, the crew would be safe."),
        ("But not all of the crew is safe.", "But not all of the crew is safe."),
        ("Butter is safe for the crew.", "Butter is safe for the crew."),
        ("However hard they tried, it sank.", "However hard they tried, it sank."),
        ("Two boats (both old) sank off Dover (Kent).", "Two boats sank off Dover."),
        ("• Two boats sank off Dover.", "Two boats sank off Dover."),
        ("- Two boats sank off Dover.", "Two boats sank off Dover."),
        ("-3 degrees were measured in Dover.", "3 degrees were measured in Dover."),
        (
            "Media playback is unsupported on your device 12 January 2015 Last updated at 22:04 GMT The boats sank.",
            "The boats sank.",
        ),
        ("Media playback is a term of the trade.", "Media playback is a term of the trade."),
        ("iPhones sold well in Dover.", "iPhones sold well in Dover."),
    ],
)
def test_what_is_taken_off(sentence, text):
    assert tidied(sentence) == text


def test_each_once_in_order_and_whole_ones_only():
    article = "Picture: AP\nTwo boats sank off Dover. But the crew is safe and well.\nTwo boats sank off Dover."
    assert extracts(article) == ["Two boats sank off Dover.", "The crew is safe and well."]


@pytest.mark.parametrize(
    ("article", "found"),
    [
        ("two boats sank . nobody was hurt . see page", ["two boats sank .", "nobody was hurt ."]),
        ("two boats sank\nnobody was hurt", ["two boats sank", "nobody was hurt"]),
        ("", []),
    ],
)
def test_where_no_sentence_is_whole_others_do(article, found):
    assert extracts(article) == found
