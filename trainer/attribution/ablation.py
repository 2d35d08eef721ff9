"""Methods that take parts of the article away and ask the model again: occlusion, KernelSHAP, LIME, ContextCite.

A part, a word or a sentence, is taken away by leaving its tokens out: the model reads the text without it. Its score
is spread evenly over its tokens, so that sums over words or sentences give back the parts' own.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from trainer.attribution.folding import holders, run_bounds, sentence_bounds
from trainer.attribution.matrix import AttributionMatrix, Pair, Rows, checked, row_weights
from trainer.errors import UserError

PARTS = {"words": run_bounds, "sentences": sentence_bounds}


@dataclass
class Ablations:
    """The log probabilities of a summary when parts of the article are left out; each choice is computed once.

    Attributes:
        bounds: (start, end) of the parts of which the model read anything, in the article's characters.
        tokens: of each part, by their places in the source.
        passes_made: how many forward passes were needed so far.
    """

    pair: Pair
    parts: str = "sentences"
    bounds: list[tuple[int, int]] = field(init=False)
    tokens: list[list[int]] = field(init=False)

    def __post_init__(self) -> None:
        if self.parts not in PARTS:
            raise UserError(f"parts is {self.parts!r}: it must be one of {', '.join(PARTS)}.")
        bounds = PARTS[self.parts](self.pair.article)
        tokens: list[list[int]] = [[] for _ in bounds]
        for token, part in enumerate(holders(bounds, self.pair.source.offsets)):
            if part is not None:
                tokens[part].append(token)
        read = [(bound, places) for bound, places in zip(bounds, tokens, strict=True) if places]
        self.bounds, self.tokens = [bound for bound, _ in read], [places for _, places in read]
        self._known: dict[bytes, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def passes_made(self) -> int:
        return len(self._known)

    def log_probs(self, kept: Sequence[bool] | np.ndarray) -> np.ndarray:
        """(target tokens) log p of each summary token, in nats, where the model reads only the parts `kept`.

        Prefix and `</s>` are always read. `kept`: (parts).
        """
        kept = np.asarray(kept, dtype=bool)
        key = kept.tobytes()
        if key not in self._known:
            away = {token for places, stays in zip(self.tokens, kept, strict=True) if not stays for token in places}
            ids = [token for place, token in enumerate(self.pair.source.ids) if place not in away]
            embeddings = self.pair.passes.embeddings(ids)
            found = self.pair.passes.log_probs(embeddings, self.pair.target.ids)
            self._known[key] = found.double().cpu().numpy()
        return self._known[key]

    def spread(self, scores: np.ndarray) -> np.ndarray:
        """(rows, parts) → (rows, source tokens): each part's score in equal shares to its tokens."""
        result = np.zeros((len(scores), len(self.pair.source.ids)))
        for part, places in enumerate(self.tokens):
            result[:, places] = scores[:, part, None] / len(places)
        return result

    def matrix(self, rows: Rows, scores: np.ndarray) -> AttributionMatrix:
        """The result of a method: scores (rows, parts) in nats."""
        all_kept = np.ones(len(self), dtype=bool)
        log_probs = row_weights(self.pair, rows).double().numpy() @ self.log_probs(all_kept)
        return AttributionMatrix(self.pair.source, self.pair.target, rows, self.spread(scores), log_probs)


@dataclass(frozen=True)
class Occlusion:
    """How far the log probability falls when one part is left out (Zeiler and Fergus 2014).

    Args:
        parts: "words" or "sentences".
    """

    parts: str = "words"

    def attribute(
        self, pair: Pair, rows: Rows | None = None, progress: Callable[[int, int], None] | None = None
    ) -> AttributionMatrix:
        """Scores in nats. One forward pass for each part; `progress` is called after each."""
        rows, ablations = checked(pair, rows), Ablations(pair, self.parts)
        weights = row_weights(pair, rows).double().numpy()
        everything = np.ones(len(ablations), dtype=bool)
        whole = weights @ ablations.log_probs(everything)
        scores = np.zeros((len(rows), len(ablations)))
        for part in range(len(ablations)):
            kept = everything.copy()
            kept[part] = False
            scores[:, part] = whole - weights @ ablations.log_probs(kept)
            if progress is not None:
                progress(part + 1, len(ablations))
        return ablations.matrix(rows, scores)


@dataclass(frozen=True)
class _Surrogate(ABC):
    """A linear model of which sentences stay, fitted to the log probabilities of random choices.

    Args:
        n_samples: random choices of sentences; each takes one forward pass.
        seed: of the choices.
    """

    n_samples: int = 64
    seed: int = 0

    def attribute(
        self, pair: Pair, rows: Rows | None = None, progress: Callable[[int, int], None] | None = None
    ) -> AttributionMatrix:
        """Scores in nats a sentence. `progress` is called after each forward pass."""
        rows, ablations = checked(pair, rows), Ablations(pair, "sentences")
        weights = row_weights(pair, rows).double().numpy()

        def log_probs(kept: np.ndarray) -> np.ndarray:
            known = ablations.passes_made
            found = ablations.log_probs(kept)
            if progress is not None and ablations.passes_made > known:
                progress(min(ablations.passes_made, self.n_samples), self.n_samples)
            return found

        if len(ablations) == 1:  # nothing to compare: the one sentence has it all
            alone = weights @ (log_probs(np.ones(1)) - log_probs(np.zeros(1)))
            return ablations.matrix(rows, alone[:, None])
        return ablations.matrix(rows, self._fit(len(ablations), weights, log_probs))

    @abstractmethod
    def _fit(self, parts: int, weights: np.ndarray, log_probs: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Scores (rows, parts) for rows that are sums of tokens by `weights` (rows, target tokens)."""


class _Captums(_Surrogate):
    """One of Captum's surrogates. Every row is fitted to the same random choices."""

    def _fit(self, parts: int, weights: np.ndarray, log_probs: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        def forward(kept: Tensor) -> Tensor:
            return torch.stack([torch.from_numpy(weights @ log_probs(row.bool().numpy())) for row in kept]).float()

        scores = []
        for row in range(len(weights)):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.seed)
                found = self._method(forward).attribute(
                    torch.ones(1, parts), baselines=torch.zeros(1, parts), target=row, n_samples=self.n_samples
                )
            scores.append(found[0].double().numpy())
        return np.stack(scores)

    @abstractmethod
    def _method(self, forward: Callable[[Tensor], Tensor]):
        """Captum's object for a function (choices, parts) → (choices, rows)."""


class KernelShap(_Captums):
    """Shapley values of sentences by weighted least squares (Lundberg and Lee 2017), Captum's `KernelShap`."""

    def _method(self, forward: Callable[[Tensor], Tensor]):
        from captum.attr import KernelShap  # captum and scikit-learn take two seconds of the demo's start

        return KernelShap(forward)


class Lime(_Captums):
    """LIME over sentences (Ribeiro, Singh and Guestrin 2016), Captum's `Lime` with its sparse linear model."""

    def _method(self, forward: Callable[[Tensor], Tensor]):
        from captum._utils.models.linear_model import SkLearnLasso
        from captum.attr import Lime

        return Lime(forward, interpretable_model=SkLearnLasso(alpha=0.01))


class ContextCite(_Surrogate):
    """ContextCite (Cohen-Wang, Shah, Georgiev and Madry 2024): a sparse linear model of the logit probability.

    Each sentence stays with probability ½; what is fitted is log(p / (1 − p)) of the explained tokens' joint
    probability p, a token, by LASSO with α = 0.01 on standardised choices, as in the authors' code. Where p is small,
    as for a whole summary, the logit is the log probability.
    """

    def _fit(self, parts: int, weights: np.ndarray, log_probs: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        from sklearn.linear_model import Lasso
        from sklearn.preprocessing import StandardScaler

        kept = np.random.default_rng(self.seed).random((self.n_samples, parts)) < 0.5
        outputs = logits(np.stack([weights @ log_probs(row) for row in kept]))
        scaler = StandardScaler().fit(kept)
        tokens = weights.sum(1)
        scores = []
        for column, count in zip(outputs.T, tokens, strict=True):
            lasso = Lasso(alpha=0.01, max_iter=10_000).fit(scaler.transform(kept), column / count)
            scores.append(lasso.coef_ / scaler.scale_ * count)
        return np.stack(scores)


def logits(log_probs: np.ndarray) -> np.ndarray:
    """log(p / (1 − p)) of probabilities given as log p, which is kept below −10⁻⁷: 1 has no finite logit."""
    log_probs = np.minimum(log_probs, -1e-7)
    return log_probs - np.log(-np.expm1(log_probs))
