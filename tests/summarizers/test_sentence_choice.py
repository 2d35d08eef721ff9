"""Asking the model about fewer sentences gives the summary that asking about all of them gives."""

import json

import pytest

from space.answering import examples
from space.serving import STARTER
from tests.tiny import SMOKE, tiny_t5
from trainer.data.sentences import split_sentences
from trainer.models import packed_scoring
from trainer.summarizers.choice import best_supported
from trainer.summarizers.seq2seq import Seq2SeqSummarizer


@pytest.fixture(scope="module")
def articles():
    """Whole articles, and every other one without its lead."""
    rows = [json.loads(line) for name in ("train", "test") for line in (SMOKE / f"{name}.jsonl").open("rb")]
    whole = [row["document"] for row in rows]
    return [text if number % 2 else " ".join(split_sentences(text)[1:]) for number, text in enumerate(whole)][:16]


@pytest.fixture
def asked(monkeypatch):
    """Numbers of texts that the model was asked about, one for each time that articles were read."""
    counts = []
    read, log_probs = packed_scoring.ReadArticles.__init__, packed_scoring.ReadArticles.log_probs

    def counting_read(self, *arguments):
        counts.append(0)
        read(self, *arguments)

    def counting(self, texts):
        counts[-1] += sum(map(len, texts))
        return log_probs(self, texts)

    monkeypatch.setattr(packed_scoring.ReadArticles, "__init__", counting_read)
    monkeypatch.setattr(packed_scoring.ReadArticles, "log_probs", counting)
    return counts


def test_the_starter_chooses_the_same_sentences_with_a_third_of_the_questions(articles, asked):
    starter = Seq2SeqSummarizer.from_pretrained(STARTER)
    candidates = starter.candidates(articles)
    all_of_them = sum(asked)
    expected = [best_supported(*pair) for pair in zip(candidates, articles, strict=True)]
    asked.clear()
    assert [one.text for one in starter.summarize(articles, scored=False)] == [one.text for one in expected]
    assert 0 < sum(asked) < all_of_them / 3
    for found, one in zip(starter.summarize(articles), expected, strict=True):
        assert found.score == pytest.approx(one.score, rel=1e-5)
        assert (found.text, found.tokens_read, found.tokens_total, found.tokens_written, found.finished) == (
            (one.text, one.tokens_read, one.tokens_total, one.tokens_written, one.finished)
        )


@pytest.mark.parametrize("own", [True, False], ids=["end to end", "padded"])
def test_any_t5_chooses_the_same(articles, monkeypatch, own):
    if not own:
        monkeypatch.setattr(packed_scoring, "supports", lambda model: False)
    model, tokenizer = tiny_t5(seed=1)
    for parameter in model.parameters():
        parameter.data *= 3  # or all sentences would be nearly as probable
    summarizer = Seq2SeqSummarizer(model, tokenizer, name="tiny", generation={"choose_from": "sentences"})
    candidates = summarizer.candidates(articles)
    scores = [one.score for several in candidates for one in several]
    assert max(scores) - min(scores) > 3
    expected = [best_supported(*pair) for pair in zip(candidates, articles, strict=True)]
    for scored in (True, False):
        assert [one.text for one in summarizer.summarize(articles, scored)] == [one.text for one in expected]


def test_where_a_lead_decides_the_model_is_not_asked(asked):
    article = examples()[1]["article"]
    starter = Seq2SeqSummarizer.from_pretrained(STARTER)
    (known,), (scored,) = starter.summarize([article], scored=False), starter.summarize([article])
    assert split_sentences(article)[0] == known.text == scored.text
    assert known.score is None and scored.score < 0 and asked == [1]
