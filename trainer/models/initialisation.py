"""Random weights that can copy: a start from which a small T5 learns to take names and figures from the article.

A summary needs copying, and a small T5 from plain random weights does not find out how in the tokens a small machine
can afford. Nothing here changes the architecture; only some of the random weights are tied to each other at the start
(mimetic initialisation, Trockman & Kolter 2023), so that an induction circuit is nearly there on the first step:

- one head of the encoder looks at the piece before, one at the piece after (relative position bias);
- one head of the decoder looks at the piece before;
- cross-attention starts as "find what is like me" (`q = k / √d_kv`) and "say what is there" (`o = vᵀ`).
"""

import torch
from transformers import T5ForConditionalGeneration

PREFERRED, OTHERS = 6.0, -2.0  # relative position biases in nats; e^8 is about 3,000 to 1
BEFORE = 1  # T5's bucket of the position one before
AFTER_OFFSET = 1  # in a bidirectional layer the positions after follow in the second half of the buckets


@torch.no_grad()
def make_copy_ready(model: T5ForConditionalGeneration) -> None:
    """Changes the random weights of `model` in place as the module's text says; works for any T5 with ≥ 2 heads.

    Raises:
        ValueError: the model has fewer than two heads.
    """
    config = model.config
    if config.num_heads < 2:
        raise ValueError(f"num_heads is {config.num_heads}: one head for the piece before and one for the piece after")
    encoder_bias = model.encoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight
    after = config.relative_attention_num_buckets // 2 + AFTER_OFFSET
    for head, bucket in ((0, BEFORE), (1, after)):
        encoder_bias[:, head] = OTHERS
        encoder_bias[bucket, head] = PREFERRED
    decoder_bias = model.decoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight
    decoder_bias[:, 0] = OTHERS
    decoder_bias[BEFORE, 0] = PREFERRED
    for block in model.decoder.block:
        cross = block.layer[1].EncDecAttention
        cross.o.weight.copy_(cross.v.weight.T)
        cross.q.weight.copy_(cross.k.weight / config.d_kv**0.5)
