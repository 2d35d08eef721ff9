"""Steps of a training that is made robust: moved embeddings (FGM, FreeLB), and two readings that must agree (R-Drop).

All are written over the sum of a loss per target token, divided by the tokens of the whole optimizer step, so that they
do not depend on how a step is cut into batches. Each article is moved by itself: its norm is taken over its own tokens
and dimensions, and gradients differ from article to article only by a factor, which the norm takes out again. The
embeddings' values are moved, not their weights, which T5 shares with its decoder and its output.
"""

from collections.abc import Callable

import torch

Loss = Callable[[torch.Tensor], torch.Tensor]  # of what is added to the encoder's embeddings (batch, tokens, width)


def fgm(loss_at: Loss, backward: Callable, mask: torch.Tensor, width: int, epsilon: float) -> torch.Tensor:
    """Miyato et al. (2017): L(x) + L(x + r), r = ε g / ‖g‖₂, g the gradient of L(x) by the embeddings.

    Leaves the gradient of the sum in the weights, r taken for a constant, and returns the sum. Both readings have the
    same dropout.

    Args:
        backward: adds the gradient of a loss to the weights' (and to that of what the embeddings were moved by).
        mask: (batch, tokens), 1 for tokens of an article and 0 for padding.
        width: dimensions of an embedding.
    """
    moved = torch.zeros((*mask.shape, width), device=mask.device, requires_grad=True)
    same_dropout = _random_numbers(mask.device)
    loss = loss_at(moved)
    backward(loss)
    same_dropout()
    adversarial = loss_at(epsilon * _unit(moved.grad))
    backward(adversarial)
    return (loss + adversarial).detach()


def freelb(
    loss_at: Loss,
    backward: Callable,
    mask: torch.Tensor,
    width: int,
    epsilon: float,
    step_size: float,
    steps: int,
) -> torch.Tensor:
    """Zhu et al. (2020), algorithm 1: the mean of L(x + δₜ) over `steps` steps of projected gradient ascent.

    δ₀ is uniform in ±ε/√n for n numbers of an article; δₜ₊₁ = Π(δₜ + α g / ‖g‖), where Π scales what is longer than ε
    down to ε. All steps have the same dropout (section 3.3 there). Leaves the gradient of the mean in the weights and
    returns the mean; other arguments as those of `fgm`.
    """
    shape = (*mask.shape, width)
    inside = mask[..., None].float()
    numbers = (mask.sum(1).clamp(min=1) * width)[:, None, None]
    moved = (2 * torch.rand(shape, device=mask.device) - 1) * epsilon / numbers.sqrt() * inside
    same_dropout = _random_numbers(mask.device)
    total = torch.zeros((), device=mask.device)
    for step in range(steps):
        moved = moved.detach().requires_grad_()
        same_dropout()
        loss = loss_at(moved) / steps
        backward(loss)
        total += loss.detach()
        if step + 1 < steps:
            with torch.no_grad():
                moved = moved + step_size * _unit(moved.grad)
                moved = moved * (epsilon / _norm(moved)).clamp(max=1.0)
    return total


def disagreement(
    one: torch.Tensor, other: torch.Tensor, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None
) -> torch.Tensor:
    """½ KL(p‖q) + ½ KL(q‖p) of two readings (Liang et al. 2021, equation 1), summed over the target tokens, over the
    number of those in the optimizer step.

    Args:
        one, other: logits (batch, target tokens, vocabulary).
        labels: (batch, target tokens), -100 where nothing is to be learnt.
        num_items_in_batch: tokens of the step; those of this batch where it is None.
    """
    learnt = labels.ne(-100)
    p, q = (logits[learnt].float().log_softmax(-1) for logits in (one, other))
    total = 0.5 * ((p.exp() - q.exp()) * (p - q)).sum()
    return total / (learnt.sum() if num_items_in_batch is None else num_items_in_batch)


def _norm(moved: torch.Tensor) -> torch.Tensor:
    """(batch, 1, 1): the L2 norm of each article's numbers, never 0."""
    return torch.linalg.vector_norm(moved, dim=(1, 2), keepdim=True).clamp(min=torch.finfo(moved.dtype).tiny)


def _unit(gradient: torch.Tensor) -> torch.Tensor:
    return gradient / _norm(gradient)


def _random_numbers(device: torch.device) -> Callable[[], None]:
    """A function after which torch draws again what it is going to draw from now on."""
    state = torch.get_rng_state()
    on_gpu = torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    def again() -> None:
        torch.set_rng_state(state)
        if on_gpu is not None:
            torch.cuda.set_rng_state(on_gpu, device)

    return again
