"""The direction of somebody new is where the softmax loss is least, by that loss's definition."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrec.gcn.losses import Softmax, UserScores
from jaxrec.models.fold_in import MessageSum
from jaxrec.models.histories import Histories
from jaxrec.models.own_vectors import MOST_COMPARED, SoftmaxDirection, stand_ins, unit
from tests.models.problems import histories_of

USERS, ITEMS, DIM = 21, 200, 6
RANDOM = np.random.default_rng(0)
ITEM = RANDOM.standard_normal((ITEMS, DIM)).astype(np.float32)
LIKELIHOOD = RANDOM.integers(0, 9, ITEMS).astype(float)
# Everyone likes what is near a point of their own; plays of all sizes.
NEAR = np.argsort(RANDOM.standard_normal((USERS, DIM)) @ ITEM.T, axis=1)[:, -20::2]
PLAYS = np.zeros((USERS, ITEMS), np.int64)
np.put_along_axis(PLAYS, NEAR, RANDOM.integers(1, 9, NEAR.shape), axis=1)
STRANGERS = histories_of(PLAYS).of_strangers()
DIRECTION = SoftmaxDirection(*stand_ins(LIKELIHOOD, MOST_COMPARED), 0.15, 0.9, own_length=0.7)


def loss_of(v: jax.Array, row: int) -> jax.Array:
    """The training loss of one user whose final vector points to v, against all items."""
    known = STRANGERS.take(np.array([row])).items
    others = np.setdiff1d(np.flatnonzero(LIKELIHOOD), known)
    x = jnp.asarray(unit(ITEM))
    scores = UserScores(
        positive=x[known] @ v,
        negative=(x[others] @ v)[None],
        log_weights=jnp.log(LIKELIHOOD[others] / LIKELIHOOD.sum())[None],
        row=jnp.zeros(len(known), jnp.int32),
        is_edge=jnp.ones(len(known), bool),
    )
    return Softmax(0.15, 0.9)(scores)


@pytest.mark.parametrize("row", [0, 7, 20])
def test_no_other_direction_has_less_of_the_training_loss(row: int) -> None:
    found, _ = DIRECTION.solve(STRANGERS, ITEM)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    along = jax.grad(loss_of)(jnp.asarray(found[row]), row)
    around = along - (along @ found[row]) * found[row]
    assert np.linalg.norm(around) < 2e-2 * np.linalg.norm(along)
    least = float(loss_of(jnp.asarray(found[row]), row))
    for other in unit(found[row] + 0.3 * RANDOM.standard_normal((50, DIM)).astype(np.float32)):
        assert float(loss_of(jnp.asarray(other), row)) > least - 1e-5


def test_the_length_of_items_and_the_number_of_plays_do_not_count() -> None:
    found, share = DIRECTION.solve(STRANGERS, ITEM)
    longer = ITEM * np.linspace(0.5, 3, ITEMS, dtype=np.float32)[:, None]
    once = dataclasses.replace(STRANGERS, weights=np.ones_like(STRANGERS.weights))
    for histories, item in ((STRANGERS, longer), (once, ITEM)):
        other, its_share = DIRECTION.solve(histories, item)
        np.testing.assert_allclose(other, found, atol=1e-4)
        np.testing.assert_allclose(its_share, share, rtol=1e-3)


def test_who_knows_nothing_or_everything_has_a_finite_vector() -> None:
    rows = [np.zeros(0, np.int32), np.arange(ITEMS, dtype=np.int32)]
    found, share = DIRECTION.solve(Histories.of_items(rows, ITEMS), ITEM)
    assert not found[0].any() and share[0] == 0
    np.testing.assert_allclose(found[1], unit(unit(ITEM).mean(axis=0)[None])[0], atol=1e-5)


def test_few_of_many_items_stand_for_all() -> None:
    few = SoftmaxDirection(*stand_ins(LIKELIHOOD, 100), 0.15, 0.9)
    assert len(set(few.compared.tolist())) == len(few.compared) <= 100
    assert (LIKELIHOOD[few.compared] > 0).all()
    assert few.shares.sum() == pytest.approx(1, abs=0.1)
    exact, close = DIRECTION.solve(STRANGERS, ITEM)[0], few.solve(STRANGERS, ITEM)[0]
    assert np.sum(exact * close, axis=1).mean() > 0.97


def message_sum() -> MessageSum:
    messages = np.random.default_rng(2).standard_normal((ITEMS, DIM)).astype(np.float32)
    return MessageSum(messages, 0.5, DIRECTION)


def test_a_strangers_vector_has_the_length_of_those_who_were_there() -> None:
    fold_in = message_sum()
    sums, whole = fold_in.sums(STRANGERS), fold_in.vectors(STRANGERS, ITEM)
    expected = np.sqrt(np.square(sums).sum(axis=1) + 0.7**2)
    np.testing.assert_allclose(np.linalg.norm(whole, axis=1), expected, rtol=1e-5)


def test_with_length_and_others_held_fixed_a_song_taken_out_takes_its_part_along() -> None:
    """What is left beside the parts is what the other items bring: no song of the history."""
    fold_in = message_sum()
    history = STRANGERS.take(np.array([4]))
    whole, parts = fold_in.vectors(history, ITEM)[0], fold_in.parts(history, ITEM)
    scale = np.linalg.norm(whole) * DIRECTION.solve(history, ITEM)[1][0, 0]
    expected = scale * unit(ITEM[history.items]) / len(history.items)
    np.testing.assert_allclose(parts, expected, rtol=1e-5, atol=1e-6)
    v = whole / np.linalg.norm(whole)
    others = np.setdiff1d(DIRECTION.compared, history.items)
    mass = LIKELIHOOD[others] * np.exp(unit(ITEM[others]) @ v / 0.15)
    rest = -0.9 * scale * (mass / mass.sum()) @ unit(ITEM[others])
    np.testing.assert_allclose(whole - parts.sum(axis=0), rest, atol=0.05 * np.linalg.norm(whole))


def test_saved_and_loaded_it_is_the_same() -> None:
    loaded = SoftmaxDirection.of_arrays(DIRECTION.arrays(), DIRECTION.settings())
    first, second = (each.solve(STRANGERS, ITEM)[0] for each in (DIRECTION, loaded))
    np.testing.assert_array_equal(first, second)
