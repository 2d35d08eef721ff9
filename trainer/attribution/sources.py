"""From a word of the summary to the words and sentences of the article behind it."""

from collections.abc import Callable
from dataclasses import dataclass

from trainer.attribution.base import Attribution
from trainer.attribution.folding import Span, fold_to, fold_to_words, holders, run_bounds, sentence_bounds
from trainer.attribution.matrix import TOLERANCE, IntegratedGradients, Pair
from trainer.attribution.registry import Method
from trainer.errors import UserError


@dataclass(frozen=True)
class Strength:
    """How much a sentence of the article raised or lowered a log probability.

    Attributes:
        start, end: of the sentence, in the article's characters.
        score: nats; the sum of its tokens' scores.
    """

    start: int
    end: int
    score: float


@dataclass(frozen=True)
class Sources:
    """What each word of the article did to the log probability of one word of the summary, or of all of it.

    Attributes:
        word: the summary's word; the whole summary where all of it is explained.
        start, end: of the word, in the summary's characters.
        spans: their texts joined are the article, character for character; scores in nats, positive raises. (Other
            methods than the default one may have other units: see each.)
        sentences: the same scores by sentence of the article, in order. They add up to the spans' scores.
        log_prob: Σ log p of the word's tokens given the article; nats.
        baseline_log_prob: the same where every token read is `<pad>`; nats. None, like what follows, for methods whose
            scores are not meant to add up.
        completeness_error: |Σ scores − (log_prob − baseline_log_prob)| / max(|the difference|, 1 nat).
        converged: whether that is at most 1%.
        n_steps: points at which the gradient was taken.
        attribution: the scores by token, prefix and `</s>` included.
    """

    word: str
    start: int
    end: int
    spans: tuple[Span, ...]
    sentences: tuple[Strength, ...]
    log_prob: float
    baseline_log_prob: float | None
    completeness_error: float | None
    converged: bool | None
    n_steps: int | None
    attribution: Attribution


def sources_of(
    pair: Pair,
    word: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    by: Method | None = None,
) -> Sources:
    """The sources of one word of the summary.

    Args:
        word: its place among the summary's words: runs without white space, counted from 0 (`folding.run_bounds`).
            None: the whole summary, its `</s>` included.
        progress: called with (points done, points in all); what it raises ends the work.
        by: a method of `trainer.attribution.registry`; None: integrated gradients, steps raised until they add up.

    Raises:
        UserError: the summary has no such word, or none of its tokens belongs to it.
    """
    start, end, tokens = span_of(pair, word)
    matrix = (by or IntegratedGradients()).attribute(pair, [tokens], progress)
    attribution = matrix.attribution(0)
    error = attribution.completeness_error
    article, offsets = pair.article, pair.source.offsets
    bounds = sentence_bounds(article)
    strengths = fold_to(bounds, offsets, matrix.scores[0])
    return Sources(
        word=pair.summary[start:end],
        start=start,
        end=end,
        spans=tuple(fold_to_words(article, attribution)),
        sentences=tuple(Strength(*bound, float(score)) for bound, score in zip(bounds, strengths, strict=True)),
        log_prob=attribution.target_log_prob,
        baseline_log_prob=attribution.baseline_log_prob,
        completeness_error=error,
        converged=None if error is None else error <= TOLERANCE,
        n_steps=attribution.n_steps,
        attribution=attribution,
    )


def tokens_of_words(pair: Pair) -> list[list[int]]:
    """For each word of the summary (`folding.run_bounds`) the places of its tokens; `</s>` is of no word."""
    runs = run_bounds(pair.summary)
    tokens: list[list[int]] = [[] for _ in runs]
    for token, run in enumerate(holders(runs, pair.target.offsets)):
        if run is not None:
            tokens[run].append(token)
    return tokens


def span_of(pair: Pair, word: int | None) -> tuple[int, int, list[int]]:
    """(start, end, tokens) of a word of the summary, or of all of it; as for `sources_of`."""
    if word is None:
        return 0, len(pair.summary), pair.whole[0]
    words = tokens_of_words(pair)
    if not 0 <= word < len(words):
        raise UserError(f"word is {word}: the summary's words are numbered from 0 to {len(words) - 1}.")
    start, end = run_bounds(pair.summary)[word]
    if not words[word]:
        raise UserError(f"The word “{pair.summary[start:end]}” has no token of its own in this model's vocabulary.")
    return start, end, words[word]
