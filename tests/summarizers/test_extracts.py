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
    ("sentence", "whole"),
    [
        ("two boats sank off dover .", True),
        ('the skipper called it " the worst day of all . "', True),
        ("# 3m was paid for the two boats .", True),
        ('" two boats sank off dover , " he said .', False),  # the end of a longer quotation, or a whole one
        ("' two boats sank off dover .", False),
        ('he said : " two boats sank off dover .', False),
        ("he called it ` the worst day of all .", False),
        ("two boats sank off dover", False),
    ],
)
def test_whole_sentences_of_a_text_without_capitals(sentence, whole):
    assert is_whole(sentence, capitals=False) is whole


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
        ("(CNN) The boats sank.", "The boats sank."),
        ("( cnn ) -- the boats sank .", "The boats sank ."),
        ("DOVER, England (Reuters) - Two boats sank.", "Two boats sank."),
        ("Reporters (Reuters) saw the boats sink.", "Reporters saw the boats sink."),
        ("iPhones sold well in Dover.", "iPhones sold well in Dover."),
    ],
)
def test_what_is_taken_off(sentence, text):
    assert tidied(sentence) == text


def test_a_text_without_capitals_has_whole_sentences_too():
    article = "( cnn ) two boats sank off dover . ' they were old , ' he said . but the iPhone of the skipper is dry ."
    assert extracts(article) == ["Two boats sank off dover .", "but the iPhone of the skipper is dry ."]


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
