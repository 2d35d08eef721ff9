"""How faithful each method is to the model on one article: what `trainer/study.py` repeats over a test set."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from torch import Tensor

from trainer.attribution.ablation import Ablations, logits
from trainer.attribution.folding import fold_to
from trainer.attribution.matrix import Pair
from trainer.attribution.passes import Passes
from trainer.attribution.proof import Proof, rank_correlation, sanity_check
from trainer.attribution.registry import METHODS, Method, method

TOP_WORDS = (1, 5)
TOP_SENTENCES = (1, 3)
ABLATIONS = 32


class CountingPasses(Passes):
    """Passes that count themselves.

    Attributes:
        forward: forward passes made.
        backward: rows taken back through the encoder.
    """

    forward = 0
    backward = 0

    def log_probs(self, embeddings: Tensor, target: Sequence[int]) -> Tensor:
        self.forward += 1
        return super().log_probs(embeddings, target)

    def gradients(
        self, embeddings: Tensor, target: Sequence[int], weights: Tensor, along: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        self.forward += 1
        self.backward += len(weights)
        return super().gradients(embeddings, target, weights, along)

    def attentions(self, source: Sequence[int], target: Sequence[int]):
        self.forward += 1
        return super().attentions(source, target)


@dataclass(frozen=True)
class Faithfulness:
    """One method's measures for one summary, explained as a whole.

    Attributes:
        method: its name in the registry.
        deletion_area, insertion_area: mean log probability along the curves (`proof.Curve`); nats.
        random_deletion_area, random_insertion_area: means of the random orders'; nats.
        deletion_p, insertion_p: against the random orders.
        fall_without_words: {count: fall of the log probability without that many top words}; nats.
        random_fall_without_words: the same for random words, mean.
        fall_without_sentences: {count: fall without that many top sentences}; nats (ContextCite's top-k drop).
        lds: rank correlation of predicted and actual logit probabilities when random halves of the sentences are read
            (ContextCite's linear datamodelling score); nan for an article of one sentence.
        completeness_error, converged, n_steps: for methods whose scores add up, else None.
        sanity: rank correlation with the scores of shuffled models (`proof.sanity_check`); None if not asked for.
        seconds: of the processor, all threads together, for the method alone: other work beside it does not count.
        sanity_seconds: by the clock, of the check with shuffled models; None if not asked for.
        forward_passes, backward_passes: that it made.
    """

    method: str
    deletion_area: float
    insertion_area: float
    random_deletion_area: float
    random_insertion_area: float
    deletion_p: float
    insertion_p: float
    fall_without_words: dict[int, float]
    random_fall_without_words: dict[int, float]
    fall_without_sentences: dict[int, float]
    lds: float
    completeness_error: float | None
    converged: bool | None
    n_steps: int | None
    sanity: dict[str, float] | None
    seconds: float
    sanity_seconds: float | None
    forward_passes: int
    backward_passes: int

    def record(self) -> dict[str, Any]:
        """As plain JSON: what is not a number is None, counts are names."""
        plain = asdict(self)
        for name, value in plain.items():
            if isinstance(value, dict):
                plain[name] = {str(key): _finite(one) for key, one in value.items()}
            elif isinstance(value, float):
                plain[name] = _finite(value)
        return plain


def faithfulness_of(
    pair: Pair,
    methods: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    sanity: bool = False,
    orders: int = 20,
    ablations: int = ABLATIONS,
    seed: int = 0,
) -> Iterator[Faithfulness]:
    """Measures methods on one article and summary. Random orders and ablations are the same for all of them.

    Args:
        pair: its passes must be `CountingPasses`.
        methods: names of the registry, each with its settings; left out: every method as it is.
        sanity: whether to make the check with shuffled weights, which runs each method four times more.
        orders: random orders for the curves.
        ablations: random halves of the sentences for `lds`.
        seed: of the orders and the ablations. Methods that draw have a seed among their settings.
    """
    proof = Proof(pair, orders=orders, seed=seed)
    sentences = Ablations(pair, "sentences")
    # A generator of their own: surrogates must not be judged by the very choices that they were fitted to.
    kept = np.random.default_rng([seed, 1]).random((ablations, len(sentences))) < 0.5
    actual = logits(np.array([sentences.log_probs(row).sum() for row in kept]))
    for name, settings in ({name: {} for name in METHODS} if methods is None else methods).items():
        yield _measured(name, method(name, **settings), pair, proof, sentences, kept, actual, seed if sanity else None)


def _measured(
    name: str,
    how: Method,
    pair: Pair,
    proof: Proof,
    sentences: Ablations,
    kept: np.ndarray,
    actual: np.ndarray,
    sanity_seed: int | None,
) -> Faithfulness:
    passes = pair.passes
    before, start = (passes.forward, passes.backward), time.process_time()
    matrix = how.attribute(pair, pair.whole)
    seconds, made = time.process_time() - start, (passes.forward - before[0], passes.backward - before[1])
    scores = matrix.scores[0]
    deletion, insertion = proof.deletion(scores), proof.insertion(scores)
    by_sentence = fold_to(sentences.bounds, pair.source.offsets, scores)
    counts = [count for count in TOP_WORDS if count <= len(proof.words)]
    necessities = {count: proof.necessity(scores, count) for count in counts}
    complete = matrix.baseline_log_probs is not None
    start = time.perf_counter()
    sanity = None if sanity_seed is None else sanity_check(pair, how, pair.whole, sanity_seed)
    return Faithfulness(
        method=name,
        deletion_area=deletion.area,
        insertion_area=insertion.area,
        random_deletion_area=float(deletion.random_areas.mean()),
        random_insertion_area=float(insertion.random_areas.mean()),
        deletion_p=deletion.p,
        insertion_p=insertion.p,
        fall_without_words={count: one.fall for count, one in necessities.items()},
        random_fall_without_words={count: one.random_fall for count, one in necessities.items()},
        fall_without_sentences=_falls(sentences, by_sentence),
        lds=rank_correlation(kept @ by_sentence, actual),
        completeness_error=float(matrix.completeness_errors[0]) if complete else None,
        converged=bool(matrix.converged[0]) if complete else None,
        n_steps=int(matrix.n_steps[0]) if matrix.n_steps is not None else None,
        sanity=sanity,
        seconds=seconds,
        sanity_seconds=None if sanity is None else time.perf_counter() - start,
        forward_passes=made[0],
        backward_passes=made[1],
    )


def _falls(sentences: Ablations, scores: np.ndarray) -> dict[int, float]:
    whole = sentences.log_probs(np.ones(len(sentences))).sum()
    falls = {}
    for count in TOP_SENTENCES:
        if count <= len(sentences):
            mask = np.ones(len(sentences), dtype=bool)
            mask[np.argsort(-scores, kind="stable")[:count]] = False
            falls[count] = float(whole - sentences.log_probs(mask).sum())
    return falls


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
