"""The graph holds the normalised adjacency in both orientations."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxrec.gcn.graph import Adjacency, build_graph, edge_endpoints
from tests.graphs import dense_normalised, graph_from_dense


def to_dense(adjacency: Adjacency, num_senders: int) -> np.ndarray:
    dense = np.zeros((adjacency.num_rows, num_senders))
    rows = np.repeat(np.arange(adjacency.num_rows), np.diff(adjacency.offsets))
    dense[rows, np.asarray(adjacency.senders)] = adjacency.weights
    return dense


def test_both_orientations_are_the_normalised_adjacency(ratings: np.ndarray) -> None:
    graph = graph_from_dense(ratings)
    num_users, num_items = ratings.shape
    expected = dense_normalised(ratings)
    np.testing.assert_allclose(to_dense(graph.to_users, num_items), expected, rtol=1e-6)
    np.testing.assert_allclose(to_dense(graph.to_items, num_users), expected.T, rtol=1e-6)


def test_edge_endpoints_name_every_edge(ratings: np.ndarray) -> None:
    graph = graph_from_dense(ratings)
    users, items = edge_endpoints(graph, jnp.arange(graph.num_edges))
    np.testing.assert_array_equal(np.stack([users, items]), np.stack(np.nonzero(ratings)))


@pytest.mark.parametrize(
    ("user", "item", "weight", "message"),
    [
        ([1, 0], [0, 0], [1, 1], "sorted"),
        ([0, 0], [1, 1], [1, 1], "distinct"),
        ([0, 2], [0, 0], [1, 1], "users in range"),
        ([0, 0], [0, 3], [1, 1], "songs in range"),
        ([0, 0], [-1, 0], [1, 1], "songs in range"),
        ([0], [0], [0], "positive and finite"),
        ([0], [0], [np.nan], "positive and finite"),
        ([0], [0], [np.inf], "positive and finite"),
    ],
)
def test_bad_edges_are_refused(
    user: list[int], item: list[int], weight: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build_graph(np.array(user), np.array(item), np.array(weight), num_users=2, num_items=3)


def test_more_nodes_than_int32_can_number_are_refused() -> None:
    nothing = np.zeros(0, np.int32)
    with pytest.raises(ValueError, match="can be numbered"):
        build_graph(nothing, nothing, nothing, num_users=2**31, num_items=1)
