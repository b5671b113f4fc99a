"""Negatives are never positives and follow the stated distribution; an epoch is a permutation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxrec.gcn import negatives
from tests.graphs import graph_from_dense

NUM_ITEMS = 40
DRAWS = 40_000


@pytest.fixture(scope="module")
def listened() -> np.ndarray:
    """[users, items] bool: rows of several densities, the last but one full, the last empty."""
    rng = np.random.default_rng(0)
    rows = [rng.random(NUM_ITEMS) < share for share in (0.05, 0.3, 0.5, 0.9)]
    ends = np.zeros(NUM_ITEMS, bool)
    ends[[0, 1, -2, -1]] = True
    all_but_one = np.ones(NUM_ITEMS, bool)
    all_but_one[17] = False
    return np.array([*rows, ends, all_but_one, np.ones(NUM_ITEMS, bool), np.zeros(NUM_ITEMS, bool)])


def draw(listened: np.ndarray, mass: negatives.ItemMass | None) -> tuple[np.ndarray, np.ndarray]:
    graph = graph_from_dense(listened * 1.0)
    items, possible = negatives.sample_negatives(
        jax.random.key(1),
        graph.to_users,
        jnp.arange(len(listened)),
        num_items=NUM_ITEMS,
        num_negatives=DRAWS,
        mass=mass,
    )
    return np.asarray(items), np.asarray(possible)


@pytest.mark.parametrize("alpha", [None, 0.0, 0.75, 1.0])
def test_negatives_are_never_positives_and_follow_the_distribution(
    listened: np.ndarray, alpha: float | None
) -> None:
    graph = graph_from_dense(listened * 1.0)
    mass = None
    expected = np.ones(NUM_ITEMS)
    if alpha is not None:
        mass = negatives.popularity_mass(graph.to_users, num_items=NUM_ITEMS, alpha=alpha)
        expected = np.maximum(listened.sum(axis=0), 1) ** alpha
    items, possible = draw(listened, mass)
    np.testing.assert_array_equal(possible, ~listened.all(axis=1))
    for row, drawn in zip(listened[possible], items[possible], strict=True):
        assert not row[drawn].any()
        share = expected * ~row
        counts = np.bincount(drawn, minlength=NUM_ITEMS)[~row]
        if len(counts) > 1:
            test = stats.chisquare(counts, (share / share.sum())[~row] * DRAWS)
            assert test.pvalue > 1e-4


def test_equal_masses_give_the_uniform_draws_themselves_in_distribution_and_support(
    listened: np.ndarray,
) -> None:
    graph = graph_from_dense(listened * 1.0)
    mass = negatives.popularity_mass(graph.to_users, num_items=NUM_ITEMS, alpha=0.0)
    uniform, _ = draw(listened, None)
    weighted, _ = draw(listened, mass)
    # The same random words, cut at the same shares of the range: all but rounding at the cuts.
    agree = (uniform == weighted)[~listened.all(axis=1)]
    assert agree.mean() > 0.999


def test_the_same_key_gives_the_same_negatives_and_another_key_others(listened: np.ndarray) -> None:
    graph = graph_from_dense(listened * 1.0)

    def sample(seed: int) -> np.ndarray:
        users = jnp.zeros(100, jnp.int32)
        items, _ = negatives.sample_negatives(
            jax.random.key(seed), graph.to_users, users, num_items=NUM_ITEMS, num_negatives=1
        )
        return np.asarray(items)

    np.testing.assert_array_equal(sample(0), sample(0))
    assert (sample(0) != sample(1)).any()


def test_uniform_below_is_unbiased_where_randint_is_not() -> None:
    bound = 3 * 2**28  # a bound near the top of int32, not a power of two
    drawn = np.asarray(negatives.uniform_below(jax.random.key(0), jnp.int32(bound), (60_000,)))
    assert drawn.min() >= 0
    assert drawn.max() < bound
    counts = np.bincount(drawn // (bound // 12), minlength=12)
    assert stats.chisquare(counts).pvalue > 1e-4


@pytest.mark.parametrize("bound", [1, 2, 3, 7])
def test_uniform_below_small_bounds(bound: int) -> None:
    drawn = np.asarray(negatives.uniform_below(jax.random.key(0), jnp.int32(bound), (10_000,)))
    counts = np.bincount(drawn)
    assert len(counts) == bound
    assert bound == 1 or stats.chisquare(counts).pvalue > 1e-4


@pytest.mark.parametrize(("num_edges", "batch_size"), [(1, 1), (10, 3), (12, 4), (5, 100)])
def test_every_edge_comes_once_per_epoch(num_edges: int, batch_size: int) -> None:
    batches = np.asarray(
        negatives.epoch_order(jax.random.key(0), num_edges=num_edges, batch_size=batch_size)
    )
    assert batches.shape == (-(-num_edges // batch_size), batch_size)
    flat = batches.ravel()
    np.testing.assert_array_equal(np.sort(flat[:num_edges]), np.arange(num_edges))
    assert (flat[num_edges:] == -1).all()


def test_another_epoch_has_another_order() -> None:
    orders = [
        negatives.epoch_order(jax.random.key(seed), num_edges=100, batch_size=10)
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(orders[0], orders[1])
    assert (orders[0] != orders[2]).any()
