"""Of several summaries the best supported: the choice by hand, and through the model, the card's settings and back."""

import json

import pytest

from tests.tiny import SMOKE, tiny_t5
from trainer.data.sentences import split_sentences
from trainer.errors import UserError
from trainer.models.pretrained import Pretrained
from trainer.models.task import Task, remember_task, task_of
from trainer.settings.groups import GenerationSettings
from trainer.summarizers.base import Summary
from trainer.summarizers.choice import Weighing, best_supported, centralities
from trainer.summarizers.ensemble import ensemble
from trainer.summarizers.extracts import extracts
from trainer.summarizers.leads import LeadTest
from trainer.summarizers.seq2seq import Seq2SeqSummarizer

SOURCE = "Anna Vell said two boats sank in the harbour of Ellery on Monday. Nobody was hurt."

ROWS = [json.loads(line) for line in (SMOKE / "validation.jsonl").read_text("utf-8").splitlines()]

SOURCES = [row["document"] for row in ROWS][:6]


def summary(text: str, finished: bool = True) -> Summary:
    return Summary(text, None, 1, 1, 1, finished)


@pytest.mark.parametrize(
    ("texts", "chosen"),
    [
        (
            ["Bo Orm said nine boats sank.", "Then Anna Vell saw nine boats.", "Two boats sank."],
            2,
        ),  # 2, 1, 0 unsupported
        (["Three boats sank.", "It was Tom Ash."], 0),  # one each: the one with more of the article's bigrams
        (["Boats were lost.", "Two boats sank in the harbour."], 1),
        (["Nobody was hurt.", "nobody was hurt"], 0),  # equal in all: the more probable
        (["", "Nobody."], 0),
        (["nothing like it"], 0),
        # Joined from two places: behind one that is of one place, and even behind one that invents a name.
        (["Two boats sank in the harbour. Nobody was hurt.", "Two boats sank in Ellery, said Tom Ash."], 1),
    ],
)
def test_the_choice(texts, chosen):
    candidates = [summary(text) for text in texts]
    assert best_supported(candidates, SOURCE) is candidates[chosen]


def test_what_the_limit_cut_off_comes_last():
    candidates = [summary("Two boats sank in the harbour", finished=False), summary("Tom Ash saw 45 boats.")]
    assert best_supported(candidates, SOURCE) is candidates[1]


NEVER, ALWAYS = (LeadTest({}, intercept, 0.5) for intercept in (-1.0, 1.0))


@pytest.fixture
def any_features(monkeypatch):
    """Tests for a lead that ask for no feature."""
    monkeypatch.setattr("trainer.summarizers.leads.lead_features", lambda sentences, central: {})


@pytest.mark.parametrize(
    ("ahead", "chosen"),  # by how much of the difference in centrality the less central one is the more probable
    [(0.9, 0), (1.1, 1)],
)
def test_probability_and_centrality_are_weighed(any_features, ahead, chosen):
    source = "Two old boats sank near Ellery. Rain fell all day and night. The old boats sank near Ellery in the rain."
    texts = ("The old boats sank near Ellery in the rain.", "Rain fell all day and night.")
    central = centralities(split_sentences(source))
    assert central[2] > central[0] > 0 > central[1]
    gap = 3.0 * (central[2] - central[1])
    candidates = [Summary(text, score, 1, 1, 1) for text, score in zip(texts, (-9.0, gap * ahead - 9.0), strict=True)]
    assert best_supported(candidates, source, Weighing(NEVER, 3.0, 0.0)) is candidates[chosen]


@pytest.mark.parametrize(("test", "chosen"), [(ALWAYS, 0), (NEVER, 1)])
def test_a_first_sentence_that_looks_like_a_lead_is_taken(any_features, test, chosen):
    source = "Mrs Vell resigns today. The old boats sank near Ellery. The rain sank the old boats near Ellery."
    texts = ("Mrs Vell resigns today.", "The old boats sank near Ellery.")
    candidates = [Summary(text, score, 1, 1, 1) for text, score in zip(texts, (-2.0, -1.0), strict=True)]
    assert best_supported(candidates, source, Weighing(test, 1.0, 0.0)) is candidates[chosen]
    assert best_supported(candidates[::-1], source, Weighing(test, 1.0, 0.0)) is candidates[chosen]


@pytest.mark.parametrize(("bonus", "chosen"), [(0.4, 1), (0.6, 0)])
def test_a_first_sentence_that_is_no_lead_is_given_a_bonus(any_features, bonus, chosen):
    source = "Mrs Vell resigns today. The old boats sank near Ellery. The rain sank the old boats near Ellery."
    texts = ("Mrs Vell resigns today.", "The old boats sank near Ellery.")
    candidates = [Summary(text, score, 1, 1, 1) for text, score in zip(texts, (-1.5, -1.0), strict=True)]
    assert best_supported(candidates, source, Weighing(NEVER, 0.0, bonus)) is candidates[chosen]


def told_sentences() -> tuple:
    model, tokenizer = tiny_t5(seed=3)
    remember_task(model, tokenizer, "summarize: ", 96, GenerationSettings(max_new_tokens=60, choose_from="sentences"))
    return model, tokenizer


def test_a_model_told_to_choose_among_sentences_does_so():
    model, tokenizer = told_sentences()
    assert task_of(model.config) == Task("summarize: ", 96, choose_from="sentences")
    chooser = Seq2SeqSummarizer(model, tokenizer, name="tiny")
    for source, found in zip(SOURCES, chooser.candidates(SOURCES), strict=True):
        ids = tokenizer("summarize: " + source, truncation=True, max_length=96, return_tensors="pt")["input_ids"]
        assert all(summary.text in extracts(source) and summary.tokens_read == ids.shape[1] for summary in found)
        assert [summary.score for summary in found] == sorted((summary.score for summary in found), reverse=True)
        for summary in found:  # the model's own loss is the mean over the text's tokens
            labels = tokenizer(summary.text, return_tensors="pt")["input_ids"]
            assert summary.score == pytest.approx(-model(input_ids=ids, labels=labels).loss.item(), abs=1e-4)
    chosen = chooser.summarize(SOURCES)
    assert chosen == [best_supported(f, s) for f, s in zip(chooser.candidates(SOURCES), SOURCES, strict=True)]
    decoding = chooser.decoding()
    assert decoding["choose_from"] == "sentences" and decoding["max_new_tokens"] == 60 and "num_beams" not in decoding


def test_an_ensemble_ranks_sentences_by_the_mean_probability():
    model, tokenizer = told_sentences()
    other, _ = tiny_t5(seed=5)
    other.config.task_specific_params = model.config.task_specific_params
    found = {}
    for name, members in (("both", [model, other]), ("one", [model, model])):
        made = ensemble([Pretrained(member, tokenizer, None) for member in members])
        (found[name],) = Seq2SeqSummarizer.of(made, name).candidates(SOURCES[:1])
    alone = [Seq2SeqSummarizer(member, tokenizer, name="a").candidates(SOURCES[:1])[0] for member in (model, other)]
    scores, others = ({summary.text: summary.score for summary in summaries} for summaries in alone)
    for summary in found["one"]:
        assert summary.score == pytest.approx(scores[summary.text], abs=1e-4)
    assert {summary.text for summary in found["both"]} == set(scores)
    for summary in found["both"]:  # token by token a mean of probabilities: its log is above the mean of the logs
        assert summary.score > (scores[summary.text] + others[summary.text]) / 2 - 1e-6


def test_of_a_long_article_only_what_is_read_is_chosen_from():
    model, tokenizer = told_sentences()
    source = " ".join(SOURCES)
    (found,) = Seq2SeqSummarizer(model, tokenizer, name="tiny").candidates([source])
    read = tokenizer("summarize: " + source, truncation=True, max_length=96, return_tensors="pt")
    text = tokenizer.decode(read["input_ids"][0], skip_special_tokens=True)
    assert found[0].tokens_read == 96 < found[0].tokens_total
    assert 0 < len(found) < len(extracts(source)) and all(summary.text in text for summary in found)


@pytest.mark.parametrize(
    ("generation", "sentences"),
    [({}, True), ({"max_new_tokens": 30}, True), ({"num_beams": 2}, False), ({"choose_from": "beams"}, False)],
)
def test_who_asks_for_a_search_gets_one(generation, sentences):
    summarizer = Seq2SeqSummarizer(*told_sentences(), name="tiny", generation=generation)
    assert summarizer.extracts is sentences
    (summary,) = summarizer.summarize(SOURCES[:1])
    assert (summary.text in extracts(SOURCES[0])) is sentences


@pytest.mark.parametrize("text", ["x", "one two three", "", "…", "no stop here and no capital"])
def test_any_text_has_something_to_choose_from(text):
    (summary,) = Seq2SeqSummarizer(*told_sentences(), name="tiny").summarize([text])
    assert summary.text == text and summary.finished


def test_only_t5_chooses_among_sentences():
    with pytest.raises(UserError, match="choose_from is 'words'"):
        Seq2SeqSummarizer(*told(1), name="tiny", generation={"choose_from": "words"})
    model, tokenizer = told(1)
    model.config.model_type = "bart"
    with pytest.raises(UserError, match="only the T5 family"):
        Seq2SeqSummarizer(model, tokenizer, name="tiny", task=Task(choose_from="sentences"))


def told(candidates: int, num_beams: int = 4) -> tuple:
    model, tokenizer = tiny_t5()
    generation = GenerationSettings(max_new_tokens=8, num_beams=num_beams, candidates=candidates)
    remember_task(model, tokenizer, "summarize: ", 48, generation)
    return model, tokenizer


def test_a_model_told_to_choose_does_so():
    model, tokenizer = told(4)
    assert task_of(model.config) == Task("summarize: ", 48, candidates=4)
    chooser = Seq2SeqSummarizer(model, tokenizer, name="tiny")
    candidates = chooser.candidates(SOURCES)
    assert {len(found) for found in candidates} == {4}
    chosen = chooser.summarize(SOURCES)
    assert chosen == [best_supported(found, source) for found, source in zip(candidates, SOURCES, strict=True)]
    assert chooser.decoding()["candidates"] == 4 and chooser.decoding()["chosen_by"] == "choice-v4"
    plain = Seq2SeqSummarizer(model, tokenizer, name="tiny", generation={"candidates": 1})
    assert plain.summarize(SOURCES) == [found[0] for found in candidates]
    assert "candidates" not in plain.decoding() and "chosen_by" not in plain.decoding()


@pytest.mark.parametrize(
    ("generation", "number"),
    [
        ({}, 4),
        ({"num_beams": 2}, 2),  # fewer beams were asked for: fewer candidates
        ({"num_beams": 1}, 1),
        ({"num_beams": 6}, 4),
        ({"candidates": 3}, 3),
        ({"do_sample": True, "num_beams": 1}, 1),
    ],
)
def test_how_many_are_chosen_from(generation, number):
    summarizer = Seq2SeqSummarizer(*told(4), name="tiny", generation=generation)
    assert summarizer.generation.num_return_sequences == number
    assert summarizer.chooses == (number > 1)


def test_for_bayes_risk_all_candidates_are_given_and_none_is_chosen():
    summarizer = Seq2SeqSummarizer(*told(4), name="tiny", candidates=2)
    assert not summarizer.chooses and len(summarizer.candidates(SOURCES[:1])[0]) == 2
    assert "chosen_by" not in summarizer.decoding()


def test_more_candidates_than_beams_are_refused():
    with pytest.raises(UserError, match=r"--candidates is 5: .* --num_beams is 4"):
        GenerationSettings(num_beams=4, candidates=5)
    with pytest.raises(UserError, match="candidates is 0"):
        Seq2SeqSummarizer(*told(1), name="tiny", generation={"candidates": 0})
