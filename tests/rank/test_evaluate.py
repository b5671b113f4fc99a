"""Evaluation: the protocols, by brute force and by cases with a known answer."""

import json

import numpy as np
import pytest

from jaxrec.config import EvalConfig, RunConfig
from jaxrec.data.splits import Split
from jaxrec.errors import UserError
from jaxrec.models import popularity
from jaxrec.models.histories import Histories
from jaxrec.rank import top_k as top_k_module
from jaxrec.rank.evaluate import choose_users, evaluate, find_hits
from jaxrec.rank.measure import Measure
from tests.models.problems import as_interactions as from_matrix
from tests.rank.models import LookedUp, factors, users_of


def random_problem(seed, users, items, dim=3):
    """Train and test as disjoint matrices, and embeddings whose scores often tie."""
    random = np.random.default_rng(seed)
    draw = random.random((users, items))
    train, test = draw < 0.15, (draw >= 0.15) & (draw < 0.3)
    test[:, ~train.any(axis=0)] = False
    tables = [random.integers(-2, 3, (size, dim)).astype(np.float32) for size in (users, items)]
    return train, test, *tables


def measured(model, *, train, **rest):
    """The evaluation of a model, or of two tables, on users known by their number."""
    return evaluate(
        factors(*model) if isinstance(model, tuple) else model,
        histories=users_of(np.arange(train.num_users), train.num_items),
        train=train,
        **{"protocol": {}} | rest,
    )


def recall_and_ndcg(scores, relevant, hidden, k):
    """Brute force, user by user."""
    recall, ndcg = [], []
    for user in np.flatnonzero(relevant.any(axis=1)):
        order = [
            i
            for i in sorted(range(scores.shape[1]), key=lambda i: (-scores[user, i], i))
            if not hidden[user, i]
        ][:k]
        gains = [float(relevant[user, i]) for i in order]
        wanted = int(relevant[user].sum())
        ideal = sum(1 / np.log2(rank + 2) for rank in range(min(k, wanted)))
        recall.append(sum(gains) / wanted)
        ndcg.append(sum(g / np.log2(rank + 2) for rank, g in enumerate(gains)) / ideal)
    return recall, ndcg


@pytest.mark.parametrize(
    ("users", "items", "ks"), [(50, 40, [1, 5]), (20, 300, [10]), (7, 12, [20])]
)
@pytest.mark.parametrize("held_out", [True, False])
@pytest.mark.parametrize("by", ["factors", "scores"])
def test_equals_brute_force(users, items, ks, held_out, by):
    train, test, user_table, item_table = random_problem(users, users, items)
    relevant = test if held_out else train
    scores = user_table @ item_table.T
    evaluation = measured(
        (user_table, item_table) if by == "factors" else LookedUp(scores),
        relevant=from_matrix(relevant),
        seen=from_matrix(train) if held_out else None,
        train=from_matrix(train),
        ks=ks,
    )
    hidden = train.copy() if held_out else np.zeros_like(train)
    hidden[:, ~train.any(axis=0)] = True
    np.testing.assert_array_equal(evaluation.users, np.flatnonzero(relevant.any(axis=1)))
    for k in ks:
        recall, ndcg = recall_and_ndcg(user_table @ item_table.T, relevant, hidden, k)
        np.testing.assert_allclose(evaluation.per_user[f"recall@{k}"], recall, rtol=1e-12)
        np.testing.assert_allclose(evaluation.per_user[f"ndcg@{k}"], ndcg, rtol=1e-12)
        assert evaluation.means()[f"recall@{k}"] == pytest.approx(np.mean(recall))


@pytest.mark.parametrize("seen", ["exclude", "include", "only"])
@pytest.mark.parametrize("by", ["factors", "scores"])
def test_each_rule_for_what_was_known_equals_brute_force(seen, by):
    train, new, user_table, item_table = random_problem(4, 70, 30)
    random = np.random.default_rng(5)
    test = new | (train & (random.random(train.shape) < 0.4))  # some are heard again
    part = {"kind": "time", "moment": 1, "again": {}}
    split = Split(from_matrix(train), None, from_matrix(test), part)
    measure = Measure(RunConfig(eval=EvalConfig(ks=(3, 10), seen=seen)), split)
    scores = (user_table @ item_table.T).astype(np.float32)
    model = factors(user_table, item_table) if by == "factors" else LookedUp(scores)
    found = measure.of_all("test", model, (3, 10))
    relevant = {"exclude": test & ~train, "include": test, "only": test & train}[seen]
    hidden = {"exclude": train, "include": np.zeros_like(train), "only": ~train}[seen].copy()
    hidden[:, ~train.any(axis=0)] = True
    np.testing.assert_array_equal(found.users, np.flatnonzero(relevant.any(axis=1)))
    for k in (3, 10):
        recall, ndcg = recall_and_ndcg(scores, relevant, hidden, k)
        np.testing.assert_allclose(found.per_user[f"recall@{k}"], recall, rtol=1e-12)
        np.testing.assert_allclose(found.per_user[f"ndcg@{k}"], ndcg, rtol=1e-12)
    assert found.protocol["seen"] == seen
    assert measure.has_again("test") and not measure.has_again("reconstruction")


def test_what_nobody_knew_before_can_not_be_all_that_is_found():
    train, new, user_table, item_table = random_problem(4, 20, 30)
    split = Split(from_matrix(train), None, from_matrix(new), {"kind": "random"})
    measure = Measure(RunConfig(eval=EvalConfig(seen="only")), split)
    with pytest.raises(UserError, match=r"config\.eval\.seen is 'only'.*split=time"):
        measure.of_all("test", factors(user_table, item_table), (3,))


def test_chunk_size_and_order_of_users_do_not_change_a_bit(monkeypatch):
    train, test, _, _ = random_problem(1, 200, 90)
    random = np.random.default_rng(1)
    user_table = random.standard_normal((200, 16)).astype(np.float32)
    item_table = random.standard_normal((90, 16)).astype(np.float32)

    def measure(users=None, memory_budget_mb=256):
        return measured(
            (user_table, item_table),
            relevant=from_matrix(test),
            seen=from_matrix(train),
            train=from_matrix(train),
            ks=[3, 10],
            users=users,
            memory_budget_mb=memory_budget_mb,
        )

    whole, tiny = measure(), measure(memory_budget_mb=0)
    order = random.permutation(whole.users)
    shuffled = measure(users=order)
    monkeypatch.setattr(top_k_module, "MOST_BLOCKS_PER_CHUNK", 2)
    small = measure()
    place = np.searchsorted(whole.users, order)
    np.testing.assert_array_equal(shuffled.users, order)
    for name, values in whole.per_user.items():
        np.testing.assert_array_equal(tiny.per_user[name], values)
        np.testing.assert_array_equal(small.per_user[name], values)
        np.testing.assert_array_equal(shuffled.per_user[name], values[place])
    assert whole.beyond == tiny.beyond == small.beyond


@pytest.mark.parametrize("held_out", [True, False])
def test_the_withheld_item_of_a_checkerboard_comes_first(held_out):
    """Users like the items of their own parity; one of them is withheld from each user."""
    users, items = 40, 30
    board = (np.arange(users)[:, None] + np.arange(items)) % 2 == 0
    withheld = np.zeros_like(board)
    random = np.random.default_rng(2)
    for user in range(users):
        withheld[user, random.choice(np.flatnonzero(board[user]))] = True
    train = board & ~withheld
    parity = np.eye(2, dtype=np.float32)
    evaluation = measured(
        (parity[np.arange(users) % 2], parity[np.arange(items) % 2]),
        relevant=from_matrix(withheld if held_out else train),
        seen=from_matrix(train) if held_out else None,
        train=from_matrix(train),
        ks=[1, items // 2],
    )
    means = evaluation.means()
    if held_out:
        assert means["recall@1"] == means["ndcg@1"] == means["mrr@15"] == 1
    else:
        assert means["recall@15"] == 1  # the withheld one is listed too, among the 15
        assert means["precision@15"] == pytest.approx(14 / 15)


def test_items_that_train_does_not_know_are_never_listed_and_count_as_missed():
    train = np.array([[1, 0, 0], [1, 0, 0]], bool)
    test = np.array([[0, 1, 1], [0, 0, 0]], bool)
    train[1, 1] = True  # item 2 stays cold, though it scores best
    evaluation = measured(
        (np.ones((2, 1), np.float32), np.array([[1], [2], [9]], np.float32)),
        relevant=from_matrix(test),
        seen=from_matrix(train),
        train=from_matrix(train),
        ks=[3],
    )
    assert evaluation.means()["recall@3"] == 0.5
    assert evaluation.means()["mrr@3"] == 1
    assert evaluation.protocol["candidates"] == 2


def test_one_user_and_one_item():
    one = from_matrix(np.ones((1, 1), bool))
    table = np.ones((1, 1), np.float32)
    evaluation = measured(
        (table, table), relevant=one, seen=None, train=one, ks=[1, 5], protocol={}
    )
    assert evaluation.means()["ndcg@1"] == evaluation.means()["map@5"] == 1
    masked = measured((table, table), relevant=one, seen=one, train=one, ks=[1])
    assert masked.means()["recall@1"] == 0


def test_the_protocol_says_all_that_is_needed_to_read_the_figures():
    train, test, user_table, item_table = random_problem(3, 30, 25)
    test[4] = False
    evaluation = measured(
        (user_table, item_table),
        relevant=from_matrix(test),
        seen=from_matrix(train),
        train=from_matrix(train),
        ks=[2, 4],
        users=np.array([3, 4, 9]),
        protocol={"data": "abc", "split": {"kind": "random", "seed": 7}},
    )
    protocol = json.loads(json.dumps(evaluation.protocol))
    assert protocol["data"] == "abc" and protocol["split"]["seed"] == 7
    assert protocol["users"] == 2 and protocol["users_without_relevant_items"] == 1
    assert protocol["ks"] == [2, 4]
    assert str(train.sum()) in protocol["masked"]
    names = {name.partition("@")[0] for name in (*evaluation.per_user, *evaluation.beyond)}
    assert protocol["metrics"].keys() == names
    summary = evaluation.summary(seed=0)
    assert summary.keys() == evaluation.per_user.keys()
    assert all(row["low"] <= row["mean"] <= row["high"] for row in summary.values())
    assert summary == evaluation.summary(seed=0)


def test_no_user_with_relevant_items_is_a_clear_error():
    train = from_matrix(np.ones((2, 2), bool))
    nothing = from_matrix(np.zeros((2, 2), bool))
    table = np.ones((2, 1), np.float32)
    with pytest.raises(UserError, match="none of 2 users has an interaction"):
        measured((table, table), relevant=nothing, seen=train, train=train, ks=[1])


def test_hits_are_the_pairs_of_the_relevant_part():
    relevant = np.array([[0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]], bool)
    items = np.array([[3, -1, 0], [1, 0, 2], [0, 3, -1]])
    found = find_hits(items, np.array([0, 1, 2]), from_matrix(relevant))
    np.testing.assert_array_equal(found, [[1, 0, 0], [0, 0, 0], [1, 0, 0]])
    assert not find_hits(items, np.array([0, 1, 2]), from_matrix(relevant & False)).any()


def test_chosen_users_depend_on_the_seed_and_have_interactions():
    listened = np.random.default_rng(4).random((300, 10)) < 0.1
    interactions = from_matrix(listened)
    chosen = choose_users(interactions, count=100, seed=1)
    assert len(chosen) == len(np.unique(chosen)) == 100
    assert np.all(np.diff(chosen) > 0) and listened[chosen].any(axis=1).all()
    np.testing.assert_array_equal(chosen, choose_users(interactions, count=100, seed=1))
    assert not np.array_equal(chosen, choose_users(interactions, count=100, seed=2))
    everyone = choose_users(interactions, count=1000, seed=1)
    np.testing.assert_array_equal(everyone, np.flatnonzero(listened.any(axis=1)))


def test_most_popular_ranks_by_users_then_index_for_everyone():
    train = np.array([[1, 0, 1, 0, 1], [1, 0, 1, 0, 0], [0, 1, 1, 0, 0]], bool)
    histories = Histories.of_all(from_matrix(train), "binary")
    model = popularity.fit(histories.matrix())
    for each in (histories, histories.of_strangers()):
        found, _ = top_k_module.top_k(model, each, k=5)
        np.testing.assert_array_equal(found, [[2, 0, 1, 4, 3]] * 3)


def test_most_popular_goes_through_the_same_evaluation():
    train, test, _, _ = random_problem(5, 60, 30)
    evaluation = measured(
        popularity.fit(Histories.of_all(from_matrix(train), "binary").matrix()),
        relevant=from_matrix(test),
        seen=None,
        train=from_matrix(train),
        ks=[5],
    )
    assert evaluation.beyond["mean_popularity_rank@5"] == 3  # the ranks 1 to 5 for everyone
    assert evaluation.beyond["coverage@5"] == pytest.approx(5 / train.any(axis=0).sum())
