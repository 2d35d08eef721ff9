"""CTranslate2 as an engine beside transformers' `generate`: in fp32 the same tokens, in int8 near ones."""

import sys

import pytest
import torch
from transformers import GenerationConfig

from tests.models.test_t5_decoding import SPECIAL, articles, build, of_generate
from tests.tiny import tiny_tokenizer
from trainer.errors import UserError
from trainer.models.ctranslate2_decoding import CTranslate2Decoder
from trainer.models.likelihood import log_probs_of
from trainer.models.t5_decoding import Decoding
from trainer.summarizers.seq2seq import Seq2SeqSummarizer


def of_engine(decoder, texts, **settings):
    found = decoder.decode(texts, Decoding.of(GenerationConfig(**(SPECIAL | settings))))
    return [(one.ids, one.score) for several in found for one in several]


@pytest.mark.parametrize("variant", ["relu, tied", "gated, own head"])
def test_fp32_writes_the_tokens_of_generate(variant):
    model = build(variant)
    decoder = CTranslate2Decoder(model, tiny_tokenizer(), "ctranslate2-fp32")
    texts = articles(model)
    for settings in ({}, {"no_repeat_ngram_size": 2}, {"min_new_tokens": 9}, {"max_new_tokens": 3}):
        expected = of_generate(model, texts, **settings)
        assert [ids for ids, _ in of_engine(decoder, texts, **settings)] == [ids for ids, _ in expected]
        assert len({tuple(ids) for ids, _ in expected}) > 1


@pytest.mark.parametrize("variant", ["relu, tied", "gated, own head", "mt5"])
def test_beams_have_the_scores_that_the_model_gives_them(variant):
    """Its search ends earlier than that of `generate`, so the texts may be others; a score is what it is."""
    model, tokenizer = build(variant), tiny_tokenizer()
    texts = articles(model)
    head = model.lm_head.weight.clone()
    decoder = CTranslate2Decoder(model, tokenizer, "ctranslate2-fp32")
    assert torch.equal(model.lm_head.weight, head)
    found = of_engine(decoder, texts, num_beams=3, num_return_sequences=2, length_penalty=0.6)
    assert len(found) == 2 * len(texts)
    with torch.inference_mode():
        sums = log_probs_of(
            model, texts, [[ids for ids, _ in found[2 * row : 2 * row + 2]] for row in range(len(texts))]
        )
    for (ids, score), log_prob in zip(found, [one for several in sums for one in several], strict=True):
        assert score == pytest.approx(log_prob / len(ids) ** 0.6, abs=1e-3)


def test_a_summarizer_takes_it_by_its_number_format():
    model, tokenizer = build("relu, tied"), tiny_tokenizer()

    def summarizer(**settings):
        settings = {"max_new_tokens": 9, "num_beams": 1, **settings}
        return Seq2SeqSummarizer(model, tokenizer, name="t", generation=settings)

    sources = ["The mill burnt down on Monday.", "Nobody was hurt.", "It rained."]
    exact, engine = summarizer(), summarizer(number_format="ctranslate2-fp32")
    assert engine.describe()["number_format"] == "ctranslate2-fp32"
    assert [one.text for one in engine.summarize(sources)] == [one.text for one in exact.summarize(sources)]
    assert list(engine.stream(sources[0])) == [engine.summarize(sources[:1])[0].text]
    small = summarizer(number_format="ctranslate2-int8")
    assert all(one.text for one in small.summarize(sources))
    with pytest.raises(UserError, match="ctranslate2-int8, with which a T5 on the processor can be decoded greedily"):
        summarizer(number_format="ctranslate2-int8", do_sample=True)


def test_without_the_package_the_message_says_what_to_type(monkeypatch):
    monkeypatch.setitem(sys.modules, "ctranslate2", None)  # what the import system takes for "not installed"
    with pytest.raises(UserError, match=r"not installed: type `pip install ctranslate2==4\.8\.5`"):
        CTranslate2Decoder(build("relu, tied"), tiny_tokenizer(), "ctranslate2-int8")
