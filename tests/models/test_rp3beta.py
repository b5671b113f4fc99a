"""RP3beta against every walk, one by one."""

import numpy as np
import pytest

from tests.models.problems import fit, random_plays


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
