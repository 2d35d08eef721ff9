"""Rank correlation of two numbers that summaries have, with intervals by drawing articles anew.

A draw gives each article a weight, and both coefficients are computed from weights, for all draws at once.
"""

import numpy as np

from trainer.scoring.intervals import json_number, resampled_sums
from trainer.scoring.records import FigureRecord


def correlations(
    x: np.ndarray, y: np.ndarray, articles: np.ndarray, samples: int, seed: int, confidence: float = 0.95
) -> dict[str, FigureRecord]:
    """Spearman's rho and Kendall's tau-b of n summaries; None where all of one kind of number are equal.

    Args:
        x, y: (n,) numbers of the same summaries.
        articles: (n,) which article each summary is of, as a number from 0.
        samples, seed: of the bootstrap over articles.
    """
    draws = resampled_sums(np.eye(articles.max() + 1), samples, seed)
    weights = np.concatenate([np.ones((1, len(x))), draws[:, articles]])
    tail = 100 * (1 - confidence) / 2
    found = {}
    for name, coefficient in (("spearman", spearman), ("kendall", kendall)):
        value, *drawn = coefficient(x, y, weights)
        drawn = np.array(drawn)[np.isfinite(drawn)]
        low, high = np.percentile(drawn, [tail, 100 - tail]) if len(drawn) else (np.nan, np.nan)
        signature = f"{name}|level:summary|ties:{'mid-ranks' if name == 'spearman' else 'tau-b'}"
        found[name] = FigureRecord(*map(json_number, (value, low, high)), len(x), signature)
    return found


def spearman(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(draws,) correlation of the ranks, equal numbers at the middle of theirs; NaN where all are equal.

    Args:
        x, y: (n,).
        weights: (draws, n) how often each is counted.
    """
    ranks = [weights @ ((one[:, None] < one) + 0.5 * (one[:, None] == one)) for one in (x, y)]
    total = weights.sum(axis=1, keepdims=True)
    first, second = (rank - (weights * rank).sum(axis=1, keepdims=True) / total for rank in ranks)
    return _share(*((weights * a * b).sum(axis=1) for a, b in ((first, second), (first, first), (second, second))))


def kendall(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(draws,) Kendall's tau-b, with arguments as `spearman`."""
    first, second = (np.sign(one[:, None] - one) for one in (x, y))
    pairs = ((weights @ signs * weights).sum(axis=1) for signs in (first * second, first**2, second**2))
    return _share(*pairs)


def _share(together: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.minimum(first, second) > 1e-9, together / np.sqrt(first * second), np.nan)
