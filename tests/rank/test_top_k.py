"""The best k items: exact, with ties by index, and the same bits whatever the memory."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrec.data.ids import IdMap
from jaxrec.data.interactions import Interactions
from jaxrec.errors import RunError
from jaxrec.rank import top_k as module
from jaxrec.rank.seen import Seen
from jaxrec.rank.top_k import top_k
from tests.rank.models import LookedUp, factors, users_of


def whole_numbers(random, users, items, dim=4, largest=2):
    """Embeddings whose products are exact in float32 and often equal."""
    return tuple(
        random.integers(-largest, largest + 1, (size, dim)).astype(np.float32)
        for size in (users, items)
    )


def random_seen(random, users, items, share=0.2):
    listened = random.random((users, items)) < share
    offsets = np.concatenate([[0], np.cumsum(listened.sum(axis=1))]).astype(np.int64)
    return Seen(offsets, np.nonzero(listened)[1].astype(np.int32)), listened


def oracle(user_embeddings, item_embeddings, users, k, hidden):
    """The same by a stable sort of every score in float64; `hidden` is [num_users, num_items]."""
    scores = user_embeddings.astype(np.float64) @ item_embeddings.astype(np.float64).T
    scores[hidden] = -np.inf
    items = np.full((len(users), k), -1)
    values = np.full((len(users), k), -np.inf)
    for row, user in enumerate(users):
        best = np.argsort(-scores[user], kind="stable")[:k]
        best = best[scores[user][best] > -np.inf]
        items[row, : len(best)] = best
        values[row, : len(best)] = scores[user][best]
    return items, values


def tables(*, user=1.0, item=1.0):
    """Constant embeddings."""
    return np.full((3, 2), user, np.float32), np.full((2, 2), item, np.float32)


def lists(model, users, *, seen=None, **rest):
    """`top_k` for users by number, of a model or of two tables; `seen` has a row for every user."""
    model = factors(*model) if isinstance(model, tuple) else model
    users = np.asarray(users, np.int32)
    if seen is not None:
        rows = [seen.items[seen.offsets[user] : seen.offsets[user + 1]] for user in users]
        offsets = np.cumsum([0, *map(len, rows)])
        seen = Seen(offsets, np.concatenate([np.zeros(0, np.int32), *rows]))
    return top_k(model, users_of(users, model.num_items), seen=seen, **rest)


SIZES = [
    # users, items, k: one of each, k above the catalogue, one search and two-stage search, and
    # numbers just beside the block sizes
    (1, 1, 3),
    (5, 7, 10),
    (33, 63, 5),
    (31, 65, 1),
    (40, 1537, 6),
    (40, 1537, 7),
    (3, 300, 300),
]


@pytest.mark.parametrize(("users", "items", "k"), SIZES)
def test_equals_a_stable_sort_of_all_scores(users, items, k):
    random = np.random.default_rng(users * items + k)
    user_table, item_table = whole_numbers(random, users, items)
    seen, listened = random_seen(random, users, items)
    candidates = random.random(items) < 0.8
    chosen = random.integers(0, users, users + 3)
    for mask, allowed in [(None, None), (seen, candidates)]:
        hidden = np.zeros((users, items), bool) if mask is None else listened.copy()
        if allowed is not None:
            hidden[:, ~allowed] = True
        found, scores = lists((user_table, item_table), chosen, k=k, seen=mask, candidates=allowed)
        expected, values = oracle(user_table, item_table, chosen, k, hidden)
        scored = lists(
            LookedUp(user_table @ item_table.T), chosen, k=k, seen=mask, candidates=allowed
        )
        np.testing.assert_array_equal(scored[0], expected)
        np.testing.assert_array_equal(scored[1], values)
        assert found.dtype == np.int32 and scores.dtype == np.float32
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(scores, values)


def test_equal_scores_come_in_order_of_index_across_all_blocks():
    items = np.ones((2000, 1), np.float32)
    items[[3, 700, 1999]] = 2
    found, _ = lists((np.ones((1, 1), np.float32), items), np.array([0]), k=6)
    np.testing.assert_array_equal(found, [[3, 700, 1999, 0, 1, 2]])


def test_minus_zero_equals_zero():
    items = np.zeros((1000, 1), np.float32)
    items[::2] = -0.0
    found, _ = lists((np.ones((1, 1), np.float32), items), np.array([0]), k=4)
    np.testing.assert_array_equal(found, [np.arange(4)])
    found, _ = lists((np.ones((1, 1), np.float32), items), np.array([0]), k=800)
    np.testing.assert_array_equal(found, [np.arange(800)])


@pytest.mark.parametrize(("dim", "items"), [(1, 50), (3, 7), (64, 2500)])
def test_the_memory_budget_does_not_change_a_bit(dim, items, monkeypatch):
    random = np.random.default_rng(dim)
    users = 150
    user_table = random.standard_normal((users, dim)).astype(np.float32)
    item_table = random.standard_normal((items, dim)).astype(np.float32)
    item_table[items // 2 :] = item_table[: items - items // 2]  # so that there are ties too
    seen, _ = random_seen(random, users, items, 0.1)
    shapes = set()

    def rank(user_blocks, *rest):
        shapes.add(user_blocks.shape[0])
        return ranked(user_blocks, *rest)

    ranked = module.best_columns_on
    monkeypatch.setattr(module, "best_columns_on", rank)
    results = [
        lists((user_table, item_table), np.arange(users), k=9, seen=seen, memory_budget_mb=budget)
        for budget in (0, 1, 1000)
    ]
    monkeypatch.setattr(module, "MOST_BLOCKS_PER_CHUNK", 2)
    results.append(lists((user_table, item_table), np.arange(users), k=9, seen=seen))
    assert {1, 2, 5} <= shapes, "the budgets should lead to chunks of different sizes"
    for found, scores in results[1:]:
        np.testing.assert_array_equal(found, results[0][0])
        np.testing.assert_array_equal(scores.view(np.int32), results[0][1].view(np.int32))


@pytest.mark.parametrize("array", [np.asarray, jnp.asarray])
def test_other_models_are_asked_for_one_number_of_users_whoever_is_ranked(array):
    """So that no product in a model can round differently in a larger block."""
    random = np.random.default_rng(9)
    of_all = random.standard_normal((150, 2500)).astype(np.float32)
    seen, _ = random_seen(random, 150, 2500, 0.1)
    model = LookedUp(of_all, array)
    found, scores = lists(model, np.arange(150), k=9, seen=seen, memory_budget_mb=1000)
    assert model.asked == [64] * 3
    for users in (np.arange(150), np.array([140]), np.arange(149, -1, -2)):
        again, again_scores = lists(model, users, k=9, seen=seen, memory_budget_mb=0)
        np.testing.assert_array_equal(again, found[users])
        np.testing.assert_array_equal(again_scores.view(np.int32), scores[users].view(np.int32))
    assert set(model.asked) == {64}


def test_a_user_alone_gets_the_list_it_gets_in_a_crowd():
    random = np.random.default_rng(5)
    user_table = random.standard_normal((100, 24)).astype(np.float32)
    item_table = random.standard_normal((2600, 24)).astype(np.float32)
    seen, _ = random_seen(random, 100, 2600)
    found, scores = lists((user_table, item_table), np.arange(100), k=10, seen=seen)
    order = random.permutation(100)
    shuffled, shuffled_scores = lists((user_table, item_table), order, k=10, seen=seen)
    np.testing.assert_array_equal(shuffled, found[order])
    np.testing.assert_array_equal(shuffled_scores, scores[order])
    for user in (0, 57, 99):
        alone, alone_scores = lists((user_table, item_table), np.array([user]), k=10, seen=seen)
        np.testing.assert_array_equal(alone[0], found[user])
        np.testing.assert_array_equal(alone_scores[0], scores[user])


def test_seen_and_excluded_items_are_never_listed():
    random = np.random.default_rng(6)
    user_table, item_table = whole_numbers(random, 60, 200)
    seen, listened = random_seen(random, 60, 200, 0.7)
    candidates = random.random(200) < 0.5
    found, scores = lists(
        (user_table, item_table), np.arange(60), k=200, seen=seen, candidates=candidates
    )
    for user in range(60):
        listed = found[user][found[user] >= 0]
        np.testing.assert_array_equal(np.sort(listed), np.flatnonzero(candidates & ~listened[user]))
        assert np.all(found[user, len(listed) :] == -1)
        assert np.all(scores[user, len(listed) :] == -np.inf)


def test_a_user_who_listened_to_everything_gets_an_empty_list():
    seen = Seen(np.array([0, 3, 3]), np.arange(3, dtype=np.int32))
    tables = np.ones((2, 1), np.float32), np.ones((3, 1), np.float32)
    found, _ = lists(tables, np.array([0, 1]), k=2, seen=seen)
    np.testing.assert_array_equal(found, [[-1, -1], [0, 1]])


def test_a_user_who_listened_to_thousands_is_masked_whole():
    items = 5000
    seen = Seen(np.array([0, 0, items - 2, items - 2]), np.arange(2, items, dtype=np.int32))
    tables = np.ones((3, 1), np.float32), np.arange(items, dtype=np.float32)[:, None]
    found, _ = lists(tables, np.arange(3), k=3, seen=seen)
    np.testing.assert_array_equal(found, [[4999, 4998, 4997], [1, 0, -1], [4999, 4998, 4997]])


def test_nothing_to_rank_gives_empty_lists():
    table = np.ones((3, 2), np.float32)
    found, scores = lists((table, table), np.zeros(0, np.int32), k=4)
    assert found.shape == scores.shape == (0, 4)
    found, scores = lists((table, table), np.array([1]), k=4, candidates=np.zeros(3, bool))
    np.testing.assert_array_equal(found, [[-1] * 4])
    assert np.all(scores == -np.inf)


def test_ranks_under_strict_promotion():
    random = np.random.default_rng(7)
    tables = whole_numbers(random, 40, 500)
    seen, _ = random_seen(random, 40, 500)
    expected = lists(tables, np.arange(40), k=4, seen=seen)
    jax.clear_caches()
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        found = lists(tables, np.arange(40), k=4, seen=seen)
    np.testing.assert_array_equal(found[0], expected[0])


def test_compiles_once_for_all_chunks_of_a_call():
    random = np.random.default_rng(8)
    user_table, item_table = whole_numbers(random, 333, 150)
    seen, _ = random_seen(random, 333, 150)
    jax.clear_caches()
    lists((user_table, item_table), np.arange(333), k=5, seen=seen, memory_budget_mb=0)
    assert module.best_columns_on._cache_size() == 1


def test_seen_are_the_users_items_in_the_order_asked():
    ids = IdMap(np.arange(4))
    user, item = np.array([0, 0, 2], np.int32), np.array([1, 3, 0], np.int32)
    interactions = Interactions(user, item, np.ones(3), None, ids, ids)
    seen = Seen.of_users(interactions, np.array([3, 2, 0, 1, 0]))
    rows = [seen.items[start:stop].tolist() for start, stop in itertools.pairwise(seen.offsets)]
    assert rows == [[], [0], [1, 3], [], [1, 3]]


ONE_USER = users_of([0], 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": 0}, "k is 0"),
        ({"histories": users_of([3], 2)}, "user 3; expected below 3"),
        ({"histories": users_of([0], 3)}, "histories of 3 items; expected 2"),
        ({"candidates": np.ones(4, bool)}, r"candidates are bool \(4,\)"),
        ({"candidates": np.array([0, 1])}, "candidates are int64"),
        (
            {"seen": Seen(np.array([0, 0, 0]), np.zeros(0, np.int32))},
            "seen has 2 rows; expected 1",
        ),
        ({"model": LookedUp(np.ones((3, 2)), lambda rows: rows[:, :1])}, r"the shape \(64, 1\)"),
    ],
)
def test_refuses_what_does_not_fit_together(change, message):
    arguments = {"model": factors(*tables()), "histories": ONE_USER, "k": 1} | change
    with pytest.raises(ValueError, match=message):
        top_k(**arguments)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (factors(*tables(item=np.nan)), "the items' embeddings hold a NaN"),
        (factors(*tables(user=np.inf)), "the users' embeddings hold a NaN"),
        (LookedUp(np.full((3, 2), np.nan)), "the scores hold a NaN"),
    ],
)
def test_what_is_not_finite_is_a_failure(model, message):
    with pytest.raises(RunError, match=message):
        top_k(model, ONE_USER, k=1)
