"""Least squares over all pairs: each half step is exact."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxrec.models import least_squares
from jaxrec.models.least_squares import Ridge, batches, half_step
from tests.models.problems import as_matrix, random_plays


@pytest.mark.parametrize("entries_per_batch", [20, 2**16])
def test_a_half_step_solves_each_users_least_squares(
    entries_per_batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ridge regression of targets 1 and 0 with a row of weights for every item."""
    monkeypatch.setattr(least_squares, "ENTRIES_PER_BATCH", entries_per_batch)
    monkeypatch.setattr(least_squares, "SHORTEST", 2)
    table = random_plays(0, users=30, items=20)
    table[3] = 0  # nobody knows what this user likes
    rows = as_matrix(table, "raw")
    items = np.random.default_rng(0).standard_normal((20, 4)).astype(np.float32)
    ridge = Ridge(unobserved_weight=0.2, l2=0.05, l2_exponent=0.7)
    side = batches(rows, dim=4, l2=ridge.row_l2(rows))
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
