"""Losses against values computed by hand, at extremes, and with padding."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxrec.gcn import losses
from jaxrec.gcn.losses import Softmax, UserScores

# Jitted, since operations that are called one by one are also compiled one by one.
bpr, l2, weighted_mean = map(jax.jit, (losses.bpr, losses.l2, losses.weighted_mean))
softmax = jax.jit(losses.Softmax.__call__, static_argnums=0)
slope_of_mean = jax.jit(jax.value_and_grad(losses.weighted_mean))


def test_bpr_by_hand() -> None:
    # -log sigmoid(ln 3) = log(1 + 1/3); -log sigmoid(0) = log 2.
    positive = jnp.array([math.log(3.0), 1.0])
    negative = jnp.array([[0.0], [1.0]])
    expected = (math.log(4 / 3) + math.log(2)) / 2
    assert float(bpr(positive, negative, row_weights=jnp.ones(2))) == pytest.approx(expected)


def test_bpr_averages_over_several_negatives() -> None:
    loss = bpr(jnp.zeros(1), jnp.array([[0.0, -math.log(3.0)]]), row_weights=jnp.ones(1))
    assert float(loss) == pytest.approx((math.log(2) + math.log(4 / 3)) / 2)


@pytest.mark.parametrize(
    ("margin", "loss", "slope"), [(3e37, 0.0, 0.0), (-3e37, 3e37, -1.0), (100.0, 0.0, 0.0)]
)
def test_bpr_and_its_gradient_are_finite_at_extremes(
    margin: float, loss: float, slope: float
) -> None:
    def of_margin(positive: jax.Array) -> jax.Array:
        return bpr(positive, jnp.zeros((1, 1)), row_weights=jnp.ones(1))

    value, gradient = jax.jit(jax.value_and_grad(of_margin))(jnp.array([margin], jnp.float32))
    assert float(value) == pytest.approx(loss, rel=1e-6, abs=1e-30)
    assert float(gradient[0]) == pytest.approx(slope, abs=1e-30)


def test_bpr_gradient_matches_finite_differences() -> None:
    key = jax.random.key(0)
    positive, negative = jax.random.normal(key, (4,)), jax.random.normal(key, (4, 3))
    weights = jnp.array([1.0, 0.0, 2.0, 1.0])
    check_grads(lambda p, n: bpr(p, n, row_weights=weights), (positive, negative), order=1)


def test_padding_rows_count_for_nothing_even_if_they_hold_nan() -> None:
    values, weights = jnp.array([2.0, jnp.nan, 4.0]), jnp.array([1.0, 0.0, 3.0])
    assert float(weighted_mean(values, weights)) == pytest.approx(3.5)
    _, gradient = slope_of_mean(values, weights)
    np.testing.assert_allclose(gradient, [0.25, 0.0, 0.75])


def test_without_any_weight_the_mean_is_zero_and_so_is_its_gradient() -> None:
    value, gradient = slope_of_mean(jnp.ones(3), jnp.zeros(3))
    assert float(value) == 0.0
    np.testing.assert_array_equal(gradient, np.zeros(3))


def test_l2_by_hand() -> None:
    user = jnp.array([[3.0, 4.0], [0.0, 0.0]])
    negatives = jnp.array([[[1.0, 0.0], [0.0, 3.0]], [[2.0, 0.0], [2.0, 0.0]]])
    # Row 0: 25 + (1 + 9) / 2 = 30; row 1: 0 + 4; half the mean is 8.5.
    assert float(l2(user, negatives, row_weights=jnp.ones(2))) == pytest.approx(8.5)


def softmax_of(
    positive: list[float], negative: list[list[float]], row: list[int], **options: Any
) -> jax.Array:
    weights = options.pop("log_weights", 0.0)
    scores = UserScores(
        positive=jnp.array(positive),
        negative=jnp.array(negative),
        log_weights=jnp.broadcast_to(jnp.asarray(weights), (len(negative), len(negative[0]))),
        row=jnp.array(row),
        is_edge=jnp.ones(len(row), bool),
    )
    return softmax(Softmax(options.pop("temperature", 1.0), **options), scores)


def test_softmax_by_hand() -> None:
    # Row 0: log(2 + 6) - log 4 = log 2; row 1: log(1 + 3) - log 2 = log 2, and log 4 - log 1.
    scores = [[math.log(2), math.log(6)], [0.0, math.log(3)]]
    loss = softmax_of([math.log(4), math.log(2), 0.0], scores, [0, 1, 1])
    assert float(loss) == pytest.approx((2 * math.log(2) + math.log(4)) / 3)


def test_softmax_temperature_and_weight_by_hand() -> None:
    # 0.5 log(e^(2 log 3) + e^0) - 2 log 2, with temperature 1/2.
    loss = softmax_of(
        [math.log(2)], [[math.log(3), 0.0]], [0], temperature=0.5, negative_weight=0.5
    )
    assert float(loss) == pytest.approx(0.5 * math.log(10) - 2 * math.log(2), rel=1e-6)


def test_softmax_counts_a_negative_as_often_as_its_weight_says() -> None:
    twice = softmax_of([0.3], [[0.1, 0.5, 0.5]], [0])
    weighted = softmax_of([0.3], [[0.1, 0.5, 9.0]], [0], log_weights=[0.0, math.log(2), -math.inf])
    assert float(weighted) == pytest.approx(float(twice), rel=1e-6)


def test_softmax_gradient_matches_finite_differences_and_skips_what_is_left_out() -> None:
    key = jax.random.key(0)
    positive, negative = jax.random.normal(key, (5,)), jax.random.normal(key, (3, 4))
    row, is_edge = jnp.array([0, 0, 1, 2, 2]), jnp.array([True, True, True, True, False])
    # Row 1 has lost one negative, row 2 all of them.
    left_out = jnp.zeros((3, 4), bool).at[1, 2].set(True).at[2].set(True)
    log_weights = jnp.where(left_out, -jnp.inf, 0.0)

    def loss(positive: jax.Array, negative: jax.Array) -> jax.Array:
        scores = UserScores(positive, negative, log_weights, row, is_edge)
        return softmax(Softmax(0.5, negative_weight=0.8), scores)

    check_grads(loss, (positive, negative), order=1, modes=["rev"], eps=1e-2)
    gradient = jax.jit(jax.grad(loss, argnums=(0, 1)))(positive, negative)
    assert np.asarray(gradient[0])[3:].tolist() == [0.0, 0.0]
    assert not np.asarray(gradient[1])[np.asarray(left_out)].any()
    assert np.asarray(gradient[1])[:2].any()


@pytest.mark.parametrize("temperature", [1e-4, 1.0, 1e4])
def test_softmax_is_finite_at_extremes(temperature: float) -> None:
    def loss(negative: jax.Array) -> jax.Array:
        scores = UserScores(
            positive=jnp.array([-1.0]),
            negative=negative,
            log_weights=jnp.zeros((1, 2)),
            row=jnp.array([0]),
            is_edge=jnp.array([True]),
        )
        return softmax(Softmax(temperature), scores)

    value, gradient = jax.jit(jax.value_and_grad(loss))(jnp.array([[1.0, -1.0]]))
    assert np.isfinite(value) and np.isfinite(gradient).all()


def test_softmax_without_any_negative_is_zero() -> None:
    assert float(softmax_of([1.0], [[0.0]], [0], log_weights=-math.inf)) == 0.0
