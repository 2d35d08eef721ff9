"""Weights that can copy from the start."""

import pytest
import torch
from transformers import T5ForConditionalGeneration

from tests.tiny import tiny_config, tiny_tokenizer
from trainer.models.initialisation import make_copy_ready


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
