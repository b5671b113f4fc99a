"""One training step as a pure function, and several of them in one dispatch."""

import functools

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax.sharding import Mesh

from jaxrec.gcn.dealing import specs
from jaxrec.gcn.edges import GraphSize
from jaxrec.gcn.embeddings import Embeddings, init_params
from jaxrec.gcn.mesh import ALIKE, on_devices, state_specs
from jaxrec.gcn.objectives import Objective
from jaxrec.gcn.training_graph import TrainingGraph


@struct.dataclass
class TrainState:
    """All that training carries from step to step.

    Attributes:
      step: [] int32, how many updates have been made.
      params: the layer-0 embeddings.
      opt_state: the optimizer's state.
    """

    step: jax.Array
    params: Embeddings
    opt_state: optax.OptState


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
    graph: GraphSize,
    optimizer: optax.GradientTransformation,
    *,
    dim: int,
    stddev: float,
) -> TrainState:
    """A state at step 0 with fresh embeddings of the given length and standard deviation."""
    params = init_params(
        key, num_users=graph.num_users, num_items=graph.num_items, dim=dim, stddev=stddev
    )
    return TrainState(step=jnp.int32(0), params=params, opt_state=optimizer.init(params))


def train_step(
    state: TrainState,
    data: TrainingGraph,
    batch: jax.Array,
    key: jax.Array,
    *,
    objective: Objective,
    optimizer: optax.GradientTransformation,
) -> tuple[TrainState, jax.Array]:
    """One update. The step's randomness is `fold_in(key, state.step)` and nothing else.

    Args:
      state: the state before.
      data: the training graph.
      batch: [n] int32, one of the objective's batches, -1 for padding.
      key: the run's `jax.random` key for steps.
      objective: what is lowered; static.
      optimizer: the optax transformation that `state.opt_state` belongs to.

    Returns:
      The state after, and the batch's loss [] float32.
    """
    step_key = jax.random.fold_in(key, state.step)
    loss, gradient = jax.value_and_grad(objective)(state.params, data, batch, step_key)
    updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    return TrainState(step=state.step + 1, params=params, opt_state=opt_state), loss


@functools.partial(
    jax.jit, static_argnames=("objective", "optimizer", "mesh"), donate_argnames=("state",)
)
def train_steps(
    state: TrainState,
    data: TrainingGraph,
    batches: jax.Array,
    key: jax.Array,
    *,
    objective: Objective,
    optimizer: optax.GradientTransformation,
    mesh: Mesh | None = None,
) -> tuple[TrainState, jax.Array]:
    """Several updates in one dispatch, equal to `train_step` on each batch in turn.

    The state is donated: its buffers are reused, and the caller's copy is gone.

    Args:
      state: the state before.
      data: the training graph.
      batches: [num_steps, n] int32, a batch each.
      key: the run's `jax.random` key for steps.
      objective: what is lowered; static.
      optimizer: the optax transformation.
      mesh: the devices that the rows of state and data are dealt to; None for one alone. Each runs
        the same steps: it sums into its own rows and moves them, and computes the loss of the
        whole batch or of its part, as the objective says.

    Returns:
      The state after, and the losses [num_steps] float32.
    """
    step = functools.partial(train_step, objective=objective, optimizer=optimizer)

    def steps(
        state: TrainState, data: TrainingGraph, batches: jax.Array, key: jax.Array
    ) -> tuple[TrainState, jax.Array]:
        return jax.lax.scan(lambda carry, batch: step(carry, data, batch, key), state, batches)

    own = state_specs(state)
    takes = (own, specs(data), ALIKE, ALIKE)
    return on_devices(steps, mesh, takes=takes, gives=(own, ALIKE))(state, data, batches, key)
