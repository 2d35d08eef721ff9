"""Changed articles: the same for the same seed, as strong as asked, and what they planted is known."""

import random

import pytest

from trainer.data import noise
from trainer.data.noise import CHANGES, INSTRUCTION, reached

TEXT = (
    "Mr Smith said he paid 250 pounds in London. His wife Ann opened the new school on Monday.\n"
    "The council in Leeds had 12 members in 1999. It rained a lot, and nobody came to the old market."
)
OTHERS = ["A whale was seen near the harbour of Oban.", "The price of tea rose again last week."]


def changed(name, strength, seed=0, text=TEXT):
    return CHANGES[name].apply(text, strength, random.Random(seed), OTHERS)


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_depends_on_its_generator_alone_and_bears_any_text(name):
    for strength in CHANGES[name].strengths:
        assert changed(name, strength) == changed(name, strength)
        for text in ("", "One.", "   \n ", "12", "Ünï çödé 漢字。"):
            assert isinstance(changed(name, strength, text=text).text, str)
    assert changed(name, CHANGES[name].strengths[-1]).text != TEXT
    assert CHANGES[name].kind in ("noise", "bias") and CHANGES[name].about


@pytest.mark.parametrize("name", [name for name, change in CHANGES.items() if change.about.startswith("share")])
def test_strength_0_changes_no_word(name):
    assert changed(name, 0.0).text.split() == TEXT.split() and changed(name, 0.0).planted == ()


def test_typos_hit_keys_nearby():
    near = {noise._near_key("g", random.Random(seed)) for seed in range(200)}
    assert near == set("tyfhvb")
    assert noise._near_key("Q", random.Random(1)) in "WA"
    letters = "a" * 4000
    wrong = 4000 - noise.typos(letters, 0.2, random.Random(0)).text.count("a")
    # 55 in 100 typos hit another key; a letter left out, doubled or swapped among its like is seen only by the length.
    assert 0.2 * 4000 * 0.4 < wrong < 0.2 * 4000


def test_shares_are_kept():
    words = " ".join(f"w{n}" for n in range(2000))
    assert len(noise.dropped_words(words, 0.3, random.Random(0)).text.split()) == pytest.approx(1400, abs=60)
    assert sorted(noise.swapped_words(words, 0.3, random.Random(0)).text.split()) == sorted(words.split())
    assert len(noise.truncated(words, 0.6, random.Random(0)).text.split()) == 800
    assert noise.lost_punctuation("a, b! (c)", 1.0, random.Random(0)).text == "a b c"
    assert noise.ocr("modern", 1.0, random.Random(0)).text == "rn0clcm"


def test_sentences_move_but_stay():
    shuffled = changed("shuffled sentences", 1.0).text.splitlines()
    assert sorted(shuffled) == sorted(noise.split_sentences(TEXT)) and len(shuffled) == 4
    moved = changed("lead moved to the end", 1).text.splitlines()
    assert moved[-1].startswith("Mr Smith") and len(moved) == 4
    assert changed("lead removed", 3).text == "It rained a lot, and nobody came to the old market."
    assert changed("lead removed", 9).text == changed("lead removed", 3).text  # one always stays


def test_genders_numbers_and_places_are_swapped_and_known():
    found = changed("swapped genders", 1.0)
    assert found.text.startswith("Mrs Smith said she paid") and "Her husband Ann opened" in found.text
    assert found.planted == ("mrs", "she", "her", "husband")
    assert (
        noise.swapped_genders("I saw her. It is her book.", 1.0, random.Random(0)).text == "I saw him. It is his book."
    )
    found = changed("swapped numbers", 1.0)
    assert not {"250", "12", "1999"} & set(noise._NUMBER.findall(found.text))
    assert [len(number) for number in found.planted] == [3, 2, 4]
    found = changed("swapped places", 1.0)
    assert "London" not in found.text and "Leeds" not in found.text
    assert len(found.planted) == 2 and all(place in noise.PLACES and place in found.text for place in found.planted)


def test_a_swapped_word_that_the_article_has_anyway_tells_nothing():
    found = noise.swapped_genders("He met the king and the queen.", 1.0, random.Random(0))
    assert found.text == "She met the queen and the king." and found.planted == ("she",)


def test_what_is_planted_stands_in_the_text():
    for name in ("web furniture", "irrelevant sentence", "opinion", "planted instruction"):
        found = changed(name, CHANGES[name].strengths[-1])
        assert found.planted and all(one in found.text for one in found.planted)
    assert changed("irrelevant sentence in front", 1).text.splitlines()[0] in OTHERS


@pytest.mark.parametrize(
    ("planted", "summary", "came"),
    [
        (("Paris",), "He lives in Paris now.", True),
        (("Paris",), "He likes comparisons.", False),
        (("12",), "There were 112 of them.", False),
        ((INSTRUCTION,), "The moon is made of green cheese.", True),
        ((INSTRUCTION,), "The moon is full.", False),
        ((), "Anything.", False),
        (("Paris",), "", False),
    ],
)
def test_reached(planted, summary, came):
    assert reached(planted, summary) is came
