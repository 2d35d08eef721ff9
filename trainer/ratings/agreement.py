"""Krippendorff's alpha: how far raters agree beyond what chance would give (Krippendorff 2011, *Computing
Krippendorff's Alpha-Reliability*).

1 is full agreement, 0 what chance gives, below 0 is less. Any number of raters may each have rated any of the units.
What is counted, coincidences of values within a unit, adds up over units, so that alpha is a function of sums: all that
a bootstrap needs.
"""

from collections.abc import Sequence

import numpy as np

from trainer.metrics.base import Combine


def coincidences(units: Sequence[Sequence[int]], values: int) -> np.ndarray:
    """(values, values) counts of pairs of ratings of the same unit, each unit's divided by its ratings less one.

    Args:
        units: for each unit its ratings, from 0 to `values` − 1. Those with one rating say nothing about agreement.
    """
    found = np.zeros((values, values))
    for ratings in units:
        if len(ratings) > 1:
            counts = np.bincount(ratings, minlength=values).astype(float)
            found += (np.outer(counts, counts) - np.diag(counts)) / (len(ratings) - 1)
    return found


def alpha(values: int, ordinal: bool) -> Combine:
    """The function from sums of coincidences (…, values × values) to alpha (…); NaN where all ratings are equal.

    Args:
        ordinal: values have an order, and the difference of two is how many ratings lie between them; else two
            different values differ by 1.
    """

    def combine(sums: np.ndarray) -> np.ndarray:
        counts = sums.reshape(*sums.shape[:-1], values, values)
        of_value = counts.sum(axis=-1)
        n = of_value.sum(axis=-1)
        differences = _ordinal(of_value) if ordinal else 1.0 - np.eye(values)
        observed = (counts * differences).sum(axis=(-1, -2))
        expected = (of_value[..., :, None] * of_value[..., None, :] * differences).sum(axis=(-1, -2))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(expected > 0, 1 - (n - 1) * observed / expected, np.nan)

    return combine


def _ordinal(of_value: np.ndarray) -> np.ndarray:
    """Squared differences (…, values, values): ratings from one value to the other, of these two half."""
    middle = of_value.cumsum(axis=-1) - of_value / 2
    return (middle[..., :, None] - middle[..., None, :]) ** 2
