"""Exact optimal transport between two small heaps (the earth mover's distance), for Word Mover's Distance."""

import numpy as np


def transport(costs: np.ndarray, supply: np.ndarray, demand: np.ndarray) -> tuple[float, np.ndarray]:
    """The cheapest way to move `supply` to `demand`: its whole cost, and how much goes from where to where.

    Successive shortest paths with potentials (Ahuja et al. 1993, section 9.7), on whole units, so that it ends and is
    exact: each unit of flow takes the cheapest path that is left, also over what was moved before.

    Args:
        costs: (m, n) of one unit, finite.
        supply: (m,) whole numbers of 0 or more.
        demand: (n,) the same, of equal sum.

    Raises:
        ValueError: the sums differ, a number is negative or no whole one, or the shapes do not fit.
    """
    costs, supply, demand = np.asarray(costs, dtype=np.float64), np.asarray(supply), np.asarray(demand)
    if costs.shape != (len(supply), len(demand)):
        raise ValueError(f"costs are {costs.shape}, but there are {len(supply)} supplies and {len(demand)} demands")
    for heap in (supply, demand):
        if not np.issubdtype(heap.dtype, np.integer) or (heap < 0).any():
            raise ValueError("supply and demand must be whole numbers of 0 or more")
    if supply.sum() != demand.sum():
        raise ValueError(f"there are {supply.sum()} units of supply and {demand.sum()} of demand: they must be as many")
    m, n = costs.shape
    left, open_ = supply.astype(np.int64), demand.astype(np.int64)
    flow = np.zeros((m, n), dtype=np.int64)
    # Reduced costs, costs - u - v, stay at 0 or more everywhere and are 0 wherever something flows.
    u, v = np.zeros(m), costs.min(axis=0) if m else np.zeros(n)
    for start in range(m):
        while left[start]:
            end, came_from, rows = _cheapest_path(start, costs, flow, open_, u, v)
            path = []
            column = end
            while True:
                row = came_from[column]
                path.append((row, column))
                if row == start:
                    break
                column = rows[row]
            # The path goes forward over each (row, column), and back over what flows from a row to the column before.
            back = [(row, rows[row]) for row, _ in path[:-1]]
            amount = min([left[start], open_[end], *(flow[place] for place in back)])
            for place in path:
                flow[place] += amount
            for place in back:
                flow[place] -= amount
            left[start] -= amount
            open_[end] -= amount
    return float((costs * flow).sum()), flow


def _cheapest_path(
    start: int, costs: np.ndarray, flow: np.ndarray, open_: np.ndarray, u: np.ndarray, v: np.ndarray
) -> tuple[int, np.ndarray, dict[int, int]]:
    """Dijkstra from row `start` to the nearest column with room; adapts the potentials `u` and `v` in place.

    Gives that column, for each column the row that it is reached from, and for each further row the column that it is
    reached from.
    """
    distance = costs[start] - u[start] - v
    came_from = np.full(costs.shape[1], start)
    done = np.zeros(costs.shape[1], dtype=bool)
    reached, rows = {start: 0.0}, {}
    while True:
        column = int(np.argmin(np.where(done, np.inf, distance)))
        here = max(float(distance[column]), 0.0)
        done[column] = True
        if open_[column]:
            break
        for row in np.flatnonzero(flow[:, column]):
            if row in reached:
                continue
            reached[int(row)], rows[int(row)] = here, column
            longer = here + costs[row] - u[row] - v
            nearer = ~done & (longer < distance)
            distance[nearer] = longer[nearer]
            came_from[nearer] = row
    for row, at in reached.items():
        u[row] += here - at
    v[done] -= here - np.minimum(distance[done], here)
    return column, came_from, rows
