"""The quick relatives of integrated gradients: one or a few gradients at or near the source.

Each gives what Captum's class of that name gives for a single target, for all rows by one forward pass.

DeepLIFT is not among them. Its rule (Shrikumar, Greenside and Kundaje 2017) replaces the derivative of each
non-linearity by a difference from a reference, and Captum's `DeepLift` knows it for activations that are modules with
one input. In a T5 only the ReLU is one: attention multiplies two functions of the source, softmax and the root mean
square are called as functions, and a gated layer multiplies two branches. There it would fall back to the plain
gradient, and what came out would be no DeepLIFT.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from trainer.attribution.matrix import (
    AttributionMatrix,
    Pair,
    Rows,
    baseline_embeddings,
    checked,
    row_weights,
)


@dataclass(frozen=True)
class InputXGradient:
    """Gradient times embedding (Shrikumar et al. 2016), less the baseline where one is named.

    Args:
        baseline: "zero" for the method as published; "pad" or "mean" for the embedding's difference from that one.
    """

    baseline: str = "zero"

    def attribute(
        self, pair: Pair, rows: Rows | None = None, progress: Callable[[int, int], None] | None = None
    ) -> AttributionMatrix:
        """Scores in nats, to first order; they don't add up. `progress` hears of the one step."""
        source = pair.passes.embeddings(pair.source.ids)
        along = source - baseline_embeddings(pair, self.baseline)
        return _of_one_gradient(pair, rows, along, progress)


@dataclass(frozen=True)
class Saliency:
    """The length of the gradient (Simonyan, Vedaldi and Zisserman 2014): how sensitive, without a sign."""

    def attribute(
        self, pair: Pair, rows: Rows | None = None, progress: Callable[[int, int], None] | None = None
    ) -> AttributionMatrix:
        """Scores ≥ 0, in nats for a step of length 1 of the token's embedding."""
        return _of_one_gradient(pair, rows, None, progress)


@dataclass(frozen=True)
class GradientShap:
    """Expected gradients (Lundberg and Lee 2017; Captum's `GradientShap`): integrated gradients at random points.

    Args:
        baseline: as for integrated gradients.
        n_samples: random points of the path.
        noise: standard deviation of what is added to each number of the source's embeddings, as a part of theirs.
        seed: of the points and the noise.
    """

    baseline: str = "pad"
    n_samples: int = 16
    noise: float = 0.05
    seed: int = 0

    def attribute(
        self, pair: Pair, rows: Rows | None = None, progress: Callable[[int, int], None] | None = None
    ) -> AttributionMatrix:
        """Scores in nats, which add up on average only: the completeness error says how far off these are."""
        rows = checked(pair, rows)
        passes, ids = pair.passes, pair.target.ids
        source, start = passes.embeddings(pair.source.ids), baseline_embeddings(pair, self.baseline)
        weights = row_weights(pair, rows).to(source.device)
        log_probs, baseline_log_probs = (
            (weights @ passes.log_probs(point, ids)).double().cpu().numpy() for point in (source, start)
        )
        generator = torch.Generator().manual_seed(self.seed)
        scores = np.zeros((len(rows), len(source)))
        for done in range(1, self.n_samples + 1):
            noise = torch.randn(source.shape, generator=generator).to(source.device) * self.noise * source.std()
            noisy = source + noise
            point = torch.lerp(start, noisy, float(torch.rand((), generator=generator)))
            scores += passes.gradients(point, ids, weights, noisy - start)[1].double().cpu().numpy() / self.n_samples
            if progress is not None:
                progress(done, self.n_samples)
        steps = np.full(len(rows), self.n_samples)
        return AttributionMatrix(pair.source, pair.target, rows, scores, log_probs, baseline_log_probs, steps)


def _of_one_gradient(pair: Pair, rows: Rows | None, along: torch.Tensor | None, progress) -> AttributionMatrix:
    rows = checked(pair, rows)
    source = pair.passes.embeddings(pair.source.ids)
    weights = row_weights(pair, rows).to(source.device)
    log_probs, scores = pair.passes.gradients(source, pair.target.ids, weights, along)
    if progress is not None:
        progress(1, 1)
    scores = scores.double().cpu().numpy()
    return AttributionMatrix(pair.source, pair.target, rows, scores, (weights @ log_probs).double().cpu().numpy())
