"""Most popular, ItemKNN and RP3beta against hand-computed values, brute force and walks."""

import numpy as np
import pytest
from jaxrec.baselines import matrix as module
from jaxrec.baselines.itemknn import similarities
from jaxrec.baselines.matrix import interaction_matrix, item_blocks, strongest, untracked
from scipy import sparse

from tests.baselines.problems import as_interactions, fit, random_plays


def brute_force_knn(
    table: np.ndarray, neighbours: int, shrink: float, normalize: bool, centre: bool
) -> np.ndarray:
    """Scores of all users, entry by entry."""
    num_items = table.shape[1]
    weights = np.zeros((num_items, num_items))
    for j in range(num_items):
        near = []
        for i in range(num_items):
            lengths = np.linalg.norm(table[:, i]) * np.linalg.norm(table[:, j])
            overlap = table[:, i] @ table[:, j]
            if i != j and overlap > 0:
                near.append((-overlap / (lengths + shrink), i))
        for value, i in sorted(near)[:neighbours]:
            weights[i, j] = -value
        if normalize and weights[:, j].any():
            weights[:, j] /= weights[:, j].sum()
    mean = table.mean(axis=0) if centre else np.zeros(num_items)
    return mean + (table - mean) @ weights


@pytest.mark.parametrize("neighbours", [1, 3, 50])
@pytest.mark.parametrize("shrink", [0.0, 10.0])
@pytest.mark.parametrize(("normalize", "centre"), [(False, False), (True, False), (True, True)])
def test_itemknn_is_the_brute_force(
    neighbours: int, shrink: float, normalize: bool, centre: bool
) -> None:
    table = random_plays(neighbours, users=25, items=14)
    settings = {
        "neighbours": neighbours,
        "shrink": shrink,
        "normalize": normalize,
        "centre": centre,
    }
    scores = fit("itemknn", table, weight="raw", **settings)
    np.testing.assert_allclose(scores, brute_force_knn(table, **settings), rtol=2e-5, atol=1e-6)


def test_itemknn_by_hand() -> None:
    """Item 0 has listeners 0, 1, 2; item 1 has 0, 1; item 2 has 2."""
    table = np.array([[1, 1, 0], [1, 1, 0], [1, 0, 1]])
    rows = interaction_matrix(as_interactions(table), "binary")
    found = similarities(rows, neighbours=2, shrink=0.0, track=untracked).toarray()
    near, far = 2 / np.sqrt(3 * 2), 1 / np.sqrt(3 * 1)
    np.testing.assert_allclose(found, [[0, near, far], [near, 0, 0], [far, 0, 0]], rtol=1e-6)
    found = similarities(rows, neighbours=1, shrink=1.0, track=untracked).toarray()
    near, far = 2 / (np.sqrt(3 * 2) + 1), 1 / (np.sqrt(3 * 1) + 1)
    np.testing.assert_allclose(found, [[0, near, far], [near, 0, 0], [0, 0, 0]], rtol=1e-6)


def walk_scores(table: np.ndarray, alpha: float, beta: float) -> np.ndarray:
    """Every walk user, item, user, item, one by one."""
    users, items = table.shape
    scores = np.zeros((users, items))
    degree = table.sum(axis=0)

    def step(part: float, whole: float) -> float:
        return float((part / whole) ** alpha) if part else 0.0

    for u in range(users):
        for i in range(items):
            for v in range(users):
                for j in range(items):
                    first = step(table[u, i], table[u].sum())
                    second = step(table[v, i], table[:, i].sum())
                    third = step(table[v, j], table[v].sum())
                    scores[u, j] += first * second * third / degree[j] ** beta
    return scores


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.0), (1.0, 0.6), (0.5, 0.3)])
def test_rp3beta_sums_the_walks(alpha: float, beta: float) -> None:
    table = random_plays(3, users=8, items=6)
    scores = fit("rp3beta", table, weight="raw", neighbours=6, alpha=alpha, beta=beta)
    np.testing.assert_allclose(scores, walk_scores(table, alpha, beta), rtol=1e-5)
    if (alpha, beta) == (1.0, 0.0):
        np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-5)  # a walk ends somewhere


def test_rp3beta_keeps_each_items_best_targets() -> None:
    """One user who knows one item: the scores are that item's row."""
    table = random_plays(4, users=12, items=9)
    table[0] = 0
    table[0, 2] = 1
    whole = fit("rp3beta", table, neighbours=9, alpha=0.7, beta=0.4)[0]
    cut = fit("rp3beta", table, neighbours=3, alpha=0.7, beta=0.4)[0]
    best = np.argsort(-whole, kind="stable")[:3]
    np.testing.assert_array_equal(np.flatnonzero(cut), np.sort(best))
    np.testing.assert_array_equal(cut[best], whole[best])


def test_most_popular_scores_by_listeners_not_by_plays() -> None:
    table = np.array([[9, 0, 1], [0, 0, 1]])
    np.testing.assert_array_equal(fit("most_popular", table, weight="raw"), [[1, 0, 2], [1, 0, 2]])


@pytest.mark.parametrize("method", ["itemknn", "rp3beta"])
def test_blocks_of_items_change_nothing(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    table = random_plays(5, users=60, items=40)
    settings = {
        "itemknn": {"neighbours": 5, "shrink": 2.0, "normalize": True, "centre": True},
        "rp3beta": {"neighbours": 5, "alpha": 0.8, "beta": 0.3},
    }[method]
    rows = interaction_matrix(as_interactions(table), "binary")
    whole = fit(method, table, **settings)
    assert len(item_blocks(rows)) == 1
    monkeypatch.setattr(module, "ENTRIES_PER_BLOCK", 500)
    blocks = item_blocks(rows)
    assert len(blocks) > 3
    assert [index for block in blocks for index in range(40)[block]] == list(range(40))
    np.testing.assert_array_equal(fit(method, table, **settings), whole)


def test_the_strongest_of_equals_are_the_first() -> None:
    rows = sparse.csr_array(np.array([[2, 1, 2, 3, 2], [0, 0, 0, 0, 7], [0, 0, 0, 0, 0.0]]))
    expected = [[2, 0, 2, 3, 0], [0, 0, 0, 0, 7], [0, 0, 0, 0, 0]]
    np.testing.assert_array_equal(strongest(rows, 3).toarray(), expected)
