"""ItemKNN against hand-computed values and brute force."""

import numpy as np
import pytest

from jaxrec.models.itemknn import similarities
from jaxrec.models.matrix import untracked
from tests.models.problems import as_matrix, fit, random_plays


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
    rows = as_matrix(table, "binary")
    found = similarities(rows, neighbours=2, shrink=0.0, track=untracked).toarray()
    near, far = 2 / np.sqrt(3 * 2), 1 / np.sqrt(3 * 1)
    np.testing.assert_allclose(found, [[0, near, far], [near, 0, 0], [far, 0, 0]], rtol=1e-6)
    found = similarities(rows, neighbours=1, shrink=1.0, track=untracked).toarray()
    near, far = 2 / (np.sqrt(3 * 2) + 1), 1 / (np.sqrt(3 * 1) + 1)
    np.testing.assert_allclose(found, [[0, near, far], [near, 0, 0], [0, 0, 0]], rtol=1e-6)
