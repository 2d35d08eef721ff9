"""Where the weights of a small T5 come from: random ones that can copy, or a smaller model's, grown.

`make_copy_ready`: a summary needs copying, and a small T5 from plain random weights does not find out how in the
tokens a small machine can afford. Nothing here changes the architecture; only some of the random weights are tied to
each other at the start (mimetic initialisation, Trockman & Kolter 2023), so that an induction circuit is nearly there
on the first step:

- one head of the encoder looks at the piece before, one at the piece after (relative position bias);
- one head of the decoder looks at the piece before;
- cross-attention starts as "find what is like me" (`q = k / √d_kv`) and "say what is there" (`o = vᵀ`).

`grow`: a wider and deeper T5 that computes what a smaller one has learnt (Net2Net, Chen et al. 2016), so that tokens
already paid for are not lost when a run can afford more parameters.
"""

import torch
from transformers import T5Config, T5ForConditionalGeneration

PREFERRED, OTHERS = 6.0, -2.0  # relative position biases in nats; e^8 is about 3,000 to 1
BEFORE = 1  # T5's bucket of the position one before
AFTER_OFFSET = 1  # in a bidirectional layer the positions after follow in the second half of the buckets

GROWABLE = ("d_model", "d_ff", "num_heads", "num_layers", "num_decoder_layers")
NEW_LAYER_SCALE = 0.1  # of the usual random weights, on what a new layer adds: nearly nothing, yet not stuck at zero


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


@torch.no_grad()
def grow(small: T5ForConditionalGeneration, config: T5Config) -> T5ForConditionalGeneration:
    """A T5 of the shape of `config` that computes what `small` computes, but for what its new layers add (little).

    The small model's weights stand in the first rows and columns. Nothing writes into the new width at first, and
    nothing of the new heads and hidden units is read, while all that reads the new width is random: so gradients reach
    every new weight from the first step. New layers come last in their stack.

    Raises:
        ValueError: `config` is smaller than the small model in some way, or differs in what cannot grow.
    """
    old = small.config
    for name in (*GROWABLE, "vocab_size", "d_kv", "feed_forward_proj", "tie_word_embeddings"):
        before, after = getattr(old, name), getattr(config, name)
        if before != after and (name not in GROWABLE or after < before):
            raise ValueError(f"{name} is {before} and cannot become {after}")
    model = T5ForConditionalGeneration(config)
    learnt = small.state_dict()
    # The root mean square that T5's norms divide by is taken over more numbers, of which the new ones are zero.
    narrower = (old.d_model / config.d_model) ** 0.5
    for name, weight in model.state_dict().items():
        if name not in learnt:
            if name.endswith((".o.weight", ".wo.weight")):
                weight.mul_(NEW_LAYER_SCALE)
            continue
        before = learnt[name].to(weight.dtype)
        if name.endswith((".o.weight", ".wo.weight", "embed_tokens.weight", "shared.weight")):
            weight.zero_()
        if "relative_attention_bias" in name:
            weight[:, old.num_heads :] = 0.0
        if name.endswith("norm.weight"):
            # The output head divides by the root of the width, which takes the factor back once.
            head = name == "decoder.final_layer_norm.weight" and config.scale_decoder_outputs
            before = before if head else before * narrower
        weight[tuple(slice(length) for length in before.shape)] = before
    return model
