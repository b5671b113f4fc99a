"""Every edge comes once in an epoch, whatever the batches are made of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrec.gcn import batches as module
from jaxrec.gcn.batches import Batches, EdgeBatches, UserBatches, parted
from tests.graphs import graph_from_dense

RATINGS = (np.random.default_rng(0).random((50, 30)) < np.linspace(0.02, 0.9, 50)[:, None]) * 1.0
RATINGS[7] = 0  # has listened to nothing
GRAPH = graph_from_dense(RATINGS)
USERS, ITEMS = np.nonzero(RATINGS)

# Jitted, since operations that are called one by one are also compiled one by one.
interactions_of = jax.jit(module.interactions_of, static_argnames="max_edges")


def edge_number(user: np.ndarray, item: np.ndarray) -> np.ndarray:
    return np.searchsorted(USERS * 30 + ITEMS, user * 30 + item)


@pytest.mark.parametrize(("num_edges", "size"), [(1, 1), (10, 3), (12, 4), (5, 100)])
def test_every_edge_comes_once_per_epoch(num_edges: int, size: int) -> None:
    batches = EdgeBatches(num_edges, size)
    order = np.asarray(batches.order(jax.random.key(0)))
    assert order.shape == (batches.num_steps, size) == (-(-num_edges // size), size)
    flat = order.ravel()
    np.testing.assert_array_equal(np.sort(flat[:num_edges]), np.arange(num_edges))
    assert (flat[num_edges:] == -1).all()
    assert batches.edges_in(order).tolist() == (order >= 0).sum(axis=1).tolist()


@pytest.mark.parametrize("batch_size", [1, 40, 100, 10_000])
def test_every_user_comes_once_per_epoch_with_all_their_edges(batch_size: int) -> None:
    batches = UserBatches.of(GRAPH, batch_size=batch_size)
    order = np.asarray(batches.order(jax.random.key(0)))
    found = []
    for users, edges in zip(order, batches.edges_in(order), strict=True):
        found_edges = interactions_of(GRAPH, users, max_edges=batches.max_edges())
        user, items, row, weight, is_edge = map(np.asarray, found_edges)
        np.testing.assert_array_equal(user, np.maximum(users, 0))
        assert (weight[~is_edge] == 0).all()
        expected = np.asarray(GRAPH.to_users.weights)[
            edge_number(users[row[is_edge]], items[is_edge])
        ]
        np.testing.assert_array_equal(weight[is_edge], expected)
        assert is_edge.sum() == edges
        found.append(np.stack([users[row], items])[:, is_edge])
    pairs = np.concatenate(found, axis=1)
    pairs = pairs[:, np.lexsort(pairs[::-1])]
    np.testing.assert_array_equal(pairs, [USERS, ITEMS])


def test_batches_of_users_differ_by_less_than_one_user() -> None:
    batches = UserBatches.of(GRAPH, batch_size=100)
    edges = batches.edges_in(batches.order(jax.random.key(3)))
    assert len(edges) == batches.num_steps > 5
    most = int(RATINGS.sum(axis=1).max())
    assert edges.max() - edges.min() <= most
    assert edges.max() <= batches.max_edges() <= edges.mean() + most


@pytest.mark.parametrize("parts", [1, 2, 7, 50])
def test_parts_of_a_batch_of_users_have_about_as_many_edges_each(parts: int) -> None:
    """Every user is in one part, more parts than users too."""
    batches = UserBatches.of(GRAPH, batch_size=100)
    most = int(RATINGS.sum(axis=1).max())
    for batch in batches.order(jax.random.key(3)):
        cut = np.asarray(parted(batch, parts))
        assert cut.shape == (parts, -(-len(batch) // parts))
        np.testing.assert_array_equal(np.sort(cut[cut >= 0]), np.sort(batch[batch >= 0]))
        edges = np.where(cut >= 0, batches.edges_of[cut], 0).sum(axis=1)
        assert edges.max() - edges.min() <= most
        assert edges.max() <= batches.max_edges(parts)


def test_users_without_edges_are_in_no_batch() -> None:
    order = UserBatches.of(GRAPH, batch_size=64).order(jax.random.key(0))
    users = np.sort(np.asarray(order).ravel())
    np.testing.assert_array_equal(users[users >= 0], np.unique(USERS))


@pytest.mark.parametrize("batches", [EdgeBatches(100, 10), UserBatches.of(GRAPH, batch_size=60)])
def test_another_epoch_has_another_order(batches: Batches) -> None:
    orders = [batches.order(jax.random.key(seed)) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(orders[0], orders[1])
    assert (orders[0] != orders[2]).any()


def test_the_edges_of_nobody_are_none() -> None:
    is_edge = interactions_of(GRAPH, jnp.array([-1, 7, -1]), max_edges=5).is_edge
    assert not is_edge.any()
