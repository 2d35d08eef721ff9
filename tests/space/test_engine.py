"""Many who ask one model at once get what each would get alone."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from space.engine import Engine
from tests.tiny import SMOKE, tiny_t5

ARTICLES = [json.loads(line)["document"] for line in (SMOKE / "train.jsonl").read_text("utf-8").splitlines()[:5]]
# Much shorter and longer than the others; one whose end is not read; one without a whole sentence; twice the same.
ARTICLES += ["The mill burnt down.", " ".join(ARTICLES[:4]), "no capitals here and no stop", ARTICLES[0]]
SETTINGS = [{}, {"num_beams": 2, "max_new_tokens": 12}]


def engine_of(together: int, choose_from: str) -> Engine:
    model, tokenizer = tiny_t5(seed=3)
    task = {"prefix": "summarize: ", "max_source_length": 200, "choose_from": choose_from}
    model.config.task_specific_params = {"summarization": task}
    model.generation_config.max_new_tokens = 60
    return Engine(model, tokenizer, name="tiny", together=together)


@pytest.mark.parametrize("choose_from", ["sentences", "beams"])
def test_the_same_summaries_as_alone(choose_from, monkeypatch):
    alone = engine_of(1, choose_from)
    expected = [[alone.summarize(article, settings) for article in ARTICLES] for settings in SETTINGS]

    shared = engine_of(4, choose_from)
    sizes = []
    summarizer_of = shared._summarizer

    def noted(decoding):
        summarizer = summarizer_of(decoding)
        candidates = summarizer.candidates

        def counted(sources):
            sizes.append(len(sources))
            return candidates(sources)

        summarizer.candidates = counted
        return summarizer

    monkeypatch.setattr(shared, "_summarizer", noted)
    jobs = [(article, settings) for settings in SETTINGS for article in ARTICLES]
    with ThreadPoolExecutor(len(jobs)) as pool:
        answers = list(pool.map(lambda job: shared.summarize(*job), jobs))
    assert max(sizes) == 4 and sum(sizes) >= len(set(ARTICLES))
    for answer, own in zip(answers, [answer for row in expected for answer in row], strict=True):
        assert (answer.text, answer.remarks, answer.finished) == (own.text, own.remarks, own.finished)
        assert (answer.tokens_read, answer.tokens_total) == (own.tokens_read, own.tokens_total)
    assert any(answer.tokens_read < answer.tokens_total for answer in answers)


def test_a_summary_comes_while_an_explanation_is_computed():
    engine = engine_of(4, "sentences")
    order = []
    with ThreadPoolExecutor(1) as pool:
        summaries = []

        def progress(done: int, total: int) -> None:
            order.append(done)
            if not summaries:
                summaries.append(pool.submit(engine.summarize, ARTICLES[0], {}))
            elif summaries[0].done() and "summary" not in order:
                order.append("summary")

        engine.explain(ARTICLES[1], "The mill burnt down.", 64, progress)
        assert summaries[0].result(60).text
    assert "summary" in order and order[-1] == 64
