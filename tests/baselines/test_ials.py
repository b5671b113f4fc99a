"""iALS: each half step is exact, and the objective never rises."""

from collections.abc import Iterable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from jaxrec.baselines import ials
from jaxrec.baselines.ials import batches, half_step, row_l2
from jaxrec.baselines.matrix import interaction_matrix
from scipy import sparse

from tests.baselines.problems import as_interactions, fit, random_plays

SETTINGS: dict[str, Any] = {
    "dim": 4,
    "iterations": 6,
    "unobserved_weight": 0.2,
    "l2": 0.05,
    "l2_exponent": 0.7,
    "init_stddev": 0.1,
}
WEIGHTS = {"unobserved_weight": 0.2, "l2": 0.05, "l2_exponent": 0.7}


@pytest.mark.parametrize("entries_per_batch", [20, 2**16])
def test_a_half_step_solves_each_users_least_squares(
    entries_per_batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ridge regression of targets 1 and 0 with a row of weights for every item."""
    monkeypatch.setattr(ials, "ENTRIES_PER_BATCH", entries_per_batch)
    monkeypatch.setattr(ials, "SHORTEST", 2)
    table = random_plays(0, users=30, items=20)
    table[3] = 0  # nobody knows what this user likes
    rows = interaction_matrix(as_interactions(table), "raw")
    items = np.random.default_rng(0).standard_normal((20, 4)).astype(np.float32)
    l2 = row_l2(rows, l2=0.05, exponent=0.7, unobserved_weight=0.2)
    side = batches(rows, dim=4, l2=l2)
    assert len(side) > (10 if entries_per_batch == 20 else 2)
    found = np.asarray(half_step(side, jnp.full((30, 4), 9.0), jnp.asarray(items), 0.2))
    for user in range(30):
        degree = np.count_nonzero(table[user])
        design = np.concatenate(
            [
                np.sqrt(table[user])[:, None] * items,
                np.sqrt(0.2) * items,
                np.sqrt(0.05 * (degree + 0.2 * 20) ** 0.7) * np.eye(4),
            ]
        )
        target = np.concatenate([np.sqrt(table[user]), np.zeros(20 + 4)])
        expected = np.linalg.lstsq(design, target, rcond=None)[0]
        np.testing.assert_allclose(found[user], expected, rtol=1e-4, atol=1e-5)
    assert np.all(found[3] == 0)


def objective(
    matrix: sparse.csr_array,
    users: np.ndarray,
    items: np.ndarray,
    *,
    unobserved_weight: float,
    l2: float,
    l2_exponent: float,
) -> float:
    """What is minimised, by its definition, for small matrices."""
    scores = users.astype(np.float64) @ items.T.astype(np.float64)
    loss = float((matrix.toarray() * (scores - 1) ** 2).sum())
    loss += unobserved_weight * float((scores**2).sum())
    for side, table in ((matrix, users), (matrix.T.tocsr(), items)):
        weight = row_l2(side, l2=l2, exponent=l2_exponent, unobserved_weight=unobserved_weight)
        loss += float(weight @ (table.astype(np.float64) ** 2).sum(axis=1))
    return loss


def test_the_objective_never_rises() -> None:
    table = random_plays(1, users=40, items=25)
    rows = interaction_matrix(as_interactions(table), "raw")
    users = jnp.zeros((40, 4))
    items = jnp.asarray(np.random.default_rng(1).standard_normal((25, 4)), jnp.float32)
    sides = [
        batches(side, dim=4, l2=row_l2(side, l2=0.05, exponent=0.7, unobserved_weight=0.2))
        for side in (rows, rows.T.tocsr())
    ]
    values = []
    for _ in range(5):
        users = half_step(sides[0], users, items, 0.2)
        values.append(objective(rows, np.asarray(users), np.asarray(items), **WEIGHTS))
        items = half_step(sides[1], items, users, 0.2)
        values.append(objective(rows, np.asarray(users), np.asarray(items), **WEIGHTS))
    assert np.all(np.diff(values) < 1e-5 * values[0])
    assert values[-1] < values[0]


def test_the_objective_by_hand() -> None:
    """One user with two items, plays 3 and none, embeddings of one dimension."""
    rows = interaction_matrix(as_interactions(np.array([[3, 0]])), "raw")
    value = objective(rows, np.array([[2.0]]), np.array([[0.25], [1.0]]), **WEIGHTS)
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

    rows = interaction_matrix(as_interactions(random_plays(3, users=6, items=5)), "binary")
    ials.fit(rows, **SETTINGS, seed=0, track=track)
    assert seen == list(range(6))
