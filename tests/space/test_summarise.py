"""What the page shows: from values to HTML, and nothing that a visitor types becomes markup."""

import pytest

from space import limits
from space.engine import Engine
from space.views import summarise
from tests.space.pages import ARTICLES, _Page
from tests.tiny import tiny_t5
from trainer.errors import UserError


@pytest.fixture(scope="module")
def engine(tmp_path_factory) -> Engine:
    model, tokenizer = tiny_t5(seed=5)
    return Engine(model, tokenizer, name="ada/<b>t5</b>", revision="0123456789abcdef")


@pytest.mark.parametrize("article", ARTICLES.values(), ids=ARTICLES)
def test_highlighted_text_is_the_article(engine, article):
    found = engine.explain(article, "The lantern", 4)
    assert "".join(span.text for span in found.spans) == article
    page = _Page(summarise.highlighted(found))
    assert page.text == article
    assert {tag for tag, _ in page.tags} == {"span"}
    words = [attributes for _, attributes in page.tags]
    assert len(words) == sum(span.score is not None for span in found.spans) > 0
    assert all(0 <= float(word["style"].removeprefix("--a:")) <= 1 for word in words)
    largest = max(words, key=lambda word: float(word["style"].removeprefix("--a:")))
    assert largest["style"] == "--a:1.000"
    assert ("down" in largest["class"]) == (largest["data-nats"][0] == "−")


def test_null_characters_are_shown_as_browsers_show_them(engine):
    found = engine.explain("one\0two three", "The lantern", 4)
    assert "".join(span.text for span in found.spans) == "one\0two three"
    assert _Page(summarise.highlighted(found)).text == "one\ufffdtwo three"


def test_what_lies_past_the_limit_is_marked(engine):
    article = "The lantern was lifted off by a crane. " * 200
    found = engine.explain(article, "The lantern", 4)
    page = _Page(summarise.highlighted(found))
    assert page.text == article
    assert [attributes["class"] for _, attributes in page.tags].count("unread") == 1
    answer = engine.summarize(article, {"max_new_tokens": 4})
    assert answer.tokens_read == 1024
    assert answer.tokens_total > 1024
    shown = _Page(summarise.result(answer, summarise.byline("starter", None), None))
    assert f"1,024 tokens read, {answer.tokens_total - 1024:,} past the limit" in shown.text
    assert "The limit of 4 new tokens cut the summary off." in shown.text


def test_the_summary_comes_before_its_explanation(engine):
    class Now:
        def engine(self):
            return engine

    views = list(summarise.answer(Now(), ARTICLES["plain"], "The lantern was lifted.", (2, 8, 1.0), 4))
    assert [view.busy for view in views] == [True] * (len(views) - 1) + [False]
    summary_only, last = views[1], views[-1]
    assert summary_only.result == last.result
    assert "article" not in summary_only.explanation
    shown = _Page(last.result)
    assert (
        engine.summarize(ARTICLES["plain"], {"num_beams": 2, "max_new_tokens": 8, "length_penalty": 1.0}).text
        in shown.text
    )
    for name in ("ROUGE-1", "ROUGE-2", "ROUGE-L", "ROUGE-Lsum", "Precision", "Recall", "F1"):
        assert name in shown.text
    assert "ada/<b>t5</b> 0123456" in shown.text
    why = _Page(last.explanation)
    for name in ("Completeness error", "On the prefix “summarize:”", "On the end mark </s>", "Strongest words", "nats"):
        assert name in why.text


@pytest.mark.parametrize(
    ("article", "decoding", "n_steps", "says"),
    [
        ("", (), 8, "The article is empty."),
        (" \n\t ", (), 8, "The article is empty."),
        (None, (), 8, "The article must be text, not None."),
        ("\x00\x07\u200f", (), 8, "only invisible characters"),
        ("x" * 1_000_001, (), 8, "1,000,001 characters"),
        ("Words.", (99, 8, 1), 8, "num_beams must be a whole number from 1 to 8, not 99."),
        ("Words.", (1, 8.5, 1), 8, "max_new_tokens must be a whole number from 4 to 256, not 8.5."),
        ("Words.", (1, 8, float("nan")), 8, "length_penalty must be a number from -2 to 4, not nan."),
        ("Words.", (), True, "n_steps must be a whole number from 4 to 128, not True."),
        ("Words.", (), "9" * 99, "n_steps must be a whole number from 4 to 128, not '999"),
    ],
)
def test_what_is_not_accepted_gets_a_sentence(engine, article, decoding, n_steps, says):
    class Now:
        def engine(self):
            return engine

    last = list(summarise.answer(Now(), article, "", decoding, n_steps))[-1]
    assert not last.busy
    assert says in _Page(last.result).text
    assert last.explanation == ""


def test_an_unforeseen_fault_is_logged_and_told_in_a_sentence(caplog):
    class Broken:
        def engine(self):
            raise RuntimeError("the secret inside")

    last = list(summarise.answer(Broken(), "Words.", "", (), 8))[-1]
    assert "Something went wrong on this machine." in last.result
    assert "secret" not in last.result
    assert "the secret inside" in caplog.text


def test_stopping_the_page_stops_the_computation(engine):
    class Now:
        def engine(self):
            return engine

    article = ARTICLES["plain"] * 20
    views = summarise.answer(Now(), article, "", (), 128)
    for view in views:
        if "step" in view.explanation:
            break
    views.close()
    # The lock is free again long before 128 steps are done, and nothing half done is remembered.
    assert engine._one_at_a_time.acquire(timeout=10)
    engine._one_at_a_time.release()
    assert not any(key[0] == "explanation" and key[1] == article for key in engine._results)


def test_references_that_rouge_cannot_count():
    with pytest.raises(UserError, match="letters a–z"):
        summarise.scores("A lantern.", "工程师们将吊走灯笼。")
    with pytest.raises(UserError, match="reference has 20,001 characters"):
        summarise.scores("A lantern.", "x" * 20_001)
    assert summarise.scores("A lantern.", "a lantern")["rouge2"]["fmeasure"] == 1.0


def test_surrogates_without_a_partner_become_the_replacement_character():
    assert limits.text("a\ud800b\udfffc", "article", 10) == "a\ufffdb\ufffdc"


def test_there_are_three_examples_and_one_of_how_it_goes_wrong():
    shown = summarise.examples()
    assert len(shown) == 4 and [example["title"] for example in shown if "decoding" in example] == [shown[3]["title"]]
    assert limits.decoding(*shown[3]["decoding"]).keys() == {"num_beams", "max_new_tokens", "length_penalty"}
    for example in shown:
        assert set(example) >= {"title", "article", "reference"}
        assert len(example["title"]) <= 40
        assert len(example["reference"]) < len(example["article"]) / 4
