"""The cheapest transport: by hand, against every permutation, and against another solver."""

import itertools

import networkx
import numpy as np
import pytest

from trainer.metrics.transport import transport


class TestTransport:
    def test_by_hand(self):
        """Two units at 0 and one at 10, needed at 1, 1 and 8: 1 + 1 + 2."""
        cost, flow = transport(np.abs(np.subtract.outer([0, 10], [1, 8])), np.array([2, 1]), np.array([2, 1]))
        assert cost == pytest.approx(4) and flow == pytest.approx(np.array([[2, 0], [0, 1]]))
        # The nearest place first would cost 0 + 9: here the first must give way.
        cost, flow = transport(np.array([[0.0, 1.0], [1.0, 9.0]]), np.array([1, 1]), np.array([1, 1]))
        assert cost == pytest.approx(2) and flow == pytest.approx(np.array([[0, 1], [1, 0]]))
        assert transport(np.zeros((0, 0)), np.zeros(0, int), np.zeros(0, int))[0] == 0

    def test_no_assignment_is_cheaper(self):
        """Unit heaps, every permutation tried."""
        draw = np.random.default_rng(5)
        for n in (1, 2, 3, 4, 5, 6):
            for _ in range(5):
                costs = draw.random((n, n)) - 0.3
                best = min(
                    sum(costs[row, column] for row, column in enumerate(order))
                    for order in itertools.permutations(range(n))
                )
                assert transport(costs, np.ones(n, int), np.ones(n, int))[0] == pytest.approx(best)

    def test_it_is_as_cheap_as_network_simplex(self):
        """networkx, on heaps with gaps, several units a place and whole costs (on others it promises nothing)."""
        draw = np.random.default_rng(0)
        for _ in range(150):
            m, n, units = (int(draw.integers(1, top)) for top in (7, 7, 20))
            supply = np.bincount(draw.integers(0, m, units), minlength=m)
            demand = np.bincount(draw.integers(0, n, units), minlength=n)
            costs = draw.integers(0, 30, (m, n))
            graph = networkx.DiGraph()
            graph.add_nodes_from((("from", i), {"demand": -int(supply[i])}) for i in range(m))
            graph.add_nodes_from((("to", j), {"demand": int(demand[j])}) for j in range(n))
            graph.add_edges_from(
                (("from", i), ("to", j), {"weight": int(costs[i, j])}) for i in range(m) for j in range(n)
            )
            cost, flow = transport(costs, supply, demand)
            assert cost == pytest.approx(networkx.min_cost_flow_cost(graph))
            assert flow.sum(axis=1) == pytest.approx(supply) and flow.sum(axis=0) == pytest.approx(demand)
            assert (flow >= 0).all()

    @pytest.mark.parametrize(
        ("supply", "demand", "message"),
        [
            ([1, 1], [1], "b_eq"),
            ([2], [1], "2 of supply can't be moved to 1 of demand"),
            ([-1], [-1], "can't be moved"),
        ],
    )
    def test_bad_heaps(self, supply, demand, message):
        with pytest.raises(ValueError, match=message):
            transport(np.zeros((1, 1)), np.array(supply), np.array(demand))
