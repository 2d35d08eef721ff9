"""Exact optimal transport between two small heaps (the earth mover's distance), for Word Mover's Distance."""

from importlib.metadata import version

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import eye_array, kron, vstack

TRANSPORT = f"scipy-{version('scipy')}-highs"


def transport(costs: np.ndarray, supply: np.ndarray, demand: np.ndarray) -> tuple[float, np.ndarray]:
    """The cheapest way to move `supply` to `demand`: its whole cost, and how much goes from where to where, (m, n).

    It is solved as the linear programme that it is (Rubner et al. 2000, section 4), by HiGHS's dual simplex in scipy.

    Args:
        costs: (m, n) of one unit, finite.
        supply: (m,) amounts of 0 or more.
        demand: (n,) the same, of equal sum.

    Raises:
        ValueError: there is no such way: the sums differ, an amount is negative, or the shapes do not fit.
    """
    costs = np.asarray(costs, dtype=np.float64)
    m, n = costs.shape
    if not costs.size:
        return 0.0, costs
    leaves = kron(eye_array(m), np.ones((1, n)))
    arrives = kron(np.ones((1, m)), eye_array(n))
    found = linprog(
        costs.ravel(),
        A_eq=vstack([leaves, arrives]).tocsc(),
        b_eq=np.concatenate([supply, demand]),
        method="highs-ds",
    )
    if not found.success:
        raise ValueError(f"{np.sum(supply)} of supply can't be moved to {np.sum(demand)} of demand: {found.message}")
    return float(found.fun), found.x.reshape(m, n)
