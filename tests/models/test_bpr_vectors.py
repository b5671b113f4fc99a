"""The own vector of somebody new is where the BPR loss, by its definition, is least."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrec.gcn.losses import bpr
from jaxrec.models import bpr_vectors
from jaxrec.models.bpr_vectors import BprVector
from jaxrec.models.fold_in import MessageSum
from jaxrec.models.histories import Histories
from jaxrec.models.own_vectors import stand_ins
from tests.models.problems import histories_of

USERS, ITEMS, DIM, LENGTH = 21, 200, 6, 1.5
RANDOM = np.random.default_rng(0)
ITEM = RANDOM.standard_normal((ITEMS, DIM)).astype(np.float32)
# Everyone likes what is near a point of their own; some know more than others.
NEAR = np.argsort(RANDOM.standard_normal((USERS, DIM)) @ ITEM.T, axis=1)[:, -20:]
PLAYS = np.zeros((USERS, ITEMS), np.int64)
np.put_along_axis(PLAYS, NEAR, RANDOM.integers(0, 3, NEAR.shape), axis=1)
STRANGERS = histories_of(PLAYS).of_strangers()
OWN = BprVector(*stand_ins(np.ones(ITEMS), ITEMS), LENGTH)
MESSAGES = 0.1 * RANDOM.standard_normal((ITEMS, DIM)).astype(np.float32)
FOLD_IN = MessageSum(MESSAGES, 0.5, OWN)


def loss_of(own: jax.Array, row: int) -> jax.Array:
    """The training loss of one user with this own vector, against all items."""
    history = STRANGERS.take(np.array([row]))
    vector = FOLD_IN.sums(history)[0] + own
    others = np.setdiff1d(np.arange(ITEMS), history.items)
    positive = jnp.asarray(ITEM[history.items]) @ vector
    negative = jnp.broadcast_to(ITEM[others] @ vector, (len(positive), len(others)))
    return bpr(positive, negative, row_weights=jnp.ones(len(positive)))


@pytest.mark.parametrize("row", [0, 7, 20])
def test_no_other_vector_of_the_length_has_less_of_the_training_loss(row: int) -> None:
    whole, sums = FOLD_IN.vectors(STRANGERS, ITEM), FOLD_IN.sums(STRANGERS)
    own = whole - sums
    np.testing.assert_allclose(np.linalg.norm(own, axis=1), LENGTH, rtol=1e-4)
    along = jax.grad(loss_of)(jnp.asarray(own[row]), row)
    around = along - (along @ own[row]) * own[row] / LENGTH**2
    assert np.linalg.norm(around) < 2e-2 * np.linalg.norm(along)
    least = float(loss_of(jnp.asarray(own[row]), row))
    others = own[row] + 0.5 * RANDOM.standard_normal((50, DIM)).astype(np.float32)
    for other in LENGTH * others / np.linalg.norm(others, axis=1, keepdims=True):
        assert float(loss_of(jnp.asarray(other), row)) > least - 1e-5


def test_parts_and_what_other_items_bring_make_up_the_whole() -> None:
    """What is left beside the parts lies among the items that the user doesn't know."""
    for row in (1, 12):
        history = STRANGERS.take(np.array([row]))
        whole, parts = FOLD_IN.vectors(history, ITEM)[0], FOLD_IN.parts(history, ITEM)
        own = whole - FOLD_IN.sums(history)[0]
        pulls = parts - FOLD_IN._messages(history)
        # Each entry pulls towards its item, none away from it.
        ways = np.sum(pulls * ITEM[history.items], axis=1)
        np.testing.assert_allclose(
            ways, np.linalg.norm(pulls, axis=1) * np.linalg.norm(ITEM[history.items], axis=1), 1e-3
        )
        others = np.setdiff1d(np.arange(ITEMS), history.items)
        gaps = (ITEM[others] @ whole)[:, None] - (ITEM[history.items] @ whole)[None]
        falls = (1 / (1 + np.exp(-gaps))).mean(axis=1) / len(others)
        entries = (1 / (1 + np.exp(-gaps))).mean(axis=0) / len(history.items)
        scale = LENGTH / np.linalg.norm(entries @ ITEM[history.items] - falls @ ITEM[others])
        np.testing.assert_allclose(
            own - pulls.sum(axis=0), -scale * falls @ ITEM[others], atol=0.02 * LENGTH
        )


def test_who_knows_nothing_or_everything_has_a_finite_vector() -> None:
    rows = [np.zeros(0, np.int32), np.arange(ITEMS, dtype=np.int32)]
    found = FOLD_IN.vectors(Histories.of_items(rows, ITEMS), ITEM)
    assert not found[0].any() and np.isfinite(found[1]).all()
    nobody = Histories.of_items(rows[:1], ITEMS)
    assert FOLD_IN.parts(nobody, ITEM).shape == (0, DIM)


def test_of_a_long_history_some_stand_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = FOLD_IN.vectors(STRANGERS, ITEM) - FOLD_IN.sums(STRANGERS)
    monkeypatch.setattr(bpr_vectors, "MOST_HEARD", 8)
    close = FOLD_IN.vectors(STRANGERS, ITEM) - FOLD_IN.sums(STRANGERS)
    assert (exact != close).any()
    assert np.sum(exact * close, axis=1).mean() > 0.85 * LENGTH**2
    history = STRANGERS.take(np.array([0]))
    bare = FOLD_IN._messages(history)
    pulled = np.any(FOLD_IN.parts(history, ITEM) != bare, axis=1)
    assert pulled.sum() == min(8, len(history.items))


def test_saved_and_loaded_it_is_the_same() -> None:
    settings = FOLD_IN.settings()
    loaded = MessageSum.of_arrays(FOLD_IN.arrays(), settings)
    np.testing.assert_array_equal(loaded.vectors(STRANGERS, ITEM), FOLD_IN.vectors(STRANGERS, ITEM))
    assert dataclasses.asdict(loaded)["exponent"] == 0.5
