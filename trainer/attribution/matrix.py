"""The whole matrix of a summary: how much each token of the article raised or lowered each token of the summary.

Integrated gradients as in `trainer.attribution.gradients`, for the log probability of every summary token at once, or
of words or sentences, which are sums of tokens. All rows share the forward passes; a row costs one backward pass at
each point of the path. Rows can be asked for one at a time: who asks for a word pays for a word.

Unless the number of steps is given, it is raised for each row until its scores add up: until |Σ scores − Δ| is at most
1% of max(|Δ|, 1 nat), where Δ is the change of log probability from baseline to source. What does not within 512 steps
is marked as not converged.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from trainer.attribution.base import SMALLEST_CHANGE, TOLERANCE, Attribution, Source, read_source, read_target, shares
from trainer.attribution.passes import Passes
from trainer.attribution.quadrature import MOST_STEPS, rule, until_complete
from trainer.errors import UserError

Rows = Sequence[Sequence[int]]
BASELINES = ("pad", "zero", "mean")


@dataclass(frozen=True)
class Pair:
    """An article and a summary of it, the model's own or any other text, as a model reads them.

    Attributes:
        passes: the model.
        source: the article with prefix and `</s>`.
        target: the summary with `</s>`; offsets in the summary's characters.
    """

    passes: Passes
    tokenizer: PreTrainedTokenizerBase
    article: str
    summary: str
    source: Source
    target: Source

    @classmethod
    def read(
        cls,
        passes: Passes,
        tokenizer: PreTrainedTokenizerBase,
        article: str,
        summary: str,
        *,
        prefix: str,
        max_source_length: int,
        max_target_length: int = 512,
    ) -> "Pair":
        """Tokenises both.

        Raises:
            UserError: article or summary is empty, the summary too long, the limit leaves no room for the article,
                or the tokenizer knows no offsets.
        """
        source = read_source(tokenizer, article, prefix=prefix, max_source_length=max_source_length)
        read_target(tokenizer, summary, max_target_length=max_target_length)
        target = read_source(tokenizer, summary, prefix="", max_source_length=max_target_length)
        return cls(passes, tokenizer, article, summary, source, target)

    @cached_property
    def log_prob(self) -> float:
        """Σ log p(y_t | y_<t, x) of the summary, its `</s>` included; nats."""
        log_probs = self.passes.log_probs(self.passes.embeddings(self.source.ids), self.target.ids)
        return float(log_probs.sum())

    @property
    def tokens(self) -> list[list[int]]:
        """Rows for each summary token alone, `</s>` included."""
        return [[token] for token in range(len(self.target.ids))]

    @property
    def whole(self) -> list[list[int]]:
        """One row: the whole summary."""
        return [list(range(len(self.target.ids)))]


@dataclass(frozen=True)
class AttributionMatrix:
    """Scores of the source's tokens for rows of summary tokens.

    Attributes:
        source, target: what was read.
        rows: the summary tokens that each row explains together, by their places in `target`.
        scores: (rows, source tokens); nats where the method's scores are parts of a change of log probability.
        log_probs: (rows) Σ log p(y_t | y_<t, x) of the row's tokens; nats.
        baseline_log_probs: (rows) the same with the baseline read in the place of the source; None where the method
            has no baseline that its scores add up to.
        n_steps: (rows) points at which the gradient was taken; None for methods without a path.
    """

    source: Source
    target: Source
    rows: tuple[tuple[int, ...], ...]
    scores: np.ndarray
    log_probs: np.ndarray
    baseline_log_probs: np.ndarray | None = None
    n_steps: np.ndarray | None = None

    @cached_property
    def completeness_gaps(self) -> np.ndarray:
        """(rows) Σ scores − (log_probs − baseline_log_probs); nats."""
        if self.baseline_log_probs is None:
            raise UserError("These scores are not meant to add up: their method has no completeness.")
        return self.scores.sum(1) - (self.log_probs - self.baseline_log_probs)

    @cached_property
    def completeness_errors(self) -> np.ndarray:
        """(rows) |gap| / max(|log_probs − baseline_log_probs|, 1 nat)."""
        gaps = self.completeness_gaps
        return _errors(gaps, self.log_probs - self.baseline_log_probs)

    @property
    def converged(self) -> np.ndarray:
        """(rows) whether the scores add up to within 1%."""
        return self.completeness_errors <= TOLERANCE

    def attribution(self, row: int) -> Attribution:
        """One row in the form that `folding` takes."""
        scores = self.scores[row].tolist()
        prefix_share, eos_share = shares(self.source, scores)
        adds_up = self.baseline_log_probs is not None
        return Attribution(
            pieces=self.source.pieces,
            offsets=self.source.offsets,
            scores=tuple(scores),
            target_log_prob=float(self.log_probs[row]),
            baseline_log_prob=float(self.baseline_log_probs[row]) if adds_up else None,
            target_tokens=len(self.rows[row]),
            completeness_gap=float(self.completeness_gaps[row]) if adds_up else None,
            completeness_error=float(self.completeness_errors[row]) if adds_up else None,
            n_steps=None if self.n_steps is None else int(self.n_steps[row]),
            tokens_read=len(self.source.ids),
            tokens_total=self.source.tokens_total,
            prefix_share=prefix_share,
            eos_share=eos_share,
        )


@dataclass(frozen=True)
class IntegratedGradients:
    """Integrated gradients (Sundararajan, Taly and Yan 2017) from a baseline to the source.

    Args:
        baseline: what stands in the place of every token: `<pad>`'s embedding, the zero vector (with which few rows
            converge on a T5: see `trainer.attribution.gradients`) or the mean of all embeddings.
        n_steps: points of the path; None raises them until each row's scores add up.
        method: "gausslegendre" or "riemann_middle", where the number of steps is given.
        max_steps: where raising them ends.
    """

    baseline: str = "pad"
    n_steps: int | None = None
    method: str = "gausslegendre"
    max_steps: int = MOST_STEPS

    def attribute(
        self, pair: Pair, rows: Rows | None = None, progress: Callable[[int, int], None] | None = None
    ) -> AttributionMatrix:
        """Scores for `rows`, by default every summary token; a row's scores add up to its change of log probability.

        `progress` is called with (points done, points that there will be, as far as is known) after each point; what
        it raises ends the work.

        Raises:
            UserError: an unknown baseline or rule, a row outside the summary, or no finite log probability.
        """
        rows = checked(pair, rows)
        passes, ids = pair.passes, pair.target.ids
        source, start = passes.embeddings(pair.source.ids), baseline_embeddings(pair, self.baseline)
        weights = row_weights(pair, rows).to(source.device)

        def at(point: float, going: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            """The log probabilities of these rows, and what this point of the path gives of their scores."""
            chosen = weights[torch.as_tensor(going, device=weights.device)]
            step = torch.lerp(start, source, point)
            log_probs, scores = passes.gradients(step, ids, chosen, source - start)
            return (chosen @ log_probs).double().cpu().numpy(), scores.double().cpu().numpy()

        if self.n_steps is None:
            found = until_complete(at, len(rows), self.max_steps, progress)
            return AttributionMatrix(pair.source, pair.target, rows, found.scores, found.end, found.start, found.steps)
        ends = [(weights @ passes.log_probs(point, ids)).double().cpu().numpy() for point in (source, start)]
        if not np.isfinite(ends).all():
            raise UserError("The model gives this summary no finite log probability: its weights may be damaged.")
        scores, steps = np.zeros((len(rows), len(source))), np.full(len(rows), self.n_steps)
        points, sizes = rule(self.method, self.n_steps)
        for done, (point, size) in enumerate(zip(points, sizes, strict=True), 1):
            scores += size * at(point, np.arange(len(rows)))[1]
            if progress is not None:
                progress(done, self.n_steps)
        return AttributionMatrix(pair.source, pair.target, rows, scores, *ends, steps)


def _errors(gaps: np.ndarray, changes: np.ndarray) -> np.ndarray:
    return np.abs(gaps) / np.maximum(np.abs(changes), SMALLEST_CHANGE)


def checked(pair: Pair, rows: Rows | None) -> tuple[tuple[int, ...], ...]:
    """`rows`, by default every summary token.

    Raises:
        UserError: a row names no token, or one that the summary lacks.
    """
    found = tuple(tuple(row) for row in (pair.tokens if rows is None else rows))
    last = len(pair.target.ids) - 1
    for row in found:
        if not row or min(row) < 0 or max(row) > last:
            raise UserError(f"A row is {list(row)}: it must name tokens of the summary, from 0 to {last}.")
    if not found:
        raise UserError("rows is empty: at least one row must be asked for.")
    return found


def row_weights(pair: Pair, rows: Rows) -> Tensor:
    """(rows, target tokens): 1 for the tokens that a row explains."""
    weights = torch.zeros(len(rows), len(pair.target.ids))
    for number, row in enumerate(rows):
        weights[number, list(row)] = 1.0
    return weights


def baseline_embeddings(pair: Pair, baseline: str) -> Tensor:
    """(source tokens, width) of what stands for no text: see `IntegratedGradients`.

    Raises:
        UserError: no such baseline.
    """
    length = len(pair.source.ids)
    table = pair.passes.model.encoder.embed_tokens.weight
    if baseline == "pad":
        return pair.passes.embeddings([pair.passes.model.config.pad_token_id] * length)
    if baseline == "zero":
        return torch.zeros(length, table.shape[1], device=table.device)
    if baseline == "mean":
        return table.mean(0, keepdim=True).repeat(length, 1)
    raise UserError(f"baseline is {baseline!r}: it must be one of {', '.join(BASELINES)}.")
