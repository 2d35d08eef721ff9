"""Encoder and decoder written out by hand against transformers' own, forward and backward."""

import pytest
import torch
from transformers import (
    LongT5Config,
    LongT5ForConditionalGeneration,
    MT5Config,
    MT5ForConditionalGeneration,
    UMT5Config,
    UMT5ForConditionalGeneration,
)

from tests.tiny import tiny_config, tiny_t5, tiny_tokenizer
from trainer.attribution import encoder
from trainer.attribution.encoder import Encoder
from trainer.attribution.gradients import frozen_copy, target_log_probs
from trainer.attribution.passes import Passes

GATED = {"feed_forward_proj": "gated-gelu"}


def of_family(family, config_class, model_class):
    values = tiny_config(tiny_tokenizer(), **GATED).to_dict()
    torch.manual_seed(1)
    model = model_class(config_class(**{k: v for k, v in values.items() if k not in ("model_type", "architectures")}))
    assert model.config.model_type == family
    return model.eval()


MODELS = {
    "t5": lambda: tiny_t5()[0],
    "t5 gated": lambda: tiny_t5(**GATED)[0],
    "mt5": lambda: of_family("mt5", MT5Config, MT5ForConditionalGeneration),
    "umt5": lambda: of_family("umt5", UMT5Config, UMT5ForConditionalGeneration),
}


def vary_scales(model) -> None:
    """Normalisation scales other than 1, which they are in a new model."""
    for name, parameter in model.named_parameters():
        if "layer_norm" in name:
            parameter.data.uniform_(0.5, 1.5, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("memory", [1 << 30, 1 << 19, 0], ids=["kept", "attention again", "all again"])
@pytest.mark.parametrize("name", MODELS)
def test_output_and_gradients_are_those_of_transformers(name, memory, monkeypatch):
    monkeypatch.setattr(encoder, "WORK_BYTES", 4 * 150 * 40)  # several blocks of queries, several groups of rows
    model = frozen_copy(MODELS[name]())
    vary_scales(model)
    assert encoder.fits(model)
    generator = torch.Generator().manual_seed(3)
    embeddings = torch.randn(150, 32, generator=generator)
    gradients = torch.randn(5, 150, 32, generator=generator)

    ours = Encoder(model.encoder, model.config, memory)
    with torch.no_grad():
        tape = ours.forward(embeddings)
        back = ours.backward(tape, gradients)
        along = torch.randn(150, 32, generator=generator)
        products = ours.backward(tape, gradients, along)
    leaf = embeddings.clone().requires_grad_()
    output = model.encoder(inputs_embeds=leaf[None]).last_hidden_state[0]
    expected = torch.stack([torch.autograd.grad(output, leaf, row, retain_graph=True)[0] for row in gradients])
    kept = [getattr(layer, "probabilities", layer) for layer in tape.layers]
    assert [part is None for part in kept] == [memory == 1 << 19] * 2
    assert [part is layer for part, layer in zip(kept, tape.layers, strict=True)] == [memory == 0] * 2
    used = [layer.bytes if memory else layer.numel() * layer.element_size() for layer in tape.layers]
    assert sum(used) <= max(memory, 2 * embeddings.numel() * embeddings.element_size())
    torch.testing.assert_close(tape.output, output.detach(), atol=1e-5, rtol=1e-5)
    assert (back - expected).abs().max() < 1e-5 * expected.abs().max()
    assert (products - (expected * along).sum(-1)).abs().max() < 1e-5 * (expected * along).sum(-1).abs().max()


@pytest.mark.parametrize("name", [*MODELS, "longt5"])
def test_passes_are_those_of_transformers(name):
    """LongT5, whose encoder is not written out, goes through autograd."""
    model = frozen_copy((MODELS | {"longt5": longt5})[name]())
    vary_scales(model)
    generator = torch.Generator().manual_seed(4)
    ids = torch.randint(3, 500, (1, 60), generator=generator)
    labels = torch.randint(3, 500, (1, 9), generator=generator)
    embeddings = model.encoder.embed_tokens.weight[ids[0]]
    weights, along = torch.randn(3, 9, generator=generator), torch.randn(60, 32, generator=generator)
    log_probs, found = Passes(model).gradients(embeddings, labels[0].tolist(), weights, along)

    expected = target_log_probs(model, ids, torch.ones_like(ids), labels)[0]
    torch.testing.assert_close(log_probs, expected, atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(Passes(model).log_probs(embeddings, labels[0].tolist()), expected, atol=1e-4, rtol=1e-5)
    leaf = embeddings.clone().requires_grad_()
    again = (
        model(inputs_embeds=leaf[None], labels=labels).logits.log_softmax(-1)[0].gather(-1, labels[0][:, None])[:, 0]
    )
    for row, weight in zip(found, weights, strict=True):
        (gradient,) = torch.autograd.grad(again @ weight, leaf, retain_graph=True)
        by_token = (gradient * along).sum(-1)
        assert (row - by_token).abs().max() < 1e-4 * by_token.abs().max()


def longt5():
    return of_family("longt5", LongT5Config, LongT5ForConditionalGeneration)
