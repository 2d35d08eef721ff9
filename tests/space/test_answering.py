"""One visitor's request, step by step, and what the page shows of it."""

import time

import pytest

from space import answering, limits
from space.engine import Engine
from space.serving import Status
from space.verdict import Remark, standing
from space.views import article as article_view
from space.views.copied import copied_map
from space.views.summary import byline, summary_card, verdict
from tests.space.pages import ARTICLES, _Page
from tests.tiny import tiny_t5
from trainer.data.sentences import split_sentences

LONG = "The lantern was lifted off by a crane. " * 200


@pytest.fixture(scope="module")
def engine() -> Engine:
    model, tokenizer = tiny_t5(seed=5)
    return Engine(model, tokenizer, name="ada/<b>t5</b>", revision="0123456789abcdef")


class Now:
    """A serving whose model is there."""

    def __init__(self, engine: Engine):
        self._engine = engine

    def engine(self) -> Engine:
        return self._engine

    ready = engine


@pytest.mark.parametrize("article", ARTICLES.values(), ids=ARTICLES)
def test_the_article_that_is_read_is_the_article(engine, article):
    found = engine.explain(article, "The lantern", 4)
    assert "".join(span.text for span in found.spans) == article
    page = _Page(article_view.article(article, len(article), copied_map(article[:40], article), found.spans))
    assert page.text == article
    assert {tag for tag, _ in page.tags} <= {"div", "span", "mark", "i"}
    bars = [attributes for tag, attributes in page.tags if tag == "i"]
    assert len(bars) == len(split_sentences(article))
    assert all(0 <= float(bar["style"].removeprefix("--s:")) <= 1 for bar in bars)
    words = [attributes for tag, attributes in page.tags if tag == "span"]
    assert len(words) >= sum(span.score is not None for span in found.spans) > 0
    assert all(0 <= float(word["style"].removeprefix("--a:")) <= 1 for word in words)
    largest = max(words, key=lambda word: float(word["style"].removeprefix("--a:")))
    assert largest["style"] == "--a:1.000"
    assert ("down" in largest["class"]) == (largest["data-nats"][0] == "−")


def test_null_characters_are_shown_as_browsers_show_them(engine):
    text = "one\0two three"
    found = engine.explain(text, "The lantern", 4)
    assert _Page(article_view.article(text, len(text), None, found.spans)).text == "one\ufffdtwo three"


def test_what_lies_past_the_limit_is_marked(engine):
    found = engine.explain(LONG, "The lantern", 4)
    reading = engine.reading(LONG)
    assert reading.limit == 1024 < reading.tokens and reading.words == 1600 > reading.words_read > 100
    page = _Page(article_view.article(LONG, reading.end, copied_map("The lantern was lifted", LONG), found.spans))
    assert page.text == LONG
    assert [attributes["class"] for tag, attributes in page.tags if tag == "span"].count("unread") == 1
    shown = _Page(article_view.meter(LONG, reading)).text
    assert "1,600 words" in shown and "1,024 of 1,024 tokens" in shown
    assert f"{1600 - reading.words_read:,} words are not read" in shown
    answer = engine.summarize(LONG, {"max_new_tokens": 4})
    assert answer.tokens_read == 1024
    assert answer.tokens_total > 1024
    html = summary_card(answer, byline("starter", None), copied_map(answer.text, LONG))
    card = _Page(html).text
    assert f'title="1,024 tokens read, {answer.tokens_total - 1024:,} past the limit"' in html
    assert "Written by the demo’s model" in card
    assert f"The last {1600 - reading.words_read:,} words were not read." in card
    assert "The limit of 4 new tokens cut the summary off." in card


def test_a_short_article_is_read_whole(engine):
    reading = engine.reading("Boats sank.")
    assert (reading.words, reading.words_read, reading.end) == (2, 2, 11)
    assert "not read" not in article_view.meter("Boats sank.", reading)
    assert "stale" in article_view.meter("Boats sank.", reading, stale=True)


def test_a_request_ends_with_a_summary_its_map_and_a_comparison(engine):
    settings = (2, 8, 1.0)
    steps = list(answering.answer(Now(engine), ARTICLES["plain"], "The lantern was lifted.", settings, 4, anyway=True))
    assert steps[0]["busy"] and not steps[-1]["busy"] and steps[-1]["progress"] == ""
    all_parts = {name: value for parts in steps for name, value in parts.items()}
    written = engine.summarize(ARTICLES["plain"], {"num_beams": 2, "max_new_tokens": 8, "length_penalty": 1.0})
    card = _Page(all_parts["summary"]).text
    assert written.text in card and "Written by ada/<b>t5</b> 0123456" in card
    assert "A model wrote this; it may be wrong." in card
    assert _Page(all_parts["article_view"]).text == ARTICLES["plain"]
    assert all_parts["settings"] == "Settings: yours (2 beams, 8 tokens)"
    compared = _Page(all_parts["compare"]).text
    for name in ("ROUGE-1", "ROUGE-2", "ROUGE-L", "ROUGE-Lsum", "Precision", "Recall", "F1", "First sentence"):
        assert name in compared
    assert all_parts["shown"].reference == "The lantern was lifted."

    *_, last = answering.explain(all_parts["shown"], 4)
    why = _Page(last["why"]).text
    for name in ("Completeness error", "On the prefix “summarize:”", "On the end mark </s>", "Strongest words", "nats"):
        assert name in why
    assert "trust" not in why.lower()
    assert _Page(last["article_view"]).text == ARTICLES["plain"]
    assert last["shown"].explanation is not None
    assert list(answering.explain(None, 4)) == []


@pytest.mark.parametrize(
    ("article", "decoding", "n_steps", "field", "says"),
    [
        ("", (), 8, "article", "The article is empty."),
        (" \n\t ", (), 8, "article", "The article is empty."),
        (None, (), 8, "article", "The article must be text, not None."),
        ("\x00\x07\u200f", (), 8, "article", "only invisible characters"),
        ("x" * 1_000_001, (), 8, "article", "1,000,001 characters"),
        ("Words.", (99, 8, 1), 8, "settings", "num_beams must be a whole number from 1 to 8, not 99."),
        ("Words.", (1, 8.5, 1), 8, "settings", "max_new_tokens must be a whole number from 4 to 256, not 8.5."),
        ("Words.", (1, 8, float("nan")), 8, "settings", "length_penalty must be a number from -2 to 4, not nan."),
        ("Words.", (), True, "settings", "n_steps must be a whole number from 4 to 128, not True."),
        ("Words.", (), "9" * 99, "settings", "n_steps must be a whole number from 4 to 128, not '999"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field_and_the_last_result_stays(
    engine, article, decoding, n_steps, field, says
):
    steps = list(answering.answer(Now(engine), article, "", decoding, n_steps))
    assert says in _Page(steps[-1][f"{field}_error"]).text
    assert not steps[-1]["busy"]
    assert not any(name in parts for parts in steps for name in ("summary", "article_view", "compare", "shown"))


def test_a_reference_that_can_t_be_counted_is_told_beside_it(engine):
    *_, compared, _ = answering.answer(Now(engine), ARTICLES["plain"], "工程师们", (1, 8, 1.0), 4, anyway=True)
    assert "letters a–z" in compared["reference_error"]
    assert "First sentence" in compared["compare"]


def test_guards_stop_once_and_one_click_goes_on(engine):
    steps = list(answering.answer(Now(engine), "https://www.bbc.co.uk/news", "", (), 4))
    assert "the page opens no links" in steps[-1]["article_error"]
    assert 'data-do="anyway"' in steps[-1]["article_error"] and "strip" not in steps[-1]["article_error"]
    steps = list(answering.answer(Now(engine), f"<p>{LONG}</p><p>More.</p>", "", (), 4))
    assert 'data-do="strip"' in steps[-1]["article_error"]
    assert "summary" not in steps[-1]


def test_an_unforeseen_fault_is_logged_and_told_in_a_sentence(caplog):
    class Broken:
        def engine(self):
            raise RuntimeError("the secret inside")

    *_, last = answering.answer(Broken(), "Words.", "", (), 8)
    assert "Something went wrong on this machine." in last["article_error"]
    assert "secret" not in last["article_error"]
    assert "the secret inside" in caplog.text


def test_stopping_the_page_stops_the_computation(engine):
    article = ARTICLES["plain"] * 20
    written = engine.summarize(article, {"max_new_tokens": 4})
    shown = answering.Shown(article, written, engine, copied_map(written.text, article))
    steps = answering.explain(shown, 128)
    for parts in steps:
        if "step" in parts["why"]:
            break
    steps.close()
    # The model is free again long before 128 steps are done, and nothing half done is remembered.
    began = time.monotonic()
    engine._turns.long(lambda: None)
    assert time.monotonic() - began < 10
    assert not any(key[0] == "explanation" and key[1] == article for key in engine._results)


def test_typing_shows_the_meter_and_that_the_result_is_of_an_older_text(engine):
    article = ARTICLES["plain"]
    written = engine.summarize(article, {"max_new_tokens": 4})
    shown = answering.Shown(article, written, engine, copied_map(written.text, article))
    same = answering.typed(Now(engine), article, shown)
    assert "stale" not in same["meter"]
    other = answering.typed(Now(engine), article + " More.", shown)
    assert "stale" in other["meter"] and _Page(other["article_view"]).text == article + " More."
    assert answering.typed(Now(None), article, shown) == {}


def test_a_word_of_the_summary_has_sources_that_tint_the_article(engine):
    article = ARTICLES["plain"]
    written = engine.summarize(article, {"max_new_tokens": 6})
    shown = answering.Shown(article, written, engine, copied_map(written.text, article))
    *_, last = answering.sources(shown, 0)
    found = last["shown"].sources
    assert found.word == written.text.split()[0]
    assert f"“{found.word}”" in _Page(last["sources"]).text
    assert _Page(last["article_view"]).text == article and "data-nats" in last["article_view"]
    assert last["shown"].spans == found.spans
    *_, last = answering.sources(shown, 99)
    assert "word is 99" in last["sources"] and "shown" not in last
    assert list(answering.sources(None, 0)) == []


def test_other_models_are_asked_one_after_the_other(engine):
    class Other(Now):
        def status(self):
            return Status("ada/other-t5", reason="the Hub did not answer in time (ReadTimeout). Try again.")

    written = engine.summarize(ARTICLES["plain"], {"max_new_tokens": 6})
    shown = answering.Shown(ARTICLES["plain"], written, engine, copied_map(written.text, ARTICLES["plain"]))
    steps = list(answering.ask_others(shown, "", [Other(engine)]))
    compared = [parts for parts in steps if "compare" in parts][-1]
    assert "ada/other-t5" in _Page(compared["compare"]).text
    assert compared["shown"].others[0].text == engine.summarize(ARTICLES["plain"], {}).text
    steps = list(answering.ask_others(compared["shown"], "", [Other(None)]))
    assert "ada/other-t5 is not here yet. The Hub did not answer in time." in _Page(steps[1]["compare"]).text


def test_a_tick_never_stands_above_a_warning():
    html = verdict([Remark("A tick.", warns=False), Remark("A warning.", warns=True)], standing(chosen=True))
    assert html.index("A warning.") < html.index("A tick.") < html.index("A model chose this")


@pytest.mark.parametrize(
    ("article", "says"),
    [
        (
            answering.examples()[1]["article"],
            "The article opens with this sentence, which was taken as its lead: the model was not asked.",
        ),
        ("and so it went on. The mill burnt down in the night.", "No other sentence of the article could be taken"),
        (answering.examples()[0]["article"], None),
    ],
    ids=["its lead", "the only sentence", "no lead"],
)
def test_whether_the_model_was_asked_is_said(article, says):
    model, tokenizer = tiny_t5(seed=5)
    task = {"prefix": "summarize: ", "max_source_length": 200, "choose_from": "sentences"}
    model.config.task_specific_params = {"summarization": task}
    model.generation_config.max_new_tokens = 99
    answer = Engine(model, tokenizer, name="ada/t5").summarize(article, {})
    card = _Page(summary_card(answer, byline("ada/t5", None), copied_map(answer.text, article))).text
    assert answer.asked == (says is None)
    if says is None:
        assert "Chosen by ada/t5" in card and "A model chose this sentence" in card and "words were not read" in card
    else:
        assert "Chosen by a rule" in card and "A rule chose this sentence" in card and says in card
        assert "not read" not in card and "to the end" not in card


def test_surrogates_without_a_partner_become_the_replacement_character():
    assert limits.text("a\ud800b\udfffc", "article", 10) == "a\ufffdb\ufffdc"


def test_there_are_three_examples_and_one_of_how_it_goes_wrong():
    shown = answering.examples()
    assert len(shown) == 4 and [example["title"] for example in shown if "decoding" in example] == [shown[3]["title"]]
    assert limits.decoding(*shown[3]["decoding"]).keys() == {"num_beams", "max_new_tokens", "length_penalty"}
    assert answering.note_of(shown[3]["article"], shown[3]["decoding"]) == shown[3]["note"]
    assert answering.note_of(shown[0]["article"], ()) is None
    for example in shown:
        assert set(example) >= {"title", "article", "reference"}
        assert len(example["title"]) <= 40
        assert len(example["reference"]) < len(example["article"]) / 4
