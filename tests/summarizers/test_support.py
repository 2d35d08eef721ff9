"""Of several summaries the best supported: the choice by hand, and through the model, the card's settings and back."""

import json

import pytest

from tests.tiny import SMOKE, tiny_t5
from trainer.errors import UserError
from trainer.models.task import Task, remember_task, task_of
from trainer.settings.groups import GenerationSettings
from trainer.summarizers.base import Summary
from trainer.summarizers.seq2seq import Seq2SeqSummarizer
from trainer.summarizers.support import best_supported

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
    ],
)
def test_the_choice(texts, chosen):
    candidates = [summary(text) for text in texts]
    assert best_supported(candidates, SOURCE) is candidates[chosen]


def test_what_the_limit_cut_off_comes_last():
    candidates = [summary("Two boats sank in the harbour", finished=False), summary("Tom Ash saw 45 boats.")]
    assert best_supported(candidates, SOURCE) is candidates[1]


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
    assert chooser.decoding()["candidates"] == 4 and chooser.decoding()["chosen_by"] == "support"
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
