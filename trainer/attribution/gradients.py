"""Integrated gradients (Sundararajan, Taly and Yan 2017) over the encoder's embeddings, by Captum.

What is explained is F(x) = Σ_t log p(y_t | y_<t, x), the log probability of the whole summary given the
source x. The score of a piece is the integral of ∂F/∂embedding along the straight line from a baseline to the
source, times the distance, summed over the embedding's dimensions. The scores add up to F(x) − F(baseline)
(their section 3, "completeness"); the error of that sum, which the number of steps decides, comes with every
result.

The baseline puts `<pad>` in the place of *every* token, prefix and `</s>` among them: the same length, so that
nothing but the content changes, and not a word. Were prefix and `</s>` kept, they would score 0 by
construction, and a summary that the model writes whatever it reads would seem to be caused by the article; as
it is, a large share on the prefix shows. The zero vector, the usual baseline for images, will not do: T5 first
divides each embedding by its own root mean square, so all points of the line from 0 look alike to the model,
the whole change happens within a hair's breadth of 0, and no practicable number of steps finds it (completeness
error about 100% at 128 steps, against 1% from `<pad>`: tests/attribution/test_gradients.py).

The page and the studies take these scores by passes of our own, which are quicker (`trainer.attribution.matrix`); this
is what they are checked against, by Captum on transformers' own forward pass. Midpoints do better than Gauss–Legendre
points at few steps: median completeness error at 8, 16, 32 and 64 steps 0.59, 0.17, 0.02 and 0.02% against 2.61, 0.25,
0.03 and 0.01% (a T5 of 5.7 M parameters early in its pre-training, 8 XSum articles of 198–1024 tokens).
"""

import copy
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from trainer.attribution.base import Attribution, read_source, read_target, shares
from trainer.errors import UserError

__all__ = ["Attribution", "integrated_gradients", "target_log_probs"]

# Source and target tokens that go through the model together.
TOKENS_AT_ONCE = 2048
# A change of log probability below this (nats) does not divide an error: 0 / 0 says nothing.
SMALLEST_CHANGE = 1e-3


def integrated_gradients(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    article: str,
    summary: str,
    *,
    prefix: str,
    max_source_length: int,
    max_target_length: int = 512,
    n_steps: int = 32,
    internal_batch_size: int | None = None,
    method: str = "riemann_middle",
    progress: Callable[[int, int], None] | None = None,
) -> Attribution:
    """Scores every piece of the source by how much it raised or lowered the log probability of `summary`.

    The model is left as it is, and other threads may go on generating with it: mode, hooks and gradients are
    those of a private copy that shares the weights. Everything is computed in float32; weights stored in
    bfloat16 are converted in the copy.

    Args:
        model: a T5 for conditional generation, on any device.
        article: what was pasted; its first `max_source_length` tokens, prefix and `</s>` included, are read.
        summary: the text to explain, the model's own or any other; tokenised anew, with `</s>`.
        max_target_length: tokens; a longer summary is refused.
        n_steps: points on the path; more take longer and leave less completeness error.
        internal_batch_size: points that go through the model together; changes memory and time, not the
            scores. None: as many as TOKENS_AT_ONCE allows, at least one.
        method: Captum's name of the quadrature.
        progress: called with (steps done, n_steps) after each batch; what it raises ends the work.

    Raises:
        UserError: article or summary is empty, or the summary too long; the limit leaves no room for the
            article; n_steps is below 2 or internal_batch_size below 1; the tokenizer knows no offsets; the model's
            log probability is not a finite number.
    """
    for name, value, least in (("n_steps", n_steps, 2), ("internal_batch_size", internal_batch_size, 1)):
        if value is not None and value < least:
            raise UserError(f"{name} is {value}: it must be at least {least}.")
    from captum.attr import LayerIntegratedGradients  # takes a second of the demo's start

    source = read_source(tokenizer, article, prefix=prefix, max_source_length=max_source_length)
    target = read_target(tokenizer, summary, max_target_length=max_target_length)

    # A caller's inference_mode or no_grad would leave nothing to differentiate.
    with torch.inference_mode(False), torch.enable_grad():
        explained = frozen_copy(model)
        input_ids = torch.tensor([source.ids], device=model.device)
        baseline_ids = torch.full_like(input_ids, model.config.pad_token_id)
        attention_mask = torch.ones_like(input_ids)
        labels = torch.tensor([target], device=model.device)
        with torch.no_grad():
            log_prob, baseline_log_prob = (
                target_log_probs(explained, ids, attention_mask, labels).sum().item()
                for ids in (input_ids, baseline_ids)
            )
        done = -2  # Captum's first two calls look up the embeddings of source and baseline

        def forward(input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> Tensor:
            nonlocal done
            result = target_log_probs(explained, input_ids, attention_mask, labels).sum(dim=-1)
            done += len(input_ids)
            if progress is not None and done > 0:
                progress(done, n_steps)
            return result

        per_dimension = LayerIntegratedGradients(forward, explained.encoder.embed_tokens).attribute(
            input_ids,
            baselines=baseline_ids,
            additional_forward_args=(attention_mask, labels),
            n_steps=n_steps,
            method=method,
            internal_batch_size=internal_batch_size or _points_at_once(len(source.ids) + len(target)),
        )
    scores = per_dimension.detach().sum(dim=-1)[0].tolist()
    change = log_prob - baseline_log_prob
    gap = sum(scores) - change
    if not math.isfinite(gap):
        raise UserError("The model gives this summary no finite log probability: its weights may be damaged.")
    prefix_share, eos_share = shares(source, scores)
    return Attribution(
        pieces=source.pieces,
        offsets=source.offsets,
        scores=tuple(scores),
        target_log_prob=log_prob,
        baseline_log_prob=baseline_log_prob,
        target_tokens=len(target),
        completeness_gap=gap,
        completeness_error=abs(gap) / max(abs(change), SMALLEST_CHANGE),
        n_steps=n_steps,
        tokens_read=len(source.ids),
        tokens_total=source.tokens_total,
        prefix_share=prefix_share,
        eos_share=eos_share,
    )


def target_log_probs(model: PreTrainedModel, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> Tensor:
    """log p(y_t | y_<t, x) of each target token; nats.

    Shapes: (rows, source length), the same, (rows, target length) → (rows, target length). `labels` hold no
    −100: one summary has no padding.
    """
    logits = model(
        input_ids=input_ids,
        attention_mask=attention_mask,
        decoder_input_ids=model.prepare_decoder_input_ids_from_labels(labels),
        use_cache=False,
    ).logits
    return -nn.functional.cross_entropy(logits.transpose(1, 2), labels, reduction="none")


def _points_at_once(tokens: int) -> int:
    """How many points of the path go through the model together, for so many source and target tokens.

    Memory grows with it and time does not fall: with 11 M parameters, 450 tokens and 32 points, 1, 4 and 16 at
    once took 9.5, 8.3 and 10.0 s of processor time, and 0.1, 0.3 and 0.8 GB; 1024 tokens take 0.35 GB one at a time
    and 2.1 GB sixteen at a time.
    """
    return max(1, TOKENS_AT_ONCE // tokens)


def frozen_copy(model: PreTrainedModel) -> PreTrainedModel:
    """New modules in eval mode over the model's own weights, in float32 and without gradients.

    Captum hooks the embedding layer, and a hook on the shared model would replace the embeddings of every
    thread that happens to generate. Weights that need no gradient also let PyTorch keep fewer activations
    and take the fused attention kernel (a bias that needs one forbids it).
    """
    memo: dict[int, Tensor] = {}
    for parameter in model.parameters():
        memo[id(parameter)] = nn.Parameter(_float32(parameter), requires_grad=False)
    for buffer in model.buffers():
        memo[id(buffer)] = _float32(buffer)
    # deepcopy takes what memo holds for a tensor instead of copying it; tied weights stay tied.
    return copy.deepcopy(model, memo).eval()


def _float32(tensor: Tensor) -> Tensor:
    tensor = tensor.detach()
    if tensor.is_inference():  # made under inference_mode: autograd refuses to save it
        tensor = tensor.clone()
    return tensor.float() if tensor.is_floating_point() else tensor
