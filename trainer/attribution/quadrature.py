"""Points and weights for the integral of integrated gradients over [0, 1].

Integrated gradients at n points is a weighted sum of gradients on the path from baseline to source. The names of the
rules at a fixed number of points are Captum's. The nested rule is the trapezoid rule: halving its intervals keeps all
points, so that steps are raised without computing any gradient twice.

Even spacing serves a T5 better than Gauss–Legendre's points, which crowd towards the ends: a summary token's log
probability rises in the middle of the path, and steeply.
"""

import numpy as np

from trainer.errors import UserError

FIRST_STEPS = 7  # six intervals
MOST_STEPS = 512
NESTED = "nested"


def rule(name: str, n_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """(points in [0, 1], weights that add up to 1), each (n_steps), points rising.

    Raises:
        UserError: no such rule, or a number of steps that it does not have.
    """
    if name not in RULES:
        raise UserError(f"method is {name!r}: it must be one of {', '.join(RULES)}.")
    if n_steps < 1:
        raise UserError(f"n_steps is {n_steps}: it must be at least 1.")
    return RULES[name](n_steps)


def levels(most: int = MOST_STEPS) -> list[int]:
    """The numbers of steps that the nested rule goes through: 7, 13, 25, … up to `most`."""
    found = [FIRST_STEPS]
    while 2 * found[-1] - 1 <= most:
        found.append(2 * found[-1] - 1)
    return found


def _gauss_legendre(n: int) -> tuple[np.ndarray, np.ndarray]:
    points, weights = np.polynomial.legendre.leggauss(n)
    return (points + 1) / 2, weights / 2


def _midpoints(n: int) -> tuple[np.ndarray, np.ndarray]:
    return (np.arange(n) + 0.5) / n, np.full(n, 1 / n)


def _trapezoid(n: int) -> tuple[np.ndarray, np.ndarray]:
    if n < 2:
        raise UserError(f"n_steps is {n}: the nested rule needs at least 2.")
    weights = np.full(n, 1 / (n - 1))
    weights[[0, -1]] /= 2
    return np.arange(n) / (n - 1), weights


RULES = {"gausslegendre": _gauss_legendre, "riemann_middle": _midpoints, NESTED: _trapezoid}
