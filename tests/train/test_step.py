"""A step is a pure function; several in one dispatch equal as many single ones."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxrec.gcn.batches import EdgeBatches
from jaxrec.gcn.convolution import LightGCN
from jaxrec.gcn.embeddings import unit
from jaxrec.gcn.losses import Softmax
from jaxrec.gcn.message_passing import Sums
from jaxrec.gcn.negatives import draw_items
from jaxrec.gcn.objectives import EdgeObjective, Objective
from jaxrec.gcn.training_graph import TrainingGraph
from jaxrec.gcn.user_objective import UserObjective
from jaxrec.train.step import TrainState, create_state, learning_rate, train_step, train_steps
from tests.graphs import graph_from_dense
from tests.kernels import ON_CPU, in_order, with_kernel

CSR = Sums("csr")
BPR = EdgeObjective(LightGCN(2, CSR), num_negatives=2, l2=1e-3)
OPTIMIZER = optax.adam(0.05)
RATINGS = (np.random.default_rng(0).random((20, 30)) < 0.25) * 1.0
GRAPH = graph_from_dense(RATINGS)
DATA = TrainingGraph(GRAPH)
KEY = jax.random.key(3)
SOFTMAX, USERS = UserObjective(
    LightGCN(2, CSR), num_negatives=64, l2=1e-2, loss=Softmax(0.2, negative_weight=0.9)
).with_batches(GRAPH, 40)


# Jitted, since operations that are called one by one are also compiled one by one.
@functools.partial(jax.jit, static_argnums=0)
def loss_of(objective: Objective, *arguments: Any) -> jax.Array:
    return objective(*arguments)


@functools.partial(jax.jit, static_argnums=0)
def slope_of(objective: Objective, *arguments: Any) -> tuple[jax.Array, Any]:
    return jax.value_and_grad(objective)(*arguments)


one_step = jax.jit(train_step, static_argnames=("objective", "optimizer"))
convolve = jax.jit(lambda params, convolution: convolution(GRAPH, params), static_argnums=1)


def fresh() -> TrainState:
    return create_state(jax.random.key(0), GRAPH, OPTIMIZER, dim=8, stddev=0.1)


def batches(count: int, size: int = 16) -> jax.Array:
    return EdgeBatches(GRAPH.num_edges, size).order(jax.random.key(1))[:count]


def assert_equal(a: object, b: object) -> None:
    jax.tree.map(np.testing.assert_array_equal, a, b)


def user_batches() -> jax.Array:
    return USERS.order(jax.random.key(1))


@pytest.mark.parametrize("kernel", [with_kernel("prefetch")])
@pytest.mark.parametrize("loss", ["bpr", "softmax"])
@pytest.mark.parametrize(
    "convolution",
    [
        *(LightGCN(layers, CSR) for layers in (0, 1, 3)),
        LightGCN(2, CSR, unit_layers=True, layer_zero=0.3),
    ],
)
def test_steps_with_our_own_kernel_are_those_with_jaxlib_s(
    kernel: str, loss: str, convolution: LightGCN
) -> None:
    """Though ours sums only the rows that a step reads; one batch is padded.

    Bit for bit with BPR. Around softmax's sums XLA fuses what ours adds by itself.
    """
    theirs = dataclasses.replace(BPR if loss == "bpr" else SOFTMAX, convolution=convolution)
    ours = dataclasses.replace(
        theirs, convolution=dataclasses.replace(convolution, sums=Sums(kernel))
    )
    order = batches(4).at[1, 5:].set(-1) if loss == "bpr" else user_batches()

    def trained(objective: Objective) -> tuple[TrainState, jax.Array]:
        return train_steps(fresh(), DATA, order, KEY, objective=objective, optimizer=OPTIMIZER)

    if loss == "bpr":
        assert_equal(trained(ours), trained(theirs))
    else:
        near = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6)
        jax.tree.map(near, trained(ours), trained(theirs))


@in_order
@pytest.mark.parametrize(("objective", "order"), [(BPR, batches(8)), (SOFTMAX, user_batches())])
def test_scanned_steps_equal_single_steps_bit_for_bit(
    objective: Objective, order: jax.Array
) -> None:
    state, losses = fresh(), []
    for batch in order:
        state, loss = one_step(state, DATA, batch, KEY, objective=objective, optimizer=OPTIMIZER)
        losses.append(loss)
    scanned, scanned_losses = train_steps(
        fresh(), DATA, order, KEY, objective=objective, optimizer=OPTIMIZER
    )
    assert_equal(scanned, state)
    assert_equal(scanned_losses, jnp.stack(losses))
    assert int(scanned.step) == len(order)


@pytest.mark.parametrize(
    ("objective", "batch"), [(BPR, batches(1)[0]), (SOFTMAX, user_batches()[0])]
)
def test_a_step_follows_the_gradient_of_its_loss(objective: Objective, batch: jax.Array) -> None:
    """With plain gradient descent the update is the gradient, which finite differences confirm."""
    optimizer = optax.sgd(1.0)
    state = create_state(jax.random.key(0), GRAPH, optimizer, dim=4, stddev=0.5)
    after, loss = one_step(state, DATA, batch, KEY, objective=objective, optimizer=optimizer)
    step_key = jax.random.fold_in(KEY, state.step)
    loss_at = jax.jit(lambda p: objective(p, DATA, batch, step_key))
    assert float(loss) == pytest.approx(float(loss_at(state.params)), rel=1e-6)
    move = jax.tree.map(jnp.subtract, state.params, after.params)
    width = 0.02
    ahead, behind = (
        loss_at(jax.tree.map(lambda p, m, sign=sign: p + sign * width * m, state.params, move))
        for sign in (1, -1)
    )
    slope = sum(float(jnp.vdot(m, m)) for m in jax.tree.leaves(move))
    assert float(ahead - behind) / (2 * width) == pytest.approx(slope, rel=0.02)


def test_padding_changes_nothing() -> None:
    edges = batches(1)[0]
    padded = jnp.concatenate([edges, jnp.full(7, -1, edges.dtype)])
    objective = dataclasses.replace(BPR, num_negatives=1)
    key = jax.random.key(5)
    # The negatives drawn depend on the shape, so compare with the padding's own rows changed.
    other = padded.at[len(edges) :].set(-2)
    losses = [slope_of(objective, fresh().params, DATA, each, key)[0] for each in (padded, other)]
    assert float(losses[0]) == float(losses[1])
    alone = jnp.full_like(padded, -1)
    loss, gradient = slope_of(objective, fresh().params, DATA, alone, key)
    assert float(loss) == 0.0
    assert not any(np.any(part) for part in jax.tree.leaves(gradient))


def test_users_who_know_every_song_weigh_nothing() -> None:
    ratings = np.zeros((2, 5))
    ratings[0] = 1  # has listened to everything
    ratings[1, :2] = 1
    graph = graph_from_dense(ratings)
    state = create_state(jax.random.key(0), graph, OPTIMIZER, dim=4, stddev=0.1)
    everything = jnp.arange(5)  # the edges of user 0
    loss = loss_of(BPR, state.params, TrainingGraph(graph), everything, KEY)
    assert float(loss) == 0.0


def test_the_loss_falls() -> None:
    state, all_losses = fresh(), []
    for _ in range(12):
        state, losses = train_steps(
            state, DATA, batches(8), KEY, objective=BPR, optimizer=OPTIMIZER
        )
        all_losses.append(float(losses.mean()))
    assert all_losses[-1] < 0.5 * all_losses[0]


def test_learning_rate_schedules() -> None:
    constant = learning_rate(peak=0.1, schedule="constant", warmup_steps=0, total_steps=100)
    assert [float(constant(step)) for step in (0, 50, 100)] == pytest.approx([0.1] * 3)
    warm = learning_rate(peak=0.1, schedule="cosine", warmup_steps=10, total_steps=110)
    assert [float(warm(step)) for step in (0, 5, 10, 60, 110)] == pytest.approx(
        [0.0, 0.05, 0.1, 0.05, 0.0], abs=1e-8
    )
    with pytest.raises(ValueError, match="'step'"):
        learning_rate(peak=0.1, schedule="step", warmup_steps=0, total_steps=1)


def test_softmax_equals_the_sum_written_out() -> None:
    """Each listen against the draws that its listener has not listened to, cosine by cosine."""
    users = user_batches()[0]
    params = fresh().params
    plain = dataclasses.replace(SOFTMAX, l2=0.0, loss=Softmax(0.2))
    loss = loss_of(plain, params, DATA, users, KEY)
    final = jax.tree.map(np.asarray, convolve(params, SOFTMAX.convolution))
    drawn = np.asarray(draw_items(KEY, DATA, 64))

    def cosine(user: int, item: int) -> float:
        a, b = final.user[user], final.item[item]
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    terms = []
    for user in np.asarray(users)[np.asarray(users) >= 0]:
        unheard = [cosine(user, item) for item in drawn if not RATINGS[user, item]]
        log_sum = np.log(np.sum(np.exp(np.array(unheard) / 0.2)) / 64)
        terms += [log_sum - cosine(user, item) / 0.2 for item in np.flatnonzero(RATINGS[user])]
    assert float(loss) == pytest.approx(np.mean(terms), rel=1e-5)


def test_softmax_skips_listeners_that_are_padding() -> None:
    users = user_batches()[0]
    some = users.at[1:].set(-1)
    alone = users[:1]
    padded, _ = slope_of(SOFTMAX, fresh().params, DATA, some, KEY)
    expected = loss_of(SOFTMAX, fresh().params, DATA, alone, KEY)
    # Off the CPU products of other shapes are summed in another order.
    assert float(padded) == pytest.approx(float(expected), rel=1e-6 if ON_CPU else 1e-5)
    nobody = jnp.full_like(users, -1)
    loss, gradient = slope_of(SOFTMAX, fresh().params, DATA, nobody, KEY)
    assert float(loss) == 0.0
    assert not any(np.any(part) for part in jax.tree.leaves(gradient))


def test_softmax_learns_to_tell_listens_from_the_rest() -> None:
    objective = dataclasses.replace(SOFTMAX, l2=0.0)
    state = fresh()
    for epoch in range(30):
        order = USERS.order(jax.random.key(epoch))
        state, _ = train_steps(state, DATA, order, KEY, objective=objective, optimizer=OPTIMIZER)
    final = convolve(state.params, objective.convolution)
    cosines = np.asarray(unit(final.user) @ unit(final.item).T)
    assert cosines[RATINGS > 0].mean() > cosines[RATINGS == 0].mean() + 0.5
