"""A real (tiny) T5 behind the one protocol, beside transformers used directly."""

import copy
import logging
from dataclasses import asdict
from itertools import pairwise

import pytest
import torch
from transformers import ByT5Tokenizer

from tests.tiny import tiny_t5
from trainer.data.sentences import split_sentences
from trainer.errors import UserError
from trainer.models.task import Task, remember_task
from trainer.settings.groups import GenerationSettings
from trainer.summarizers.seq2seq import Seq2SeqSummarizer

TASK = Task(prefix="summarize: ", max_source_length=48)

ARTICLES = [
    "The harbour was closed on Monday. Nobody was hurt.",
    "Rain.",
    "",
    "A storm tore the roof off the fish market and two boats sank before the crews could reach them. " * 12,
    "The mayor asked the government for help, and said that the repairs would take until spring.",
    "今日は雨です 😀 {x} <b>bold</b>",
    "The harbour was closed on Monday. Nobody was hurt.",
]


@pytest.fixture
def own(tiny):
    """(model, tokenizer) that a test may change."""
    return copy.deepcopy(tiny[0]), copy.deepcopy(tiny[1])


def by_hand(model, tokenizer, article, **generation):
    """One article through transformers with nothing of ours in between."""
    inputs = tokenizer(TASK.prefix + article, truncation=True, max_length=TASK.max_source_length, return_tensors="pt")
    with torch.inference_mode():
        output = model.generate(**inputs, return_dict_in_generate=True, output_scores=True, **generation)
    score = output.sequences_scores[0].item() if generation.get("num_beams", 1) > 1 else None
    return tokenizer.decode(output.sequences[0], skip_special_tokens=True).strip(), score


@pytest.mark.parametrize(
    "generation",
    [
        {"max_new_tokens": 12},
        {"max_new_tokens": 12, "num_beams": 3, "length_penalty": 2.0, "no_repeat_ngram_size": 2},
        {"max_new_tokens": 12, "min_new_tokens": 5, "num_beams": 2, "early_stopping": True},
    ],
)
@pytest.mark.parametrize("batch_size", [3, 16])
def test_summaries_are_those_of_plain_generate_in_the_order_asked_for(tiny, generation, batch_size):
    model, tokenizer = tiny
    summarizer = Seq2SeqSummarizer(
        model, tokenizer, name="tiny", task=TASK, generation=generation, batch_size=batch_size, scores=True
    )
    found = summarizer.summarize(ARTICLES)
    expected = [by_hand(model, tokenizer, article, **generation) for article in ARTICLES]
    assert [summary.text for summary in found] == [text for text, _ in expected]
    assert [summary.score for summary in found] == [
        score if score is None else pytest.approx(score, abs=1e-4) for _, score in expected
    ]
    assert len({summary.text for summary in found}) > 2  # else the order would prove nothing


def test_what_was_read_is_counted_honestly(tiny):
    model, tokenizer = tiny
    found = Seq2SeqSummarizer(model, tokenizer, name="tiny", task=TASK, generation={"max_new_tokens": 3}).summarize(
        ARTICLES
    )
    totals = [len(tokenizer(TASK.prefix + article)["input_ids"]) for article in ARTICLES]
    assert [summary.tokens_total for summary in found] == totals
    assert [summary.tokens_read for summary in found] == [min(total, 48) for total in totals]
    assert max(totals) > 300 and sorted(totals)[-2] < 48


def test_a_byte_model_chooses_among_the_sentences_that_it_reads(tiny):
    """A ByT5's tokenizer tells no offsets; the cut falls in the third sentence, at the é."""
    article = "The ferry sank off Dover at night. Nobody was hurt in the harbour. The café was closed on Monday."
    task = Task("summarize: ", len("summarize: ") + article.index("é") + 2)
    summarizer = Seq2SeqSummarizer(
        tiny[0], ByT5Tokenizer(), name="bytes", task=task, generation={"choose_from": "sentences"}
    )
    (found,) = summarizer.candidates([article])
    assert {summary.text for summary in found} == set(split_sentences(article)[:2])
    assert found[0].tokens_read == task.max_source_length < found[0].tokens_total


def test_a_long_source_is_cut_without_a_warning(own, caplog):
    model, tokenizer = own
    tokenizer.model_max_length = 16
    with caplog.at_level(logging.WARNING):
        logging.getLogger("transformers").addHandler(caplog.handler)
        try:
            Seq2SeqSummarizer(model, tokenizer, name="tiny", task=TASK, generation={"max_new_tokens": 2}).summarize(
                ARTICLES
            )
        finally:
            logging.getLogger("transformers").removeHandler(caplog.handler)
    assert not caplog.records


def test_a_summary_that_ends_by_itself_is_finished_and_one_at_the_limit_is_not(tiny):
    def summarize(**generation):
        summarizer = Seq2SeqSummarizer(*tiny, name="t", task=TASK, generation={"max_new_tokens": 6, **generation})
        return summarizer.summarize(["One."])[0]

    end = tiny[1].eos_token_id
    ended = summarize(suppress_tokens=[token for token in range(len(tiny[1])) if token != end])
    assert (ended.text, ended.tokens_written, ended.finished) == ("", 1, True)
    cut = summarize(suppress_tokens=[end])
    assert (cut.tokens_written, cut.finished) == (6, False)
    forced = summarize(min_new_tokens=5, forced_eos_token_id=end)
    assert (forced.tokens_written, forced.finished) == (
        6,
        False,
    )  # the library put the end there, not the model


def test_the_model_is_left_as_it_was(tiny):
    model, tokenizer = tiny
    config, training = copy.deepcopy(model.generation_config), model.training
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.train()
    try:
        Seq2SeqSummarizer(
            model, tokenizer, name="tiny", task=TASK, generation={"num_beams": 2, "max_new_tokens": 4}
        ).summarize(["x"])
        assert model.training
    finally:
        model.train(training)
    assert model.generation_config.to_dict() == config.to_dict()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_dropout_is_off_while_it_summarises_a_model_in_training():
    model, tokenizer = tiny_t5(dropout_rate=0.5)
    summarizer = Seq2SeqSummarizer(model, tokenizer, name="tiny", task=TASK, generation={"max_new_tokens": 8})
    expected = summarizer.summarize(ARTICLES)
    model.train()
    assert summarizer.summarize(ARTICLES) == expected


class TestDecodingSettings:
    @pytest.fixture
    def build(self, own):
        def build(generation=None, **values):
            model = copy.deepcopy(own[0])
            for name, value in values.items():
                setattr(model.generation_config, name, value)
            return Seq2SeqSummarizer(model, own[1], name="tiny", task=TASK, generation=generation)

        return build

    def test_nothing_said_gives_128_new_tokens_and_never_20(self, build):
        assert build().describe()["decoding"] == {
            "prefix": "summarize: ",
            "max_source_length": 48,
            "batch_size": 8,
            "max_new_tokens": 128,
            "min_new_tokens": 0,
            "num_beams": 1,
            "do_sample": False,
            "length_penalty": 1.0,
            "no_repeat_ngram_size": 0,
            "early_stopping": False,
        }
        assert build(max_length=20).decoding()["max_new_tokens"] == 128

    def test_the_models_own_settings_hold_and_ours_go_over_them(self, build):
        own = {
            "num_beams": 4,
            "max_length": 63,
            "min_length": 11,
            "length_penalty": 2.0,
            "repetition_penalty": 1.5,
        }
        found = build(**own).decoding()
        assert (found["num_beams"], found["max_new_tokens"], found["min_new_tokens"]) == (4, 62, 10)
        assert (found["length_penalty"], found["repetition_penalty"]) == (2.0, 1.5)
        found = build({"num_beams": 2, "max_new_tokens": 30}, **own).decoding()
        assert (found["num_beams"], found["max_new_tokens"], found["min_new_tokens"]) == (2, 30, 10)
        assert build({"max_length": 30}, max_new_tokens=99).decoding()["max_new_tokens"] == 29

    def test_the_trainers_settings_are_taken_as_they_are(self, build):
        settings = GenerationSettings(
            max_new_tokens=33, num_beams=3, length_penalty=0.5, no_repeat_ngram_size=2, candidates=3
        )
        found = build(settings).decoding()
        assert asdict(settings).items() <= found.items()

    def test_a_greedy_search_is_not_given_settings_of_beams(self, build):
        found = build({"num_beams": 1}, length_penalty=2.0, early_stopping=True).decoding()
        assert (found["length_penalty"], found["early_stopping"]) == (1.0, False)

    @pytest.mark.parametrize(
        ("generation", "message"),
        [
            ({"num_beam": 4}, "No decoding setting is called 'num_beam': did you mean 'num_beams'"),
            ({"zzzz": 4}, "called 'zzzz'\\."),
            ({"max_new_tokens": 0}, "max_new_tokens is 0: it must be a whole number of 1 or more"),
            ({"num_beams": 2.5}, "num_beams is 2.5"),
            ({"early_stopping": "soon", "num_beams": 2}, "do not go together.*early_stopping"),
        ],
    )
    def test_bad_settings_are_refused(self, build, generation, message):
        with pytest.raises(UserError, match=message):
            build(generation)

    def test_a_batch_of_none_is_refused(self, tiny):
        with pytest.raises(UserError, match="batch_size is 0"):
            Seq2SeqSummarizer(*tiny, name="tiny", task=TASK, batch_size=0)


def test_sampling_has_a_seed_of_its_own(tiny):
    generation = {"do_sample": True, "max_new_tokens": 12, "top_k": 0}
    build = lambda seed: Seq2SeqSummarizer(*tiny, name="t", task=TASK, generation=generation, seed=seed)  # noqa: E731
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    first = build(1).summarize(ARTICLES)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(6)
    assert build(1).summarize(ARTICLES) == first
    assert build(2).summarize(ARTICLES) != first
    assert build(2).describe()["seed"] == 2
    assert Seq2SeqSummarizer(*tiny, name="t", task=TASK).describe()["seed"] is None


@pytest.mark.parametrize("generation", [{}, {"do_sample": True}, {"num_beams": 3}, {"candidates": 2, "num_beams": 2}])
def test_a_stream_grows_to_the_summary(tiny, generation):
    summarizer = Seq2SeqSummarizer(*tiny, name="t", task=TASK, generation={"max_new_tokens": 12} | generation)
    for article in ARTICLES[:3]:
        parts = list(summarizer.stream(article))
        assert parts[-1] == summarizer.summarize([article])[0].text
        assert len(parts) > 1 or "num_beams" in generation  # beams may change their minds until the end
        assert all(later.startswith(part.rstrip("�")) for part, later in pairwise(parts))


def test_weights_that_change_between_two_calls_are_used(own):
    model, tokenizer = own
    summarizer = Seq2SeqSummarizer(model, tokenizer, name="t", task=TASK, generation={"max_new_tokens": 12})
    before = summarizer.summarize(ARTICLES)
    with torch.no_grad():
        for weight in model.decoder.parameters():
            weight.mul_(-1.5)
    after = summarizer.summarize(ARTICLES)
    assert [one.text for one in after] == [
        by_hand(model, tokenizer, article, max_new_tokens=12)[0] for article in ARTICLES
    ]
    assert after != before


def test_the_number_format_is_asked_for_and_said(own):
    model, tokenizer = own
    build = lambda **over: Seq2SeqSummarizer(  # noqa: E731
        model, tokenizer, name="t", task=TASK, generation={"max_new_tokens": 9, "num_beams": 2} | over, scores=True
    )
    assert build(number_format="int8").describe()["number_format"] == "int8"
    assert build().describe()["number_format"] == "fp32"
    exact, near = ([one.score for one in build(**over).summarize(ARTICLES)] for over in ({}, {"number_format": "int8"}))
    assert near == pytest.approx(exact, rel=0.05) and near != exact
    with pytest.raises(UserError, match="number_format is 'int3': it must be one of fp32, bf16, int8"):
        build(number_format="int3")
    with pytest.raises(UserError, match="int8, which only a T5 on the processor has, with settings"):
        build(number_format="int8", forced_eos_token_id=1)
    with pytest.raises(UserError, match="int8, which only a search has, and t chooses among"):
        build(number_format="int8", choose_from="sentences")


def test_bfloat16_is_decoded_and_named(own):
    model, tokenizer = own
    summarizer = Seq2SeqSummarizer(
        model.to(torch.bfloat16),
        tokenizer,
        name="t",
        task=TASK,
        generation={"max_new_tokens": 5, "num_beams": 2},
        scores=True,
    )
    assert summarizer.describe()["number_format"] == "bf16"
    found = summarizer.summarize(ARTICLES)
    assert len(found) == len(ARTICLES)
    assert all(isinstance(summary.score, float) for summary in found)


def test_a_saved_model_brings_its_task_and_decoding(own, tmp_path):
    model, tokenizer = own
    folder = tmp_path / "model"
    tokenizer.save_pretrained(folder)
    remember_task(model, tokenizer, "tl;dr ", 24, GenerationSettings(max_new_tokens=7, num_beams=2, length_penalty=0.7))
    model.save_pretrained(folder)
    summarizer = Seq2SeqSummarizer.from_pretrained(folder, batch_size=2)
    assert summarizer.describe() | {"decoding": None} == {
        "system": str(folder),
        "model": str(folder),
        "revision": None,
        "decoding": None,
        "number_format": "fp32",
        "seed": None,
    }
    expected = {
        "prefix": "tl;dr ",
        "max_source_length": 24,
        "max_new_tokens": 7,
        "num_beams": 2,
        "length_penalty": 0.7,
    }
    assert expected.items() <= summarizer.decoding().items()
    (summary,) = summarizer.summarize(["The harbour was closed on Monday. Nobody was hurt. " * 9])
    assert summary.tokens_read == 24 < summary.tokens_total
    named = Seq2SeqSummarizer.from_pretrained(folder, name="ours")
    assert (named.describe()["system"], named.describe()["model"]) == ("ours", str(folder))
    with pytest.raises(UserError, match="no folder here"):
        Seq2SeqSummarizer.from_pretrained("./nothing-here")
