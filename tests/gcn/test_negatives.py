"""Negatives are never positives and follow the stated distribution; an epoch is a permutation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxrec.gcn import negatives
from jaxrec.gcn.batches import interactions_of
from jaxrec.gcn.training_graph import ItemMass, TrainingGraph
from tests.graphs import graph_from_dense, popularity_mass

NUM_ITEMS = 40
DRAWS = 40_000

# Jitted, since operations that are called one by one are also compiled one by one.
sample_negatives = jax.jit(negatives.sample_negatives, static_argnums=3)
shared_negatives = jax.jit(negatives.shared_negatives, static_argnums=3)
draw_items = jax.jit(negatives.draw_items, static_argnums=2)
uniform_below = jax.jit(negatives.uniform_below, static_argnums=2)
count_once = jax.jit(negatives.count_once, static_argnames="num_items")
most_distinct, weigh_draws = negatives.most_distinct, negatives.weigh_draws


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


def draw(listened: np.ndarray, mass: ItemMass | None) -> tuple[np.ndarray, np.ndarray]:
    data = TrainingGraph(graph_from_dense(listened * 1.0), mass)
    items, possible = sample_negatives(jax.random.key(1), data, jnp.arange(len(listened)), DRAWS)
    return np.asarray(items), np.asarray(possible)


@pytest.mark.parametrize("alpha", [None, 0.0, 0.75, 1.0])
def test_negatives_are_never_positives_and_follow_the_distribution(
    listened: np.ndarray, alpha: float | None
) -> None:
    graph = graph_from_dense(listened * 1.0)
    mass = None
    expected = np.ones(NUM_ITEMS)
    if alpha is not None:
        mass = popularity_mass(graph, alpha=alpha)
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
    mass = popularity_mass(graph, alpha=0.0)
    uniform, _ = draw(listened, None)
    weighted, _ = draw(listened, mass)
    # The same random words, cut at the same shares of the range: all but rounding at the cuts.
    agree = (uniform == weighted)[~listened.all(axis=1)]
    assert agree.mean() > 0.999


def test_the_same_key_gives_the_same_negatives_and_another_key_others(listened: np.ndarray) -> None:
    graph = graph_from_dense(listened * 1.0)

    def sample(seed: int) -> np.ndarray:
        users = jnp.zeros(100, jnp.int32)
        items, _ = sample_negatives(jax.random.key(seed), TrainingGraph(graph), users, 1)
        return np.asarray(items)

    np.testing.assert_array_equal(sample(0), sample(0))
    assert (sample(0) != sample(1)).any()


def test_uniform_below_is_unbiased_where_randint_is_not() -> None:
    bound = 3 * 2**28  # a bound near the top of int32, not a power of two
    drawn = np.asarray(uniform_below(jax.random.key(0), jnp.int32(bound), (60_000,)))
    assert drawn.min() >= 0
    assert drawn.max() < bound
    counts = np.bincount(drawn // (bound // 12), minlength=12)
    assert stats.chisquare(counts).pvalue > 1e-4


@pytest.mark.parametrize("bound", [1, 2, 3, 7])
def test_uniform_below_small_bounds(bound: int) -> None:
    drawn = np.asarray(uniform_below(jax.random.key(0), jnp.int32(bound), (10_000,)))
    counts = np.bincount(drawn)
    assert len(counts) == bound
    assert bound == 1 or stats.chisquare(counts).pvalue > 1e-4


@pytest.mark.parametrize("alpha", [None, 0.5, 1.0])
def test_drawn_items_are_as_likely_as_their_masses(alpha: float | None) -> None:
    ratings = np.ones((8, 5)) * (np.arange(8)[:, None] < np.array([8, 4, 2, 1, 1]))
    graph, mass = graph_from_dense(ratings), None
    expected = np.full(5, 0.2)
    if alpha is not None:
        mass = popularity_mass(graph, alpha=alpha)
        expected = ratings.sum(axis=0) ** alpha
    items = draw_items(jax.random.key(0), TrainingGraph(graph, mass), 20_000)
    counts = np.bincount(items, minlength=5)
    assert stats.chisquare(counts, 20_000 * expected / expected.sum()).pvalue > 1e-4


def test_each_drawn_item_is_counted_at_one_place() -> None:
    place, count = map(np.asarray, count_once(jnp.array([3, 1, 3, 3, 0]), num_items=5))
    assert [int(p) >= 0 for p in place] == [True, True, False, True, False]
    assert [int(count[place[item]]) for item in (0, 1, 3)] == [1, 1, 3]
    assert int(count.sum()) == 5 and int((count > 0).sum()) == 3


@pytest.mark.parametrize("draws", [30, 90])
def test_shared_negatives_share_out_the_draws_and_leave_out_what_a_user_knows(draws: int) -> None:
    ratings = np.array([[1, 0, 1, 0], [0, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]], float)
    data, key = TrainingGraph(graph_from_dense(ratings)), jax.random.key(4)
    users = jnp.array([2, 0, -1, 3])
    batch = interactions_of(data.graph, users, max_edges=8)
    items, log_weights = map(np.asarray, shared_negatives(key, data, batch, draws))
    drawn = np.bincount(draw_items(key, data, draws), minlength=4)
    assert drawn.sum() == draws and len(items) == min(draws, 64)
    for user, row in zip(np.asarray(users), np.exp(log_weights), strict=True):
        shares = np.bincount(items, weights=row, minlength=4)
        knows = ratings[user] if user >= 0 else np.zeros(4)
        np.testing.assert_allclose(shares, drawn / draws * (1 - knows), rtol=1e-5)


def test_draws_of_few_items_find_room_for_all_that_are_different() -> None:
    rng = np.random.default_rng(0)
    for num_items, draws in ((1, 5), (2, 100), (300, 512), (1_700, 2_048), (4_000, 4_096)):
        most = most_distinct(num_items, draws)
        assert most < num_items + 64
        for alpha in (0.0, 1.0):
            share = np.arange(1, num_items + 1.0) ** -alpha
            for _ in range(20):
                drawn = rng.choice(num_items, draws, p=share / share.sum())
                assert len(np.unique(drawn)) <= most
    expected = 1_700 * (1 - (1 - 1 / 1_700) ** 2_048) + 4 * 1_700**0.5  # and not many more
    assert expected <= most_distinct(1_700, 2_048) < expected + 64
    assert most_distinct(10**6, 4_096) >= 4_096


def test_draws_that_find_no_room_are_shared_out_among_those_that_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(negatives, "most_distinct", lambda num_items, num_draws: 2)
    data = TrainingGraph(graph_from_dense(np.array([[1, 0, 0, 0]], float)))
    batch = interactions_of(data.graph, jnp.array([0]), max_edges=1)
    drawn = jnp.array([3, 2, 3, 1, 0, 3, 2, 1])  # the last places: 0's, 3's, then 2's and 1's
    items, log_weights = weigh_draws(drawn, batch, num_items=4)
    assert items.tolist() == [0, 3]
    np.testing.assert_allclose(np.exp(log_weights), [[0, 3 / 4]], rtol=1e-6)  # 0 is known


def test_what_fills_up_the_room_for_different_items_has_been_drawn() -> None:
    data = TrainingGraph(graph_from_dense(np.array([[0, 1, 0, 0]], float)))
    batch = interactions_of(data.graph, jnp.array([0]), max_edges=1)
    items, log_weights = weigh_draws(jnp.array([3, 2] * 50), batch, num_items=4)
    assert len(items) == 64 and set(items.tolist()) == {2, 3}
    assert np.exp(log_weights).sum() == pytest.approx(1)
