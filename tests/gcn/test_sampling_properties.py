"""Negative sampling and epoch order on random graphs of one shape, found by Hypothesis."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxrec.gcn.batches import EdgeBatches
from jaxrec.gcn.negatives import sample_negatives
from jaxrec.gcn.training_graph import MAX_MASS, TrainingGraph
from tests.graphs import dense_normalised, graph_from_dense, popularity_mass

USERS, ITEMS, EDGES, DRAWS = 5, 6, 14, 64
# One number of edges keeps one shape, so that everything is compiled once.
GRAPHS = st.permutations(range(USERS * ITEMS)).map(
    lambda order: np.isin(np.arange(USERS * ITEMS), order[:EDGES]).reshape(USERS, ITEMS)
)


@jax.jit
def draw(seed, graph, mass):
    users = jnp.arange(USERS)
    return sample_negatives(jax.random.key(seed), TrainingGraph(graph, mass), users, DRAWS)


@pytest.mark.parametrize("alpha", [None, 0.75])
@settings(max_examples=40)
@given(listened=GRAPHS, seed=st.integers(0, 2**31 - 1))
def test_negatives_are_all_unheard_songs_and_no_others(alpha, listened, seed):
    graph = graph_from_dense(listened * 1.0)
    mass = None
    if alpha is not None:
        mass = popularity_mass(graph, alpha=alpha)
        cumulative = np.asarray(mass.cumulative, np.int64)
        assert (np.diff(cumulative) > 0).all() and cumulative[-1] <= MAX_MASS
    items, possible = map(np.asarray, draw(seed, graph, mass))
    assert possible.tolist() == (~listened.all(axis=1)).tolist()
    assert ((items >= 0) & (items < ITEMS)).all()
    for heard, drawn in zip(listened[possible], items[possible], strict=True):
        unheard = np.flatnonzero(~heard).tolist()
        assert set(drawn.tolist()) <= set(unheard)
        if len(unheard) <= 2:  # each has a share of 64 draws far from none
            assert set(drawn.tolist()) == set(unheard)


@settings(max_examples=30)
@given(listened=GRAPHS, weights=st.lists(st.floats(1e-9, 1e15), min_size=EDGES, max_size=EDGES))
def test_edges_of_any_weight_are_normalised(listened, weights):
    ratings = np.zeros(listened.shape)
    ratings[listened] = weights
    graph = graph_from_dense(ratings)
    dense = dense_normalised(ratings)
    np.testing.assert_allclose(graph.to_users.weights, dense[listened], rtol=1e-5, atol=1e-37)
    np.testing.assert_allclose(graph.to_items.weights, dense.T[listened.T], rtol=1e-5, atol=1e-37)
    assert np.asarray(graph.to_users.offsets).tolist() == [0, *listened.sum(1).cumsum().tolist()]


@settings(max_examples=20)
@given(seed=st.integers(0, 2**31 - 1), batch_size=st.sampled_from([1, 5, 14, 100]))
def test_an_epoch_is_a_permutation(seed, batch_size):
    order = EdgeBatches(14, batch_size).order(jax.random.key(seed))
    flat = np.asarray(order).ravel()
    assert sorted(flat[:14].tolist()) == list(range(14)) and (flat[14:] == -1).all()
