"""iALS: the objective never rises, and what it comes to."""

from collections.abc import Iterable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import sparse

from jaxrec.models import ials
from jaxrec.models.least_squares import Ridge, batches, half_step
from tests.models.problems import as_matrix, fit, random_plays

RIDGE = Ridge(unobserved_weight=0.2, l2=0.05, l2_exponent=0.7)
SETTINGS: dict[str, Any] = {"dim": 4, "iterations": 6, "init_stddev": 0.1} | vars(RIDGE)


def objective(matrix: sparse.csr_array, users: np.ndarray, items: np.ndarray) -> float:
    """What is minimised, by its definition, for small matrices."""
    scores = users.astype(np.float64) @ items.T.astype(np.float64)
    loss = float((matrix.toarray() * (scores - 1) ** 2).sum())
    loss += RIDGE.unobserved_weight * float((scores**2).sum())
    for side, table in ((matrix, users), (matrix.T.tocsr(), items)):
        loss += float(RIDGE.row_l2(side) @ (table.astype(np.float64) ** 2).sum(axis=1))
    return loss


def test_the_objective_never_rises() -> None:
    table = random_plays(1, users=40, items=25)
    rows = as_matrix(table, "raw")
    users = jnp.zeros((40, 4))
    items = jnp.asarray(np.random.default_rng(1).standard_normal((25, 4)), jnp.float32)
    sides = [batches(side, dim=4, l2=RIDGE.row_l2(side)) for side in (rows, rows.T.tocsr())]
    values = []
    for _ in range(5):
        users = half_step(sides[0], users, items, 0.2)
        values.append(objective(rows, np.asarray(users), np.asarray(items)))
        items = half_step(sides[1], items, users, 0.2)
        values.append(objective(rows, np.asarray(users), np.asarray(items)))
    assert np.all(np.diff(values) < 1e-5 * values[0])
    assert values[-1] < values[0]


def test_the_objective_by_hand() -> None:
    """One user with two items, plays 3 and none, embeddings of one dimension."""
    rows = as_matrix(np.array([[3, 0]]))
    value = objective(rows, np.array([[2.0]]), np.array([[0.25], [1.0]]))
    observed = 3 * (0.5 - 1) ** 2
    everywhere = 0.2 * (0.5**2 + 2**2)
    ridge = (1 + 0.2 * 2) ** 0.7 * 4 + (1 + 0.2) ** 0.7 * 0.25**2 + 0.2**0.7 * 1
    assert value == pytest.approx(observed + everywhere + 0.05 * ridge)


def test_the_seed_decides() -> None:
    table = random_plays(2, users=30, items=20)
    first, again, other = (fit("ials", table, seed=seed, **SETTINGS) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


def test_two_groups_are_told_apart() -> None:
    table = np.kron(np.eye(2, dtype=np.int64), np.ones((10, 8), np.int64))
    table[0, 0] = 0  # the withheld item
    scores = fit("ials", table, **(SETTINGS | {"dim": 2}))
    assert scores[0, 0] > 0.5
    assert np.abs(scores[0, 8:]).max() < 0.1


def test_every_iteration_is_tracked() -> None:
    seen: list[int] = []

    def track(steps: Sequence[Any], what: str, unit: str) -> Iterable[Any]:
        assert unit == "iterations"
        for step in steps:
            yield step
            seen.append(step)

    rows = as_matrix(random_plays(3, users=6, items=5), "binary")
    ials.fit(rows, **SETTINGS, seed=0, track=track)
    assert seen == list(range(6))
