"""Weights that can copy from the start, and a grown T5 that computes what the small one did."""

import copy

import pytest
import torch
from transformers import T5ForConditionalGeneration

from tests.tiny import tiny_config, tiny_t5, tiny_tokenizer
from trainer.models.initialisation import grow, make_copy_ready

WIDER = {"d_model": 48, "d_ff": 96, "num_heads": 6}


def shaped(model, **over):
    config = copy.deepcopy(model.config)
    config.update(over)
    return config


def inputs(model):
    draw = torch.Generator().manual_seed(1)
    source = torch.randint(2, model.config.vocab_size - 100, (3, 40), generator=draw)
    return {"input_ids": source, "labels": torch.randint(2, 400, (3, 12), generator=draw)}


def test_copy_ready_weights_look_before_after_and_for_likeness():
    tokenizer = tiny_tokenizer()
    torch.manual_seed(0)
    model = T5ForConditionalGeneration(tiny_config(tokenizer, d_model=64, d_kv=16))
    make_copy_ready(model)
    model.set_attn_implementation("eager")
    source = torch.randint(3, 400, (1, 20))
    with torch.no_grad():
        out = model(input_ids=source, labels=source, output_attentions=True)
    encoder, decoder = out.encoder_attentions[0][0], out.decoder_attentions[0][0]
    middle = range(2, 18)
    assert min(encoder[0, k, k - 1] for k in middle) > 0.9
    assert min(encoder[1, k, k + 1] for k in middle) > 0.9
    assert min(decoder[0, k, k - 1] for k in middle) > 0.9
    for block in model.decoder.block:
        cross = block.layer[1].EncDecAttention
        assert torch.equal(cross.o.weight, cross.v.weight.T)
        assert torch.equal(cross.q.weight, cross.k.weight / 4)  # √16
    with pytest.raises(ValueError, match="num_heads is 1"):
        make_copy_ready(T5ForConditionalGeneration(tiny_config(tokenizer, num_heads=1)))


@pytest.mark.parametrize("tied", [True, False])
def test_a_wider_model_computes_the_same(tied):
    small, _ = tiny_t5(seed=2, tie_word_embeddings=tied)
    make_copy_ready(small)
    large = grow(small, shaped(small, **WIDER)).eval()
    batch = inputs(small)
    with torch.no_grad():
        before, after = small(**batch).logits, large(**batch).logits
    assert large.num_parameters() > 1.5 * small.num_parameters()
    assert (before - after).abs().max() < 1e-4 * before.abs().max()


def test_a_deeper_model_computes_nearly_the_same():
    small, _ = tiny_t5(seed=2)
    large = grow(small, shaped(small, num_layers=3, num_decoder_layers=4)).eval()
    batch = inputs(small)
    with torch.no_grad():
        before, after = small(**batch).loss, large(**batch).loss
    assert 0 < abs(before - after) < 0.02


def test_every_new_weight_gets_a_gradient():
    small, _ = tiny_t5(seed=2)
    large = grow(small, shaped(small, **WIDER, num_layers=3)).train()
    for _ in range(2):  # what is written into the new width is read from the second step on
        large.zero_grad()
        large(**inputs(small)).loss.backward()
        with torch.no_grad():
            for weight in large.parameters():
                weight -= 0.1 * weight.grad
    width, heads = small.config.d_model, small.config.num_heads * small.config.d_kv
    block = large.decoder.block[0]
    attention, feed = block.layer[1].EncDecAttention, block.layer[2].DenseReluDense
    for new in (
        large.shared.weight.grad[:, width:],
        attention.q.weight.grad[:, width:],
        attention.q.weight.grad[heads:],
        attention.o.weight.grad[width:],
        attention.o.weight.grad[:, heads:],
        feed.wi.weight.grad[small.config.d_ff :],
        feed.wo.weight.grad[width:],
        large.encoder.block[2].layer[0].SelfAttention.o.weight.grad,
    ):
        assert new.abs().sum() > 0


@pytest.mark.parametrize(
    ("over", "why"),
    [({"d_model": 16}, "d_model is 32"), ({"vocab_size": 700}, "vocab_size is"), ({"d_kv": 16}, "d_kv is 8")],
)
def test_what_cannot_grow_is_refused(over, why):
    small, _ = tiny_t5()
    with pytest.raises(ValueError, match=why):
        grow(small, shaped(small, **over))
