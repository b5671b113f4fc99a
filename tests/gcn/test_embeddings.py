"""Fresh embeddings are what was asked for, and scores are inner products."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrec.gcn.embeddings import init_params, scores, unit, unit_table
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


@functools.partial(jax.jit, static_argnums=0)
def with_gradient(
    function: Callable[[jax.Array], jax.Array], table: jax.Array, cotangent: jax.Array
) -> tuple[jax.Array, jax.Array]:
    value, pull = jax.vjp(function, table)
    return value, pull(cotangent)[0]


def test_tables_are_brought_to_length_one_as_rows_are() -> None:
    """So is their gradient; rows of nothing and of hardly anything too."""
    table, cotangent = (jax.random.normal(jax.random.key(seed), (6, 7)) for seed in (0, 1))
    table = table.at[2].set(0.0).at[4].multiply(1e-14)
    found, expected = (with_gradient(each, table, cotangent) for each in (unit_table, unit))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dim", [7, 8, 64])
def test_a_row_of_length_one_has_the_same_bits_in_a_table_of_any_size(dim: int) -> None:
    table, cotangent = (jax.random.normal(jax.random.key(seed), (400, dim)) for seed in (0, 1))
    whole = with_gradient(unit_table, table, cotangent)
    for size in (2, 5, 38, 200):
        part = with_gradient(unit_table, table[:size], cotangent[:size])
        for one, other in zip(whole, part, strict=True):
            np.testing.assert_array_equal(one[:size], other)
