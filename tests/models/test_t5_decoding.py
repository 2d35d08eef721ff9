"""Our own decoding of a T5 beside transformers' `generate`: the same tokens and scores, in every mode and variant."""

import copy
import json
import time
from functools import cache

import pytest
import torch
from transformers import GenerationConfig, MT5Config, MT5ForConditionalGeneration

from tests.tiny import SMOKE, tiny_config, tiny_t5, tiny_tokenizer
from trainer.errors import UserError
from trainer.models import matrices, t5_network
from trainer.models.load import load_model
from trainer.models.t5_decoding import Decoding, decode, highest, highest_several, stream
from trainer.models.t5_network import T5Network
from trainer.settings.base import ROOT

SPECIAL = {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0, "max_new_tokens": 16}
LENGTHS = (30, 7, 19, 1)
OFTEN = 4


def sharpen(model, seed=0):
    """Random weights so large that what follows depends on what was read and written, and the end comes up."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" not in name and "relative" not in name and "shared" not in name:
                weight.mul_(3.0)
            if "relative" in name:
                weight.copy_(torch.randn(weight.shape, generator=generator))
        # The end becomes a token that these weights do write.
        for weights in {model.shared.weight, model.lm_head.weight}:
            weights[[1, OFTEN]] = weights[[OFTEN, 1]]
    return model.eval()


@cache
def build(variant):
    if variant == "mt5":
        config = MT5Config(**{**tiny_config(tiny_tokenizer()).to_dict(), "feed_forward_proj": "gated-gelu"})
        with torch.random.fork_rng():
            torch.manual_seed(5)
            return sharpen(MT5ForConditionalGeneration(config))
    over = {
        "relu, tied": {},
        "gated, own head": {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
        "relu, own head": {"tie_word_embeddings": False},
        "three layers of three heads": {"num_layers": 3, "num_heads": 3},
    }[variant]
    return sharpen(tiny_t5(seed=3, **over)[0])


VARIANTS = ["relu, tied", "gated, own head", "relu, own head", "three layers of three heads", "mt5"]


@pytest.fixture(scope="module")
def model():
    return build("relu, tied")


def articles(model, lengths=LENGTHS):
    generator = torch.Generator().manual_seed(0)
    size = model.config.vocab_size
    return [[*torch.randint(2, size, (length,), generator=generator).tolist(), 1] for length in lengths]


def of_generate(model, texts, **settings):
    """(ids without padding, score) of each sequence, by transformers alone."""
    width = max(map(len, texts))
    ids = torch.tensor([text + [0] * (width - len(text)) for text in texts])
    mask = torch.tensor([[1] * len(text) + [0] * (width - len(text)) for text in texts])
    config = GenerationConfig(**(SPECIAL | settings), return_dict_in_generate=True, output_scores=True)
    with torch.inference_mode():
        output = model.generate(input_ids=ids, attention_mask=mask, generation_config=config)
    scores = getattr(output, "sequences_scores", None)
    scores = [None] * len(output.sequences) if scores is None else scores.tolist()
    return list(zip([ended(row[1:].tolist(), config) for row in output.sequences], scores, strict=True))


def ended(ids, config):
    ends = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
    return ids[: next((place + 1 for place, token in enumerate(ids) if token in ends), len(ids))]


def of_ours(model, texts, seed=0, **settings):
    decoding = Decoding.of(GenerationConfig(**(SPECIAL | settings)))
    generator = torch.Generator().manual_seed(seed)
    found = decode(T5Network(model), texts, decoding, generator)
    return [(one.ids, one.score) for several in found for one in several]


def assert_same(model, texts, **settings):
    torch.manual_seed(0)
    expected, found = of_generate(model, texts, **settings), of_ours(model, texts, **settings)
    assert [ids for ids, _ in found] == [ids for ids, _ in expected]
    for (_, ours), (_, theirs) in zip(found, expected, strict=True):
        assert ours is theirs is None or ours == pytest.approx(theirs, rel=1e-6, abs=1e-4)
    return found


MODES = {
    "greedy": {},
    "beams": {"num_beams": 4},
    "beams, at the first end": {"num_beams": 4, "early_stopping": True, "length_penalty": 0.3},
    "beams, never early": {"num_beams": 3, "early_stopping": "never", "length_penalty": 2.0},
    "beams, short ones": {"num_beams": 3, "length_penalty": -1.0},
    "all beams": {"num_beams": 5, "num_return_sequences": 5},
    "no repeats": {"no_repeat_ngram_size": 2},
    "beams, no repeats": {"num_beams": 4, "no_repeat_ngram_size": 2, "repetition_penalty": 1.3},
    "no token twice": {"no_repeat_ngram_size": 1},
    "least length": {"min_new_tokens": 9},
    "beams, least length": {"num_beams": 3, "min_new_tokens": 9, "no_repeat_ngram_size": 3},
    "two ends": {"num_beams": 2, "eos_token_id": [1, 17]},
    "no end": {"suppress_tokens": [1]},
    "another beginning": {"num_beams": 2, "begin_suppress_tokens": list(range(1, 200))},
    "sampling": {"do_sample": True, "top_k": 0},
    "sampling, several": {"do_sample": True, "num_return_sequences": 3, "top_k": 9, "top_p": 0.8, "temperature": 0.7},
    "beams of samples": {"do_sample": True, "num_beams": 3, "num_return_sequences": 2},
}


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_writes_the_tokens_of_generate(model, mode):
    found = assert_same(model, articles(model), **MODES[mode])
    assert len({tuple(ids) for ids, _ in found}) > 2  # else the articles would not matter


@pytest.mark.parametrize("variant", VARIANTS[1:])
@pytest.mark.parametrize("mode", ["greedy", "beams, no repeats"])
def test_every_kind_of_t5_is_decoded(variant, mode):
    model = build(variant)
    assert T5Network.supports(model)
    assert len({tuple(ids) for ids, _ in assert_same(model, articles(model), **MODES[mode])}) > 1


def test_both_ways_to_end_come_up(model):
    lengths = [len(ids) for ids, _ in of_ours(model, articles(model), num_beams=4)]
    assert (
        min(lengths)
        < SPECIAL["max_new_tokens"]
        == max(len(ids) for ids, _ in of_ours(model, articles(model), suppress_tokens=[1]))
    )
    assert len(set(lengths)) > 1


def test_many_articles_that_end_one_by_one_leave_the_batch(model):
    texts = articles(model, lengths=range(1, 21))
    for settings in ({}, {"num_beams": 3, "early_stopping": True}):
        assert len({len(ids) for ids, _ in assert_same(model, texts, **settings)}) >= 4


def test_an_article_longer_than_a_pass_of_the_attention(model, monkeypatch):
    monkeypatch.setattr(t5_network, "QUERIES_A_PASS", 8)
    monkeypatch.setattr(t5_network, "TOKENS_A_PASS", 20)
    assert_same(model, articles(model, (29, 5, 6, 8, 7)), num_beams=2)


@pytest.mark.parametrize("exact", [True, False], ids=["saved in bf16", "saved in fp32"])
def test_large_matrices_are_multiplied_as_small_ones(model, monkeypatch, exact):
    """With the size from which matrices are laid out anew set to nothing, as in a model of real size."""
    monkeypatch.setattr(matrices, "FEWEST_HALF", 0)
    model = copy.deepcopy(model)
    if exact:
        model.to(torch.bfloat16).float()
    assert matrices._fits_half(model.lm_head.weight.detach()) == exact
    for settings in ({}, {"num_beams": 4}):
        assert_same(model, articles(model), **settings)


@pytest.mark.parametrize("variant", ["relu, tied", "gated, own head"])
def test_a_traced_step_writes_the_same(monkeypatch, variant):
    monkeypatch.setattr(t5_network, "STEPS_TO_TRACE", 0)
    monkeypatch.setattr(matrices, "FEWEST_HALF", 0)
    model = copy.deepcopy(build(variant)).to(torch.bfloat16).float()
    network = T5Network(model)
    # Batches of other sizes and other numbers of beams go through the same trace, one with and one without padding.
    for mode in ("greedy", "beams, no repeats"):
        decoding = Decoding.of(GenerationConfig(**(SPECIAL | MODES[mode])))
        for lengths in ((7,), LENGTHS, (30, 30), (4, 9)):
            texts = articles(model, lengths)
            found = decode(network, texts, decoding, torch.Generator())
            expected = of_generate(model, texts, **MODES[mode])
            assert [one.ids for several in found for one in several] == [ids for ids, _ in expected]
    assert len(network._traced) == 2


@pytest.mark.parametrize("number_format", ["int8", "bf16"])
def test_other_number_formats_are_near_to_fp32(monkeypatch, number_format):
    monkeypatch.setattr(matrices, "FEWEST_INT8", 0)
    model, _ = tiny_t5(seed=3)
    texts = articles(model)
    exact, near = T5Network(model), T5Network(model, number_format)
    with torch.inference_mode():
        logits, others = (network.step(network.read(texts, 1, 4), torch.zeros(4).long()) for network in (exact, near))
    assert 0 < float((logits - others).std()) < 0.05 * float(logits.std())
    assert near.is_of(model, number_format) and not near.is_of(model)


def test_int8_products_are_those_of_the_rounded_numbers():
    """Large values of one sign, whose sum of two products would not fit into 16 bits if weights had all 8."""
    weight, rows = torch.ones(16, 64), torch.full((3, 64), 2.0)
    weight[3] = -0.5
    multiply = matrices.matrix(weight, "int8", many_rows=True)
    assert torch.allclose(multiply(rows), rows @ weight.t(), rtol=1e-2)
    with pytest.raises(UserError, match="number_format is 'int4': it must be one of fp32, bf16, int8"):
        matrices.matrix(weight, "int4")


def test_in_int8_an_article_is_read_as_it_is_alone(model):
    network = T5Network(model, "int8")
    texts = articles(model)
    with torch.inference_mode():
        together, alone = network.read(texts, 1, 4).cross, network.read(texts[1:2], 1, 4).cross
    assert torch.equal(together[:, :, 1, :, : len(texts[1])], alone[:, :, 0])


def test_a_stream_is_the_whole_in_parts(model):
    (text,) = articles(model, (12,))
    for settings in ({}, {"do_sample": True}):
        decoding = Decoding.of(GenerationConfig(**SPECIAL, **settings))
        network = T5Network(model)
        parts = stream(network, text, decoding, torch.Generator().manual_seed(4))
        first = next(parts)
        assert not torch.is_inference_mode_enabled()  # between two tokens the reader's own code runs
        ((whole,),) = decode(network, [text], decoding, torch.Generator().manual_seed(4))
        assert [first, *parts] == whole.ids


def test_samples_follow_the_distribution_of_the_model(model):
    """First tokens of 600 samples beside the probabilities that transformers' forward pass gives to the best five."""
    (text,) = articles(model, (9,))
    settings = {"do_sample": True, "top_k": 5, "max_new_tokens": 1, "num_return_sequences": 600}
    drawn = torch.tensor([ids[0] for ids, _ in of_ours(model, [text], seed=1, **settings)])
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([text]), decoder_input_ids=torch.tensor([[0]])).logits[0, 0]
    best = logits.topk(5)
    shares = (drawn[:, None] == best.indices).float().mean(0)
    assert float((shares - best.values.softmax(-1)).abs().max()) < 0.05  # 2.5 standard deviations of a half
    assert of_ours(model, [text], seed=1, **settings) == of_ours(model, [text], seed=1, **settings)
    assert of_ours(model, [text], seed=1, **settings) != of_ours(model, [text], seed=2, **settings)


def test_time_that_is_over_ends_the_writing(model):
    for settings in ({}, {"num_beams": 2}):
        began = time.monotonic()
        found = of_ours(model, articles(model, (5,)), max_time=0.0, max_new_tokens=500, min_new_tokens=500, **settings)
        assert [len(ids) for ids, _ in found] == [1]
        assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    "settings",
    [
        {"forced_eos_token_id": 1},
        {"renormalize_logits": True, "num_beams": 2},
        {"bad_words_ids": [[5]]},
        {"typical_p": 0.4, "do_sample": True},
        {"cache_implementation": "static"},
        {"pad_token_id": None},
    ],
)
def test_settings_of_another_kind_are_left_to_generate(settings):
    assert Decoding.of(GenerationConfig(**(SPECIAL | settings))) is None
    assert Decoding.of(GenerationConfig(**SPECIAL, typical_p=1.0, guidance_scale=1, num_beam_groups=1))


def test_other_models_are_left_to_generate(model):
    assert not T5Network.supports(copy.deepcopy(model).to(torch.bfloat16))
    changed = copy.deepcopy(model)
    changed.lm_head = torch.nn.Linear(32, model.config.vocab_size, bias=True)
    assert not T5Network.supports(changed)
    assert not T5Network.supports(torch.nn.Linear(2, 2))


def test_a_network_knows_whether_the_model_has_been_changed(model):
    model = copy.deepcopy(model)
    network = T5Network(model)
    assert network.is_of(model)
    with torch.no_grad():
        model.decoder.block[0].layer[0].SelfAttention.q.weight.add_(1.0)
    assert not network.is_of(model)
    assert not network.is_of(copy.deepcopy(model))


def test_the_highest_of_many_scores_are_found_in_blocks():
    scores = torch.randn(5, 8000, generator=torch.Generator().manual_seed(0))
    scores[1, [7999, 0, 4000]] = 9.0  # a tie: the first place counts
    scores[2] = -torch.inf
    scores[2, 77] = 0.0
    assert highest(scores).tolist() == scores.argmax(-1).tolist()
    values, places = highest_several(scores, 8)
    assert torch.equal(values, scores.topk(8).values)
    assert torch.equal(scores.gather(1, places), values)
    odd = scores[:, :7919]  # a prime number: no blocks
    assert torch.equal(highest_several(odd, 3)[0], odd.topk(3).values)


def test_the_shipped_model_writes_the_same_of_real_articles():
    model, tokenizer, _ = load_model(ROOT / "space" / "starter")
    lines = (SMOKE / "test.jsonl").read_text("utf-8").splitlines()[:2]
    texts = tokenizer(["summarize: " + json.loads(line)["document"] for line in lines])["input_ids"]
    for settings in ({}, {"num_beams": 4, "no_repeat_ngram_size": 3, "num_return_sequences": 2}):
        assert_same(model, texts, max_new_tokens=24, **settings)
