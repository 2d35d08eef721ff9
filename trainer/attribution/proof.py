"""Whether scores say what the model does: words are left out and the model is asked again.

Mind where the summary is a sentence of the article, as the shipped starter's is: leaving out that sentence's words
takes the summary itself out of the text, and the log probability falls by tens of nats whatever the method.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from trainer.attribution.ablation import Ablations
from trainer.attribution.folding import fold_to
from trainer.attribution.gradients import frozen_copy
from trainer.attribution.matrix import Pair, Rows, row_weights
from trainer.attribution.passes import Passes
from trainer.attribution.registry import Method
from trainer.errors import UserError

# Parts of all words that are left out, or put back, along a curve. Most of the change comes early.
SHARES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
ORDERS = 20
SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Curve:
    """The log probability as words are left out, or put back, strongest first, beside random orders.

    Attributes:
        log_probs: (shares) nats, by `SHARES` of the words.
        random: (orders, shares) the same for random orders.
        area: mean log probability along the curve, by the trapezoid rule over `SHARES`; nats. The lower the better
            where words are left out, the higher the better where they are put back.
        random_areas: (orders).
        p: (1 + random orders at least as good) / (1 + orders).
    """

    log_probs: np.ndarray
    random: np.ndarray
    area: float
    random_areas: np.ndarray
    p: float


class Proof:
    """Asks the model about an article with words left out. What was once computed is remembered.

    Args:
        pair: article and summary.
        row: the summary tokens that are explained together; None: all.
        orders: random orders to compare with.
        seed: of these.
        words: the pair's words and what is known already of leaving them out; rows and methods can share it.
        progress: called with (forward passes made, None) after each question; what it raises ends the work.
    """

    def __init__(
        self,
        pair: Pair,
        row: Sequence[int] | None = None,
        *,
        orders: int = ORDERS,
        seed: int = 0,
        words: Ablations | None = None,
        progress: Callable[[int, None], None] | None = None,
    ):
        self.pair = pair
        self.words = Ablations(pair, "words") if words is None else words
        self._progress = progress
        self._weights = row_weights(pair, pair.whole if row is None else [row])[0].double().numpy()
        generator = np.random.default_rng(seed)
        self._orders = [generator.permutation(len(self.words)) for _ in range(orders)]

    def order(self, scores: np.ndarray) -> np.ndarray:
        """The words by their scores, highest first; `scores` (source tokens)."""
        return np.argsort(-self.word_scores(scores), kind="stable")

    def word_scores(self, scores: np.ndarray) -> np.ndarray:
        """(words) sums of `scores` (source tokens)."""
        return fold_to(self.words.bounds, self.pair.source.offsets, np.asarray(scores))

    def log_prob(self, words: Sequence[int] | np.ndarray, kept: bool = False) -> float:
        """The row's log probability where `words` are left out, or alone are read; nats."""
        mask = np.full(len(self.words), not kept)
        mask[np.asarray(words, dtype=int)] = kept
        found = float(self._weights @ self.words.log_probs(mask))
        if self._progress is not None:
            self._progress(self.words.passes_made, None)
        return found

    def deletion(self, scores: np.ndarray) -> Curve:
        """Words are left out of the article, the highest score first."""
        return self._curve(scores, kept=False)

    def insertion(self, scores: np.ndarray) -> Curve:
        """Words are put into an empty article, the highest score first, each in its place."""
        return self._curve(scores, kept=True)

    def fall(self, words: Sequence[int] | np.ndarray) -> float:
        """How far the log probability falls without `words`; nats."""
        return self.log_prob([]) - self.log_prob(words)

    def necessity(self, scores: np.ndarray, count: int = 5) -> "Necessity":
        """The fall without the `count` words of the highest scores, beside the mean fall without as many random ones.

        Raises:
            UserError: the article has fewer words.
        """
        if not 1 <= count <= len(self.words):
            raise UserError(f"count is {count}: it must be from 1 to the {len(self.words)} words that were read.")
        strongest = self.order(scores)[:count]
        return Necessity(
            words=tuple(self._text(word) for word in strongest),
            fall=self.fall(strongest),
            random_fall=float(np.mean([self.fall(order[:count]) for order in self._orders])),
        )

    def noticeable(self, scores: np.ndarray, sign: int = 1) -> int:
        """How many words, strongest first, do more than random ones: the others should not be coloured.

        The words are left out in groups, the first 5, the next 5, the next 10, 20, …: as soon as a group's fall does
        not exceed that of all but one of the random groups of its size, it and the rest are not noticeable.

        Args:
            sign: 1 for words that raise the log probability; −1 for those that lower it: the lowest score comes first,
                and it is the log probability's rise that counts.
        """
        order, start, end = self.order(sign * scores), 0, min(5, len(self.words))
        while start < end:
            falls = sorted(sign * self.fall(random[: end - start]) for random in self._orders)
            if sign * self.fall(order[start:end]) <= falls[-2 if len(falls) > 1 else -1]:
                return start
            start, end = end, min(2 * end, len(self.words))
        return end

    def noticeable_bounds(self, scores: np.ndarray) -> tuple[tuple[int, int], ...]:
        """(start, end) in the article's characters of the words to be coloured, in order: both signs' noticeable ones.

        Of a noticeable group a word whose own score has the other sign is left out.
        """
        by_word, found = self.word_scores(scores), set()
        for sign in (1, -1):
            strongest = self.order(sign * scores)[: self.noticeable(scores, sign)]
            found |= {self.words.bounds[word] for word in strongest if sign * by_word[word] > 0}
        return tuple(sorted(found))

    def _curve(self, scores: np.ndarray, kept: bool) -> Curve:
        counts = [round(share * len(self.words)) for share in SHARES]

        def along(order: np.ndarray) -> np.ndarray:
            return np.array([self.log_prob(order[:count], kept) for count in counts])

        own, random = along(self.order(scores)), np.stack([along(order) for order in self._orders])
        area, areas = np.trapezoid(own, SHARES), np.trapezoid(random, SHARES)
        as_good = (areas >= area) if kept else (areas <= area)
        return Curve(own, random, float(area), areas, (1 + int(as_good.sum())) / (1 + len(areas)))

    def _text(self, word: int) -> str:
        start, end = self.words.bounds[word]
        return self.pair.article[start:end]


@dataclass(frozen=True)
class Necessity:
    """How much less probable the summary becomes without some words.

    Attributes:
        words: those of the highest scores, strongest first.
        fall: of the log probability without them; nats.
        random_fall: mean fall without as many random words; nats.
    """

    words: tuple[str, ...]
    fall: float
    random_fall: float

    @property
    def sentence(self) -> str:
        """In words, from these numbers."""
        words = "this word" if len(self.words) == 1 else f"these {len(self.words)} words"
        others = "1 random word" if len(self.words) == 1 else f"{len(self.words)} random words"
        return f"Without {words} the summary becomes {times(self.fall)}; without {others} {times(self.random_fall)}."


@dataclass(frozen=True)
class Evidence:
    """What asking the model again says about one method's scores.

    Attributes:
        deletion, insertion: curves beside random orders.
        necessity: the fall without the five strongest words (fewer, where the article has fewer).
        noticeable: how many words, strongest first, do more than random ones; the others should not be coloured.
    """

    deletion: Curve
    insertion: Curve
    necessity: Necessity
    noticeable: int


def evidence(proof: Proof, scores: np.ndarray, count: int = 5) -> Evidence:
    """The proof for `scores` (source tokens); some 250 forward passes, where nothing is known already."""
    necessity = proof.necessity(scores, min(count, len(proof.words)))
    return Evidence(proof.deletion(scores), proof.insertion(scores), necessity, proof.noticeable(scores))


def times(fall: float) -> str:
    """ "10⁴ times less probable", for a fall of the log probability in nats; "more" for a negative one."""
    if round(math.exp(abs(fall)), 1) == 1.0:
        return "about as probable as before"
    more_or_less = "less" if fall >= 0 else "more"
    power = abs(fall) / math.log(10)
    if power >= 3:
        return f"10{str(round(power)).translate(SUPERSCRIPTS)} times {more_or_less} probable"
    return f"{math.exp(abs(fall)):.1f} times {more_or_less} probable"


@dataclass(frozen=True)
class Agreement:
    """How alike two methods rank the words of an article.

    Attributes:
        spearman: rank correlation of the words' scores; nan where one method gives all the same.
        overlap: part of the first method's top words that are the second's too; in [0, 1].
    """

    spearman: float
    overlap: float


def agreement(first: np.ndarray, second: np.ndarray, top: int = 10) -> Agreement:
    """Compares two methods' scores of the same words, each (words)."""
    top = min(top, len(first))
    best = [set(np.argsort(-np.asarray(scores), kind="stable")[:top].tolist()) for scores in (first, second)]
    return Agreement(rank_correlation(first, second), len(best[0] & best[1]) / top)


def sanity_check(
    pair: Pair,
    method: Method,
    rows: Rows | None = None,
    seed: int = 0,
    progress: Callable[[int, None], None] | None = None,
) -> dict[str, float]:
    """Whether scores depend on what the model has learned (Adebayo et al. 2018, cascading randomisation).

    The weights are shuffled within each matrix, from the output on: first the decoder's, then the encoder's too, then
    the embeddings'. A method whose scores stay alike shows the text and not the model.

    The method runs four times. The shuffled weights take as much memory as the model, in float32; they are freed with
    the last run.

    Args:
        progress: called with (steps made in all runs, None) after each of the method's steps; what it raises ends the
            work.

    Returns:
        For each stage the mean over rows of the rank correlation of |scores| with the trained model's; nan where all
        scores of one side are the same.
    """
    steps = itertools.count(1)

    def step(*_: int) -> None:
        if progress is not None:
            progress(next(steps), None)

    trained = method.attribute(pair, rows, step).scores
    model = frozen_copy(pair.passes.model)  # shares the weights that are not shuffled yet
    generator = torch.Generator().manual_seed(seed)
    shuffled: set[int] = set()
    found = {}
    for stage, part in (("decoder", model.decoder.block), ("encoder", model.encoder.block), ("embeddings", model)):
        for parameter in part.parameters():
            if id(parameter) not in shuffled:
                shuffled.add(id(parameter))
                flat = parameter.data.flatten()
                order = torch.randperm(len(flat), generator=generator).to(flat.device)
                parameter.data = flat[order].view(parameter.shape)
        other = Pair(Passes(model), pair.tokenizer, pair.article, pair.summary, pair.source, pair.target)
        scores = method.attribute(other, rows, step).scores
        alike = [rank_correlation(np.abs(one), np.abs(two)) for one, two in zip(trained, scores, strict=True)]
        found[stage] = float(np.nanmean(alike)) if np.isfinite(alike).any() else math.nan
    return found


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's; nan where one side is all the same."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return math.nan
    from scipy.stats import spearmanr  # takes most of a second of the demo's start

    return float(spearmanr(first, second).statistic)
