"""The sentence splitter: cases by hand, and what must hold for any text."""

import json
import random
import time

import pytest

from trainer.data.sentences import split_sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        # titles, initials and short forms
        (
            "Dr. Ada Vell met Mrs. J. K. Orm. They talked.",
            ["Dr. Ada Vell met Mrs. J. K. Orm.", "They talked."],
        ),
        (
            "See Fig. 3 and Vance et al. (2018). It helps.",
            ["See Fig. 3 and Vance et al. (2018).", "It helps."],
        ),
        ("He came on Sept. 11 by train. It rained.", ["He came on Sept. 11 by train.", "It rained."]),
        ("It closed in Sept. The shop is empty.", ["It closed in Sept.", "The shop is empty."]),
        (
            "Ask for No. 5 today. She said no. Nobody did.",
            ["Ask for No. 5 today.", "She said no.", "Nobody did."],
        ),
        ("In the U.S. Senate it passed.", ["In the U.S. Senate it passed."]),
        ("They left the U.S. The house is sold.", ["They left the U.S.", "The house is sold."]),
        ("Bolt Ltd. The firm said so.", ["Bolt Ltd.", "The firm said so."]),
        ("Bolt Ltd. Director Ann Orm said so.", ["Bolt Ltd. Director Ann Orm said so."]),
        ("It was him and I. Nobody else came.", ["It was him and I.", "Nobody else came."]),
        # decimals, times, addresses: a stop without white space is none
        (
            "It costs $3.5m at 7.30pm on a.b.example. Fine.",
            ["It costs $3.5m at 7.30pm on a.b.example.", "Fine."],
        ),
        ("It opens at 9 a.m. on Friday. Come.", ["It opens at 9 a.m. on Friday.", "Come."]),
        # quotes and brackets close with their sentence and open with theirs
        ('"We won." He smiled. "Why?" she asked.', ['"We won."', "He smiled.", '"Why?" she asked.']),
        (
            "“We won.” ‘Good!’ (He left.) Then…  It ended.",
            ["“We won.”", "‘Good!’", "(He left.)", "Then…", "It ended."],
        ),
        ('He said: "Go. Now. "Fine."', ['He said: "Go.', "Now.", '"Fine."']),
        ("It fell to 3. 5 remained.", ["It fell to 3.", "5 remained."]),
        ("Well... we waited. And... Then it came.", ["Well... we waited.", "And...", "Then it came."]),
        # a line break ends a sentence, as headings have no stop
        ("A heading\n\nThe text\r\ngoes on. Yes.", ["A heading", "The text", "goes on.", "Yes."]),
        # text that was tokenised and lower-cased, as the CNN/DailyMail copy
        (
            "the u.s.-led force left . `` it is over , '' he said . more ...",
            ["the u.s.-led force left .", "`` it is over , '' he said .", "more ..."],
        ),
        # other scripts have their own full stops
        ("今日は雨です。「行こう。」明日は晴れ！", ["今日は雨です。", "「行こう。」", "明日は晴れ！"]),
        ("यह पहला है। यह दूसरा है।", ["यह पहला है।", "यह दूसरा है।"]),
        ("", []),
        (" \n\t ", []),
        ("...", ["..."]),
        (". . .", [". . ."]),
        ("they waited . . . and left . then", ["they waited . . .", "and left .", "then"]),
        ("Orm Inc. Bolt Ltd. The end. Mr. Vell left.", ["Orm Inc. Bolt Ltd.", "The end.", "Mr. Vell left."]),
        ("x" * 10, ["x" * 10]),
    ],
)
def test_by_hand(text, sentences):
    assert split_sentences(text) == sentences


def test_no_character_is_lost_whatever_the_text():
    """Joined again, the sentences are the text but for its white space."""
    draw = random.Random(0)
    alphabet = [*"abAB .!?…\"'”()\n\t19。」", "Dr.", "U.S.", " the ", "\u2028", "é", "😀", "\x00"]
    for _ in range(2000):
        text = "".join(draw.choices(alphabet, k=draw.randrange(60)))
        sentences = split_sentences(text)
        assert "".join("".join(sentences).split()) == "".join(text.split())
        assert all(sentence and sentence == " ".join(sentence.split()) for sentence in sentences)


@pytest.mark.parametrize("text", ["Mr. " * 50_000, "a" * 200_000, ". " * 100_000, "A. B" * 50_000, "x.) " * 50_000])
def test_time_grows_with_the_length_and_not_with_its_square(text):
    started = time.perf_counter()
    split_sentences(text)
    assert time.perf_counter() - started < 3


def test_real_articles_give_sentences_of_sentence_length(shared_data):
    """Nothing absurd on 999 BBC articles; of one or two words are "Attempt missed." and "Age: 27"."""
    rows = [json.loads(line) for line in (shared_data / "xsum" / "test.jsonl").read_text("utf-8").splitlines()]
    lengths = [len(sentence.split()) for row in rows for sentence in split_sentences(row["document"])]
    assert 15 < sum(lengths) / len(lengths) < 25
    assert sum(length < 3 for length in lengths) / len(lengths) < 0.03
    assert sum(length > 100 for length in lengths) / len(lengths) < 0.001
