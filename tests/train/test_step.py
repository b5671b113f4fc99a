"""A step is a pure function; several in one dispatch equal as many single ones."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxrec.gcn import model, negatives
from jaxrec.gcn.batches import EdgeBatches, ListenerBatches
from jaxrec.train.step import (
    StepSettings,
    TrainState,
    batch_loss,
    create_state,
    learning_rate,
    train_step,
    train_steps,
)
from tests.graphs import graph_from_dense
from tests.kernels import with_kernel

SETTINGS = StepSettings(
    convolution=model.Convolution(num_layers=2, kernel="csr"),
    loss="bpr",
    num_negatives=2,
    l2=1e-3,
)
OPTIMIZER = optax.adam(0.05)
RATINGS = (np.random.default_rng(0).random((20, 30)) < 0.25) * 1.0
GRAPH = graph_from_dense(RATINGS)
KEY = jax.random.key(3)
LISTENERS = ListenerBatches.of(GRAPH.to_users, batch_size=40)
SOFTMAX = dataclasses.replace(
    SETTINGS,
    loss="softmax",
    num_negatives=64,
    l2=1e-2,
    temperature=0.2,
    negative_weight=0.9,
    max_edges=LISTENERS.max_edges,
)

# Jitted, since operations that are called one by one are also compiled one by one.
loss_of = jax.jit(batch_loss, static_argnames="settings")
slope_of = jax.jit(jax.value_and_grad(batch_loss), static_argnames="settings")
one_step = jax.jit(train_step, static_argnames=("settings", "optimizer"))
convolve = jax.jit(lambda params, layers: layers(GRAPH, params), static_argnums=1)


def fresh() -> TrainState:
    return create_state(jax.random.key(0), GRAPH, OPTIMIZER, dim=8, stddev=0.1)


def batches(count: int, size: int = 16) -> jax.Array:
    return EdgeBatches(GRAPH.num_edges, size).order(jax.random.key(1))[:count]


def assert_equal(a: object, b: object) -> None:
    jax.tree.map(np.testing.assert_array_equal, a, b)


def listener_batches() -> jax.Array:
    return LISTENERS.order(jax.random.key(1))


@pytest.mark.parametrize("kernel", [with_kernel("prefetch")])
@pytest.mark.parametrize("loss", ["bpr", "softmax"])
@pytest.mark.parametrize(
    "convolution",
    [
        *(model.Convolution(num_layers=layers, kernel="csr") for layers in (0, 1, 3)),
        model.Convolution(num_layers=2, kernel="csr", unit_layers=True, layer_zero=0.3),
    ],
)
def test_steps_with_our_own_kernel_are_those_with_jaxlib_s(
    kernel: str, loss: str, convolution: model.Convolution
) -> None:
    """Though ours sums only the rows that a step reads; one batch is padded.

    Bit for bit with BPR. Around softmax's sums XLA fuses what ours adds by itself.
    """
    settings = dataclasses.replace(SETTINGS if loss == "bpr" else SOFTMAX, convolution=convolution)
    ours = dataclasses.replace(
        settings, convolution=dataclasses.replace(convolution, kernel=kernel)
    )
    order = batches(4).at[1, 5:].set(-1) if loss == "bpr" else listener_batches()

    def trained(settings: StepSettings) -> tuple[TrainState, jax.Array]:
        return train_steps(fresh(), GRAPH, order, KEY, None, settings=settings, optimizer=OPTIMIZER)

    if loss == "bpr":
        assert_equal(trained(ours), trained(settings))
    else:
        near = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6)
        jax.tree.map(near, trained(ours), trained(settings))


@pytest.mark.parametrize(
    ("settings", "order"), [(SETTINGS, batches(8)), (SOFTMAX, listener_batches())]
)
def test_scanned_steps_equal_single_steps_bit_for_bit(
    settings: StepSettings, order: jax.Array
) -> None:
    state, losses = fresh(), []
    for batch in order:
        state, loss = one_step(
            state, GRAPH, batch, KEY, None, settings=settings, optimizer=OPTIMIZER
        )
        losses.append(loss)
    scanned, scanned_losses = train_steps(
        fresh(), GRAPH, order, KEY, None, settings=settings, optimizer=OPTIMIZER
    )
    assert_equal(scanned, state)
    assert_equal(scanned_losses, jnp.stack(losses))
    assert int(scanned.step) == len(order)


@pytest.mark.parametrize(
    ("settings", "batch"), [(SETTINGS, batches(1)[0]), (SOFTMAX, listener_batches()[0])]
)
def test_a_step_follows_the_gradient_of_its_loss(settings: StepSettings, batch: jax.Array) -> None:
    """With plain gradient descent the update is the gradient, which finite differences confirm."""
    optimizer = optax.sgd(1.0)
    state = create_state(jax.random.key(0), GRAPH, optimizer, dim=4, stddev=0.5)
    after, loss = one_step(state, GRAPH, batch, KEY, None, settings=settings, optimizer=optimizer)
    step_key = jax.random.fold_in(KEY, state.step)
    objective = jax.jit(lambda p: batch_loss(p, GRAPH, batch, step_key, None, settings))
    assert float(loss) == pytest.approx(float(objective(state.params)), rel=1e-6)
    move = jax.tree.map(jnp.subtract, state.params, after.params)
    width = 0.02
    ahead, behind = (
        objective(jax.tree.map(lambda p, m, sign=sign: p + sign * width * m, state.params, move))
        for sign in (1, -1)
    )
    slope = sum(float(jnp.vdot(m, m)) for m in jax.tree.leaves(move))
    assert float(ahead - behind) / (2 * width) == pytest.approx(slope, rel=0.02)


def test_padding_changes_nothing() -> None:
    edges = batches(1)[0]
    padded = jnp.concatenate([edges, jnp.full(7, -1, edges.dtype)])
    settings = dataclasses.replace(SETTINGS, num_negatives=1)
    key = jax.random.key(5)
    # The negatives drawn depend on the shape, so compare with the padding's own rows changed.
    other = padded.at[len(edges) :].set(-2)
    losses = [
        slope_of(fresh().params, GRAPH, each, key, None, settings)[0] for each in (padded, other)
    ]
    assert float(losses[0]) == float(losses[1])
    alone = jnp.full_like(padded, -1)
    loss, gradient = slope_of(fresh().params, GRAPH, alone, key, None, settings)
    assert float(loss) == 0.0
    assert not any(np.any(part) for part in jax.tree.leaves(gradient))


def test_users_who_know_every_song_weigh_nothing() -> None:
    ratings = np.zeros((2, 5))
    ratings[0] = 1  # has listened to everything
    ratings[1, :2] = 1
    graph = graph_from_dense(ratings)
    state = create_state(jax.random.key(0), graph, OPTIMIZER, dim=4, stddev=0.1)
    everything = jnp.arange(5)  # the edges of user 0
    loss = loss_of(state.params, graph, everything, KEY, None, SETTINGS)
    assert float(loss) == 0.0


def test_the_loss_falls() -> None:
    state, all_losses = fresh(), []
    for _ in range(12):
        state, losses = train_steps(
            state, GRAPH, batches(8), KEY, None, settings=SETTINGS, optimizer=OPTIMIZER
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
    users = listener_batches()[0]
    params = fresh().params
    loss = loss_of(
        params, GRAPH, users, KEY, None, dataclasses.replace(SOFTMAX, l2=0.0, negative_weight=1.0)
    )
    final = jax.tree.map(np.asarray, convolve(params, SOFTMAX.convolution))
    drawn = np.asarray(negatives.shared_negatives(KEY, num_items=GRAPH.num_items, num_negatives=64))

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
    users = listener_batches()[0]
    some = users.at[1:].set(-1)
    alone = users[:1]
    padded, _ = slope_of(fresh().params, GRAPH, some, KEY, None, SOFTMAX)
    expected = loss_of(fresh().params, GRAPH, alone, KEY, None, SOFTMAX)
    assert float(padded) == pytest.approx(float(expected), rel=1e-6)
    nobody = jnp.full_like(users, -1)
    loss, gradient = slope_of(fresh().params, GRAPH, nobody, KEY, None, SOFTMAX)
    assert float(loss) == 0.0
    assert not any(np.any(part) for part in jax.tree.leaves(gradient))


def test_softmax_learns_to_tell_listens_from_the_rest() -> None:
    settings = dataclasses.replace(SOFTMAX, l2=0.0)
    state = fresh()
    for epoch in range(30):
        order = LISTENERS.order(jax.random.key(epoch))
        state, _ = train_steps(
            state, GRAPH, order, KEY, None, settings=settings, optimizer=OPTIMIZER
        )
    final = convolve(state.params, settings.convolution)
    cosines = np.asarray(model.unit(final.user) @ model.unit(final.item).T)
    assert cosines[RATINGS > 0].mean() > cosines[RATINGS == 0].mean() + 0.5
