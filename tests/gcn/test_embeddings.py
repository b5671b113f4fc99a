"""Fresh embeddings are what was asked for, and scores are inner products."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrec.gcn.embeddings import init_params, scores
from tests.embeddings import stacked


def test_initial_embeddings_have_the_asked_deviation_and_mean_zero() -> None:
    params = init_params(jax.random.key(0), num_users=400, num_items=500, dim=64, stddev=0.1)
    assert params.user.shape == (400, 64)
    assert params.item.shape == (500, 64)
    values = stacked(params)
    assert abs(values.mean()) < 4 * 0.1 / np.sqrt(values.size)
    assert values.std() == pytest.approx(0.1, rel=0.01)


def test_scores_are_inner_products() -> None:
    users, items = jnp.array([[1.0, 2.0], [3.0, 4.0]]), jnp.array([[5.0, 6.0], [7.0, 8.0]])
    np.testing.assert_array_equal(scores(users, items), [17.0, 53.0])
    np.testing.assert_array_equal(scores(users[:, None], items[None]), [[17.0, 23.0], [39.0, 53.0]])
