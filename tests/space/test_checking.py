"""What a visitor asks about a summary that is there."""

import math
import re

import pytest

from space import answering, checking
from space.answering import Shown
from space.engine import Engine
from space.views import article as article_view
from space.views import methods as methods_view
from space.views.changed import difference
from space.views.copied import copied_map
from tests.space.pages import _Page
from tests.tiny import tiny_t5
from trainer.attribution.deletion import changes

ARTICLE = "The <b>lantern</b> was lifted off. Salt water had crept behind it, said Dr. Tennant. Nobody was hurt."


@pytest.fixture(scope="module")
def engine() -> Engine:
    model, tokenizer = tiny_t5(seed=5)
    return Engine(model, tokenizer, name="ada/t5")


@pytest.fixture(scope="module")
def shown(engine) -> Shown:
    settings = {"max_new_tokens": 6, "num_beams": 1}
    written = engine.summarize(ARTICLE, settings)
    return Shown(ARTICLE, written, engine, copied_map(written.text, ARTICLE), settings, "Salt <i>water</i> crept in.")


def last(steps, part: str) -> str:
    """The last value of a part."""
    return [parts[part] for parts in steps if part in parts][-1]


def test_every_word_of_the_summary_has_its_probability(engine, shown):
    html = last(checking.certainty(shown), "certainty")
    found = engine.word_probabilities(ARTICLE, shown.answer.text)
    rows = re.findall(r"<tr[^>]*><th scope=\"row\".*?</tr>", html)
    assert [_Page(row).text.startswith(word.text) for row, word in zip(rows, found.words, strict=True)]
    assert html.count('<mark class="unsure">') == sum(math.exp(word.log_prob) < 0.5 for word in found.words) > 0
    assert f"{found.words[0].entropy:.2f}" in rows[0]
    assert list(checking.certainty(None)) == []


def test_sentences_are_struck_out_and_the_model_is_asked_again(engine, shown):
    *_, end = checking.strike(shown, [0, 2], [])
    found = engine.without(ARTICLE, shown.answer.text, shown.settings, sentences=[0, 2])
    page = _Page(end["again"])
    assert found.deletion.article == "Salt water had crept behind it, said Dr. Tennant."
    assert "Without 8 words" in page.text and f"the model says: {found.answer.text}" in str(page.tags)
    assert re.search(r"Without them the summary above is [\d.⁰¹²³⁴⁵⁶⁷⁸⁹]+ times (more|less) probable; ", page.text)
    assert {tag for tag, _ in page.tags} <= {"section", "h2", "p", "b", "del", "ins"}
    *_, end = checking.strike(shown, [], [])
    assert "Tick a sentence of the article first" in end["again"] and end["busy"] is False
    *_, end = checking.strike(shown, [99], [])
    assert "sentences holds 99" in _Page(end["again"]).text


def test_each_sentence_has_a_box_and_what_does_little_has_no_tint(engine):
    found = engine.explain(ARTICLE, "The lantern", 4)
    coloured = [(7, 14)]
    page = _Page(article_view.article(ARTICLE, len(ARTICLE), None, found.spans, coloured, strikes=True))
    assert page.text == ARTICLE
    boxes = [attributes for tag, attributes in page.tags if tag == "input"]
    assert [box["data-sentence"] for box in boxes] == ["0", "1", "2"]
    assert boxes[1]["aria-label"] == "Strike sentence 2 out"
    paint = [float(attributes["style"].removeprefix("--a:")) for tag, attributes in page.tags if tag == "span"]
    assert sum(paint) > 0 and sum(one > 0 for one in paint) == 1 and len(paint) > 10


def test_a_difference_holds_both_texts():
    page = _Page(difference(changes("Two <i>boats</i> sank off Dover.", "Two ships sank.")))
    assert page.text == "Two <i>boats</i> sank off Dover. ships sank." and [tag for tag, _ in page.tags] == [
        "p",
        "del",
        "ins",
    ]
    assert "the same again" in difference(changes("Two boats.", "Two boats."))


def test_typos_have_a_summary_scores_and_a_map(engine, shown):
    html = last(checking.noise(shown, 20), "noisy")
    page = _Page(html)
    assert "against the summary above" not in page.text and "the summary above" in page.text
    assert page.text.count("the reference") == 1
    assert len(re.findall(r"<td>[\d.–]+</td>", html)) == 6  # ROUGE-1, 2 and L against both
    read = page.text.rpartition("copied from")[2]
    assert read != ARTICLE and 0.7 < len(read) / len(ARTICLE) < 1.3 and "<b>" not in html
    assert last(checking.noise(shown, 20), "noisy") == html  # the same share, the same typos
    assert last(checking.noise(shown, 0), "noisy") == ""
    assert "typos must be a whole number from 0 to 30, not 31." in last(checking.noise(shown, 31), "noisy")


def test_methods_side_by_side_tint_by_the_first(engine, shown):
    steps = list(checking.methods(shown, ["saliency", "input_x_gradient"], "mean", "reference", ""))
    page = _Page(last(steps, "methods"))
    assert f"“{shown.reference}”" in page.text
    for name in ("Saliency", "Input × gradient"):
        assert page.text.count(name) == 3  # a block of its own, its button, and their agreement
    assert page.text.count("p = ") == 4 and page.text.count("times ") >= 4 and "rank correlation" in page.text
    tinted = last(steps, "shown")
    by_saliency = engine.sources(ARTICLE, shown.reference, method="saliency")
    assert tinted.spans == by_saliency.spans and set(tinted.coloured) <= {
        word.span() for word in re.finditer(r"\S+", ARTICLE)
    }
    assert not steps[-1]["busy"]
    # The other one can tint it too.
    other = checking.tint(tinted, "input_x_gradient")
    found = engine.sources(ARTICLE, shown.reference, method="input_x_gradient", baseline="mean")
    assert other["shown"].spans == found.spans and 'data-by="input_x_gradient"' in other["article_view"]
    assert checking.tint(tinted, "guess") == checking.tint(None, "saliency") == {}


def test_one_layer_or_head_of_the_attention(engine, shown):
    layers, heads = checking.attention_choices(shown, ["saliency", "attention"])
    config = engine.pair(ARTICLE, "A mill.").passes.model.config
    assert [number for _, number in layers] == list(range(config.num_decoder_layers + 1))
    assert [number for _, number in heads] == list(range(config.num_heads + 1))
    assert layers[0][0] == "All layers (mean)" and heads[-1][0] == f"Head {config.num_heads}"
    assert checking.attention_choices(shown, ["saliency"]) is checking.attention_choices(None, ["attention"]) is None
    steps = list(checking.methods(shown, ["attention"], "own", "summary", "", False, 2, 0))
    assert "Cross-attention, layer 2 of 2, all heads (mean)" in _Page(last(steps, "methods")).text
    assert last(steps, "shown").spans == engine.sources(ARTICLE, shown.answer.text, method="attention", layer=1).spans
    assert "of the attention" in last(steps, "article_view") and "nats" not in _Page(last(steps, "article_view")).text
    *_, end = checking.methods(shown, ["attention"], "own", "summary", "", False, 0, 99)
    assert f"head must be a whole number from 1 to {config.num_heads}, not 99." in _Page(end["methods"]).text


def test_shuffled_weights_say_what_the_scores_depend_on(engine, shown, monkeypatch):
    steps = list(checking.methods(shown, ["saliency"], "own", "summary", "", True))
    page = _Page(last(steps, "methods"))
    found = engine.sanity(ARTICLE, shown.answer.text, "saliency")
    scores = engine.sources(ARTICLE, shown.answer.text, method="saliency").attribution.scores
    assert methods_view.shuffled(found, len(set(scores))) in page.text
    assert "shuffled" not in last(checking.methods(shown, ["saliency"], "own", "summary", "", False), "methods")
    monkeypatch.setattr("space.engine.MEMORY", 1000)
    *_, end = checking.methods(shown, ["saliency"], "own", "summary", "", True)
    assert "needs a second copy of the model" in _Page(end["methods"]).text and "at most 1.0 kB" in end["methods"]


@pytest.mark.parametrize(
    ("alike", "scores", "says"),
    [
        (0.04, 400, "With all weights shuffled the scores hardly look alike (+0.04): they depend on what the model"),
        (-0.4, 400, "hardly look alike (−0.40)"),
        (0.45, 9, "look no more alike than 9 scores do by chance (+0.45): they depend on what the model has learned."),
        (0.45, 400, "still look a little alike (+0.45): they depend on the text as well as on what"),
        (0.81, 400, "Even with all weights shuffled the scores look alike (+0.81): this method shows the text rather"),
        (math.nan, 400, "With all weights shuffled all words have the same score: there is nothing to compare."),
    ],
)
def test_what_shuffled_weights_say_follows_from_the_numbers(alike, scores, says):
    told = methods_view.shuffled({"decoder": 0.3, "encoder": 0.2, "embeddings": alike}, scores)
    assert says in told
    assert "after the decoder’s weights were shuffled +0.30, then the encoder’s +0.20, then the embeddings’" in told


@pytest.mark.parametrize(
    ("names", "which", "typed", "says"),
    [
        ([], "summary", "", "Choose a method first"),
        (["guess"], "summary", "", "There is no attribution method"),
        (["saliency"], "other", "  ", "The text to explain is empty."),
    ],
)
def test_what_can_t_be_explained_is_said(shown, names, which, typed, says):
    steps = list(checking.methods(shown, names, "own", which, typed))
    assert says in _Page(steps[-1]["methods"]).text and steps[-1]["busy"] is False


def test_a_method_whose_scores_should_add_up_says_whether_they_do(engine, shown):
    html = last(checking.methods(shown, ["gradient_shap"], "own", "other", "A mill burnt."), "methods")
    found = engine.sources(ARTICLE, "A mill burnt.", method="gradient_shap")
    assert (f"to {found.completeness_error:.1%}" if found.converged else "not converged") in _Page(html).text


def test_where_two_texts_part(engine, shown):
    steps = list(checking.favoured(shown, "other", shown.answer.text.split()[0] + " mill burnt."))
    page = _Page(last(steps, "methods"))
    assert "the summary goes on with" in page.text and "nats" in page.text
    assert 0 < len(last(steps, "shown").coloured) <= 10
    *_, end = checking.favoured(shown, "summary", "")
    assert "Choose the reference or another text first" in _Page(end["methods"]).text
    *_, end = checking.favoured(shown, "other", shown.answer.text)
    assert "the same to this model" in _Page(end["methods"]).text


def test_a_new_summary_clears_what_was_asked_of_the_old_one(engine):
    class Now:
        def engine(self):
            return engine

    steps = list(answering.answer(Now(), ARTICLE, "", (1, 6, 1.0), 4, anyway=True))
    assert all(last(steps, part) == "" for part in answering.CHECKS) and last(steps, "noise") == 0
