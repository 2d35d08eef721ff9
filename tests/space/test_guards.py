"""What is seen of a pasted text before a model is asked: cases by hand, and real articles that pass."""

import json

import pytest

from space.answering import examples
from space.engine import Engine
from space.guards import guards, without_tags
from tests.tiny import tiny_t5

ENGLISH = (
    "The coastal railway to Carrow, which was blocked by a landslip in January, is to reopen on Monday after repairs "
    "costing £8.6m. Trains on the Carrow Bay line stopped on 11 January, when a night of heavy rain sent about 4,000 "
    "tonnes of clay and rock on to the track near Pellan Head."
)
GERMAN = "Der Hafen wurde am Montag geschlossen, nachdem ein Sturm das Dach der Fischhalle abgedeckt hatte. " * 4


def seen(text: str) -> list[str]:
    return [guard.kind for guard in guards(text)]


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        (ENGLISH, []),
        ("", []),  # `space.limits` refuses it
        ("https://www.bbc.co.uk/news/uk-123", ["link"]),
        (" www.bbc.co.uk/news \n", ["link"]),
        ("bbc.co.uk/news/123", ["link"]),
        ("https://a.example/1 https://a.example/2", ["link"]),
        (f"{ENGLISH} https://www.bbc.co.uk/news/uk-123", []),
        (f"<p>{ENGLISH}</p>", ["html"]),
        (f"{ENGLISH}&nbsp;&mdash; the end", ["html"]),
        (f"{ENGLISH} It is AT&T; the <b> tag, x < y and a > b.", []),  # one tag
        (GERMAN, ["language"]),
        ("Der Hafen wurde am Montag geschlossen.", ["language"]),
        ("工程师们将吊走灯笼。" * 20, ["language"]),
        ("Two boats sank.", ["short"]),
        ("Lantern", ["short"]),
        (" ".join(["word"] * 39), ["short"]),
        (" ".join(ENGLISH.split()[:40]), []),
        ("<div><p>Two boats sank.</p></div>", ["html", "short"]),
    ],
)
def test_what_is_seen(text, kinds):
    assert seen(text) == kinds


def test_each_guard_says_what_was_seen():
    (guard,) = guards(GERMAN)
    assert guard.text == "This reads as German, and the page is made for articles in English."
    (guard,) = guards("Two boats sank.")
    assert guard.text == "This has 3 words: with fewer than 40 there is little to summarise."
    assert guards("Lantern")[0].text.startswith("This has 1 word:")
    (guard,) = guards("a.de/1 b.de/2")
    assert guard.text.startswith("These are links, and the page opens no links.")
    assert guard.mended is None
    (guard,) = guards(f"<h1>Rail</h1><p>{ENGLISH}")
    assert guard.mended == f"Rail\n{ENGLISH}"
    assert guards("<div></div>")[0].mended is None


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>Two\nboats</p>\n<p>sank.</p>", "Two boats\nsank."),
        ("Two <b>boats</b>\nsank <i>here</i>.", "Two boats\nsank here."),  # no tag makes a line
        ("<ul><li>One<li>Two</ul>Three<br/>four", "One\nTwo\nThree\nfour"),
        ("<head><title>T</title><style>p {}</style><body>Shown<script>if (a < b) x('</p>')</script>", "Shown"),
        ("&pound;2.3m &amp; &#8220;more&#8221; &lt;b&gt;", "£2.3m & “more” <b>"),
        ("<!-- hidden --><p>Shown<!doctype html>", "Shown"),
        ("<nav><a href=x>Home</a></nav><p>Text", "Text"),
        ("a < b", "a < b"),
    ],
)
def test_tags_are_taken_off(html, text):
    assert without_tags(html) == text


def test_characters_that_the_vocabulary_lacks():
    model, tokenizer = tiny_t5()
    engine = Engine(model, tokenizer, name="tiny")
    assert engine.guards(ENGLISH) == ()
    half = ENGLISH + "工" * len("".join(ENGLISH.split()))
    (guard,) = [guard for guard in engine.guards(half) if guard.kind == "unknown"]
    assert guard.text == "This model does not know 50% of the characters: it can’t read them."
    assert "unknown" in [guard.kind for guard in engine.guards("🚢 " * 50)]


def test_real_articles_pass_but_for_the_welsh_and_the_short(shared_data):
    lines = (shared_data / "xsum" / "test.jsonl").read_text("utf-8").splitlines()[:200]
    found = {number: seen(json.loads(line)["document"]) for number, line in enumerate(lines)}
    assert {number: kinds for number, kinds in found.items() if kinds} == {
        28: ["short"],
        109: ["short"],
        128: ["language"],
    }
    assert not any(guards(example["article"]) for example in examples())
