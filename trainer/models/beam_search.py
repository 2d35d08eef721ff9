"""The bookkeeping of a beam search, as transformers does it (`GenerationMixin._beam_search`), in NumPy.

On arrays of a few numbers a NumPy operation takes a quarter of what a torch one does, and a step has forty of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# What transformers takes for "impossible".
LEAST = np.float32(-1.0e9)


@dataclass(frozen=True)
class Hypothesis:
    """A summary that a search ends with: ids without the start token, and Σ log p / length ** length_penalty."""

    ids: list[int]
    score: float | None = None


class BeamSearch:
    """The running and the finished beams of several articles, all of one length.

    Args:
        articles: how many.
        start, fill: the ids that every beam begins with, and that stands behind its end.
        ends: the ids that end a summary.

    Attributes:
        beams: how many run for each article.
        running: (articles, beams, 1 + max_new_tokens) ids, the start token first.
        running_scores: (articles, beams) Σ log p.
        length: of the running beams, the start token included.
        wide: how many candidates each article needs at a step: enough that as many as there are beams go on.
    """

    def __init__(
        self,
        articles: int,
        beams: int,
        *,
        max_new_tokens: int,
        start: int,
        fill: int,
        ends: Sequence[int],
        length_penalty: float,
        early_stopping: bool | str,
    ):
        self.beams = beams
        self.wide = max(2, 1 + len(ends)) * beams
        self.length = 1
        self._max_new_tokens = max_new_tokens
        self._ends = np.array(ends, dtype=np.int64)
        self._penalty = length_penalty
        self._early = early_stopping
        self.running = np.full((articles, beams, 1 + max_new_tokens), fill, dtype=np.int64)
        self.running[:, :, 0] = start
        self.running_scores = np.zeros((articles, beams), dtype=np.float32)
        self.running_scores[:, 1:] = LEAST  # all beams are the same yet: only the first is continued
        self._finished = self.running.copy()
        self._scores = np.full((articles, beams), LEAST, dtype=np.float32)
        self._lengths = np.ones((articles, beams), dtype=np.int64)
        self._is_finished = np.zeros((articles, beams), dtype=bool)
        self._improvable = np.ones((articles, 1), dtype=bool)
        self._stuck = False

    def advance(self, scores: np.ndarray, parents: np.ndarray, tokens: np.ndarray, cut: bool) -> np.ndarray:
        """Takes the best continuations of one step, each (articles, wide) with the best first.

        `scores` are Σ log p with the new token, `parents` the beam that each continues, `tokens` what it adds; `cut`
        says that the time is over. Returns the beam (articles, beams) that each running one continues.
        """
        written = self.length
        cut = cut or written == self._max_new_tokens
        ended = np.isin(tokens, self._ends) | cut
        self._stuck = bool(ended.all())
        candidates = np.take_along_axis(self.running, parents[:, :, None], axis=1)
        candidates[:, :, written] = tokens
        onward = scores + ended * LEAST
        best = _best(onward, self.beams)
        self.running = np.take_along_axis(candidates, best[:, :, None], axis=1)
        self.running_scores = np.take_along_axis(onward, best, axis=1)
        self._finish(candidates, scores, ended, written)
        self.length += 1
        self._look_ahead(written)
        return np.take_along_axis(parents, best, axis=1)

    def _finish(self, candidates: np.ndarray, scores: np.ndarray, ended: np.ndarray, written: int) -> None:
        """Keeps the best of the finished beams and of those candidates, among the first `beams`, that now end."""
        ending = ended & (np.arange(scores.shape[1]) < self.beams)
        closed = ~self._improvable
        if self._early is True:
            closed = closed | self._is_finished.all(axis=1, keepdims=True)
        scores = scores / np.float32(written**self._penalty) + closed * LEAST + ~ending * LEAST
        merged = np.concatenate([self._scores, scores], axis=1)
        best = _best(merged, self.beams)
        lengths = np.concatenate([self._lengths, np.full(scores.shape, written + 1)], axis=1)
        self._scores = np.take_along_axis(merged, best, axis=1)
        self._lengths = np.take_along_axis(lengths, best, axis=1)
        self._is_finished = np.take_along_axis(np.concatenate([self._is_finished, ending], axis=1), best, axis=1)
        together = np.concatenate([self._finished, candidates], axis=1)
        self._finished = np.take_along_axis(together, best[:, :, None], axis=1)

    def _look_ahead(self, written: int) -> None:
        """Whether the running beams of each article can still become better than the worst of its finished ones."""
        longest = self._max_new_tokens if self._early == "never" and self._penalty > 0 else written
        reachable = self.running_scores[:, :1] / np.float32(longest**self._penalty)
        worst = np.where(self._is_finished, self._scores.min(axis=1, keepdims=True), LEAST)
        self._improvable &= (reachable > worst).any(axis=1, keepdims=True)

    @property
    def done(self) -> np.ndarray:
        """(articles,) whether an article's finished beams can no longer change."""
        full = self._is_finished.all(axis=1) & (self._early is True)
        return self._stuck | full | ~self._improvable[:, 0]

    def keep(self, articles: np.ndarray) -> None:
        """Forgets all articles but those of these numbers."""
        self.running, self.running_scores = self.running[articles], self.running_scores[articles]
        self._finished, self._scores = self._finished[articles], self._scores[articles]
        self._lengths, self._is_finished = self._lengths[articles], self._is_finished[articles]
        self._improvable = self._improvable[articles]

    def best(self, article: int, number: int) -> list[Hypothesis]:
        """The `number` best summaries of an article, the best first."""
        return [
            Hypothesis(self._finished[article, beam, 1 : self._lengths[article, beam]].tolist(), float(score))
            for beam, score in enumerate(self._scores[article, :number])
        ]


def _best(scores: np.ndarray, number: int) -> np.ndarray:
    """(articles, number) places of the highest scores, the highest first."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :number]
