"""One training step as a pure function, and several of them in one dispatch."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxrec.gcn import losses, model, negatives
from jaxrec.gcn.batches import listens_of
from jaxrec.gcn.graph import BipartiteGraph, edge_endpoints


@struct.dataclass
class TrainState:
    """All that training carries from step to step.

    Attributes:
      step: [] int32, how many updates have been made.
      params: the layer-0 embeddings.
      opt_state: the optimizer's state.
    """

    step: jax.Array
    params: model.Embeddings
    opt_state: optax.OptState


@dataclasses.dataclass(frozen=True)
class StepSettings:
    """What shapes the computation of a step; hashable, so that it can be static under jit.

    Attributes:
      convolution: how the final embeddings are made of the parameters.
      loss: `bpr`, on batches of edges, or `softmax`, on batches of listeners.
      num_negatives: sampled songs per listened one (bpr), or shared by a batch (softmax).
      l2: weight of the squared layer-0 embeddings in the loss.
      temperature: softmax: what cosines are divided by.
      negative_weight: softmax: weight of the negatives' part.
      max_edges: softmax: the most edges that a batch of listeners has.
    """

    convolution: model.Convolution
    loss: str
    num_negatives: int
    l2: float
    temperature: float = 1.0
    negative_weight: float = 1.0
    max_edges: int = 0


def learning_rate(
    *, peak: float, schedule: str, warmup_steps: int, total_steps: int
) -> optax.Schedule:
    """The learning rate by step: linear warm-up from 0, then constant or a cosine down to 0.

    Raises:
      ValueError: unknown `schedule`.
    """
    if schedule == "constant":
        after = optax.constant_schedule(peak)
    elif schedule == "cosine":
        after = optax.cosine_decay_schedule(peak, max(1, total_steps - warmup_steps))
    else:
        raise ValueError(f"schedule is {schedule!r}; expected constant or cosine")
    if warmup_steps == 0:
        return after
    warmup = optax.linear_schedule(0.0, peak, warmup_steps)
    return optax.join_schedules([warmup, after], [warmup_steps])


def create_state(
    key: jax.Array,
    graph: BipartiteGraph,
    optimizer: optax.GradientTransformation,
    *,
    dim: int,
    stddev: float,
) -> TrainState:
    """A state at step 0 with fresh embeddings of the given length and standard deviation."""
    params = model.init_params(
        key, num_users=graph.num_users, num_items=graph.num_items, dim=dim, stddev=stddev
    )
    return TrainState(step=jnp.int32(0), params=params, opt_state=optimizer.init(params))


def batch_loss(
    params: model.Embeddings,
    graph: BipartiteGraph,
    batch: jax.Array,
    key: jax.Array,
    mass: negatives.ItemMass | None,
    settings: StepSettings,
) -> jax.Array:
    """The settings' loss plus L2 over a batch, against freshly sampled negatives.

    Args:
      params: layer-0 embeddings.
      graph: the training graph.
      batch: [n] int32, of edges (bpr) or of listeners (softmax), -1 for padding.
      key: the step's `jax.random` key.
      mass: how likely each song is as a negative; None for uniform.
      settings: the step's static settings.

    Returns:
      [] float32.
    """
    loss = _LOSSES[settings.loss]
    return loss(params, graph, batch, key, mass, settings)


def _bpr_loss(
    params: model.Embeddings,
    graph: BipartiteGraph,
    edges: jax.Array,
    key: jax.Array,
    mass: negatives.ItemMass | None,
    settings: StepSettings,
) -> jax.Array:
    """BPR over a batch of edges, each with negatives of its own."""
    users, items = edge_endpoints(graph, jnp.maximum(edges, 0))
    others, has_negative = negatives.sample_negatives(
        key,
        graph.to_users,
        users,
        num_items=graph.num_items,
        num_negatives=settings.num_negatives,
        mass=mass,
    )
    row_weights = ((edges >= 0) & has_negative).astype(jnp.float32)

    read = model.Masks(
        user=_mask(graph.num_users, users), item=_mask(graph.num_items, items, others)
    )
    final = settings.convolution(graph, params, read)
    user_rows = final.user[users]
    ranking = losses.bpr(
        model.scores(user_rows, final.item[items]),
        model.scores(user_rows[:, None], final.item[others]),
        row_weights=row_weights,
    )
    size = losses.l2(
        params.user[users], params.item[items], params.item[others], row_weights=row_weights
    )
    return ranking + settings.l2 * size


def _mask(size: int, *places: jax.Array) -> jax.Array:
    """[size] bool, True at the given places."""
    mask = jnp.zeros(size, bool)
    for each in places:
        mask = mask.at[each].set(True)
    return mask


def _softmax_loss(
    params: model.Embeddings,
    graph: BipartiteGraph,
    users: jax.Array,
    key: jax.Array,
    mass: negatives.ItemMass | None,
    settings: StepSettings,
) -> jax.Array:
    """Softmax of cosines over a batch of listeners, with negatives that all of them share.

    A song that a listener has listened to is left out of their negatives.
    """
    listens = listens_of(graph.to_users, users, max_edges=settings.max_edges)
    items, row, is_edge = listens.item, listens.row, listens.is_edge
    known_users = jnp.maximum(users, 0)
    others = negatives.shared_negatives(
        key, num_items=graph.num_items, num_negatives=settings.num_negatives, mass=mass
    )
    place, count = negatives.count_once(others, num_items=graph.num_items)
    listened = jnp.where(is_edge & (place[items] >= 0), place[items], len(others))
    known = jnp.zeros((len(users), len(others)), bool).at[row, listened].set(True, mode="drop")
    log_count = jnp.where(count > 0, jnp.log(jnp.maximum(count, 1) / len(others)), -jnp.inf)

    final = settings.convolution.of_listeners(graph, params, known_users, listens)
    user_rows = model.unit(final.user)
    ranking = losses.softmax(
        model.scores(user_rows[row], model.unit(final.item[items])),
        user_rows @ model.unit(final.item[others]).T,
        row=row,
        is_edge=is_edge,
        log_weights=jnp.where(known, -jnp.inf, log_count),
        temperature=settings.temperature,
        negative_weight=settings.negative_weight,
    )
    if settings.l2 == 0:  # gathers of layer 0 are not free
        return ranking
    size = losses.l2(
        params.user[known_users][row],
        params.item[items],
        row_weights=is_edge.astype(jnp.float32),
    )
    return ranking + settings.l2 * size


_LOSSES = {"bpr": _bpr_loss, "softmax": _softmax_loss}


def train_step(
    state: TrainState,
    graph: BipartiteGraph,
    batch: jax.Array,
    key: jax.Array,
    mass: negatives.ItemMass | None,
    *,
    settings: StepSettings,
    optimizer: optax.GradientTransformation,
) -> tuple[TrainState, jax.Array]:
    """One update. The step's randomness is `fold_in(key, state.step)` and nothing else.

    Args:
      state: the state before.
      graph: the training graph.
      batch: [n] int32, of edges (bpr) or of listeners (softmax), -1 for padding.
      key: the run's `jax.random` key for steps.
      mass: how likely each song is as a negative; None for uniform.
      settings: static settings.
      optimizer: the optax transformation that `state.opt_state` belongs to.

    Returns:
      The state after, and the batch's loss [] float32.
    """
    step_key = jax.random.fold_in(key, state.step)
    loss, gradient = jax.value_and_grad(batch_loss)(
        state.params, graph, batch, step_key, mass, settings
    )
    updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    return TrainState(step=state.step + 1, params=params, opt_state=opt_state), loss


@functools.partial(jax.jit, static_argnames=("settings", "optimizer"), donate_argnames=("state",))
def train_steps(
    state: TrainState,
    graph: BipartiteGraph,
    batches: jax.Array,
    key: jax.Array,
    mass: negatives.ItemMass | None,
    *,
    settings: StepSettings,
    optimizer: optax.GradientTransformation,
) -> tuple[TrainState, jax.Array]:
    """Several updates in one dispatch, equal to `train_step` on each batch in turn.

    The state is donated: its buffers are reused, and the caller's copy is gone.

    Args:
      state: the state before.
      graph: the training graph.
      batches: [num_steps, n] int32, a batch each.
      key: the run's `jax.random` key for steps.
      mass: how likely each song is as a negative; None for uniform.
      settings: static settings.
      optimizer: the optax transformation.

    Returns:
      The state after, and the losses [num_steps] float32.
    """
    step = functools.partial(train_step, settings=settings, optimizer=optimizer)
    return jax.lax.scan(lambda carry, batch: step(carry, graph, batch, key, mass), state, batches)
