"""Losses against values computed by hand, at extremes, and with padding."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxrec.gcn import losses


def test_bpr_by_hand() -> None:
    # -log sigmoid(ln 3) = log(1 + 1/3); -log sigmoid(0) = log 2.
    positive = jnp.array([math.log(3.0), 1.0])
    negative = jnp.array([[0.0], [1.0]])
    expected = (math.log(4 / 3) + math.log(2)) / 2
    assert float(losses.bpr(positive, negative, row_weights=jnp.ones(2))) == pytest.approx(expected)


def test_bpr_averages_over_several_negatives() -> None:
    loss = losses.bpr(jnp.zeros(1), jnp.array([[0.0, -math.log(3.0)]]), row_weights=jnp.ones(1))
    assert float(loss) == pytest.approx((math.log(2) + math.log(4 / 3)) / 2)


@pytest.mark.parametrize(
    ("margin", "loss", "slope"), [(3e37, 0.0, 0.0), (-3e37, 3e37, -1.0), (100.0, 0.0, 0.0)]
)
def test_bpr_and_its_gradient_are_finite_at_extremes(
    margin: float, loss: float, slope: float
) -> None:
    def of_margin(positive: jax.Array) -> jax.Array:
        return losses.bpr(positive, jnp.zeros((1, 1)), row_weights=jnp.ones(1))

    value, gradient = jax.value_and_grad(of_margin)(jnp.array([margin], jnp.float32))
    assert float(value) == pytest.approx(loss, rel=1e-6, abs=1e-30)
    assert float(gradient[0]) == pytest.approx(slope, abs=1e-30)


def test_bpr_gradient_matches_finite_differences() -> None:
    key = jax.random.key(0)
    positive, negative = jax.random.normal(key, (4,)), jax.random.normal(key, (4, 3))
    weights = jnp.array([1.0, 0.0, 2.0, 1.0])
    check_grads(lambda p, n: losses.bpr(p, n, row_weights=weights), (positive, negative), order=1)


def test_padding_rows_count_for_nothing_even_if_they_hold_nan() -> None:
    values, weights = jnp.array([2.0, jnp.nan, 4.0]), jnp.array([1.0, 0.0, 3.0])
    assert float(losses.weighted_mean(values, weights)) == pytest.approx(3.5)
    gradient = jax.grad(losses.weighted_mean)(values, weights)
    np.testing.assert_allclose(gradient, [0.25, 0.0, 0.75])


def test_without_any_weight_the_mean_is_zero_and_so_is_its_gradient() -> None:
    value, gradient = jax.value_and_grad(losses.weighted_mean)(jnp.ones(3), jnp.zeros(3))
    assert float(value) == 0.0
    np.testing.assert_array_equal(gradient, np.zeros(3))


def test_l2_by_hand() -> None:
    user = jnp.array([[3.0, 4.0], [0.0, 0.0]])
    negatives = jnp.array([[[1.0, 0.0], [0.0, 3.0]], [[2.0, 0.0], [2.0, 0.0]]])
    # Row 0: 25 + (1 + 9) / 2 = 30; row 1: 0 + 4; half the mean is 8.5.
    assert float(losses.l2(user, negatives, row_weights=jnp.ones(2))) == pytest.approx(8.5)
