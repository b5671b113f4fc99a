"""One epoch of training: batches formed on the device, several steps per dispatch."""

import dataclasses
import functools
import math
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxrec.errors import RunError
from jaxrec.gcn.batches import Batches
from jaxrec.gcn.objectives import Objective
from jaxrec.gcn.training_graph import TrainingGraph
from jaxrec.hosts import together
from jaxrec.train.step import TrainState, train_steps

STEPS_PER_DISPATCH = 16

# The run's key is folded with these, so that no two uses of randomness share a key.
INIT, ORDER, STEP = range(3)


class Pace:
    """How many steps go into a dispatch: many, but not more than take `longest_seconds`.

    A dispatch can't be interrupted, so this is how soon a run can stop. Until it is known how long
    a step takes, a dispatch is one step. It changes no result: steps are the same however they are
    dispatched.

    Attributes:
      steps: how many, a power of two.
    """

    def __init__(self, longest_seconds: float = math.inf) -> None:
        self.steps = STEPS_PER_DISPATCH if longest_seconds == math.inf else 1
        self._longest_seconds = longest_seconds
        self._fastest = math.inf

    def took(self, seconds_per_step: float) -> None:
        """Learns from a dispatch; the fastest counts, since others may have waited or compiled."""
        self._fastest = min(self._fastest, seconds_per_step)
        self.steps = STEPS_PER_DISPATCH
        while self.steps > 1 and self.steps * self._fastest > self._longest_seconds:
            self.steps //= 2


@dataclasses.dataclass(frozen=True, eq=False)
class Training:
    """What all epochs of a run have in common.

    Attributes:
      data: the training graph.
      objective: what is lowered.
      batches: how an epoch is cut into batches, as the objective takes them.
      optimizer: the optax transformation.
      seed: the run's seed.
      mesh: the devices that the rows of `data` and of the state are dealt to; None for one alone.
    """

    data: TrainingGraph
    objective: Objective
    batches: Batches
    optimizer: optax.GradientTransformation
    seed: int
    mesh: Mesh | None = None

    def known_to_all(self, array: jax.Array) -> jax.Array:
        """An array that this process has made as all others have, on every device."""
        if self.mesh is None:
            return array
        host = np.asarray(array)
        everywhere = NamedSharding(self.mesh, PartitionSpec())
        return jax.make_array_from_callback(host.shape, everywhere, host.__getitem__)


def train_epoch(
    training: Training,
    state: TrainState,
    epoch: int,
    *,
    on_steps: Callable[[int, float], None],
    loss_sum: float = 0.0,
    pace: Pace | None = None,
    pause_at: Callable[[int], bool] = lambda step: False,
    on_pause: Callable[[TrainState, float], None] = lambda state, loss_sum: None,
) -> tuple[TrainState, float]:
    """Visits every edge once, in the order that (seed, epoch) gives; goes on from `state.step`.

    Losses are read one dispatch late, so that the device never waits for the host.

    Args:
      training: what all epochs have in common.
      state: the state before, at the epoch's start or within it; donated.
      epoch: number of the epoch, from 0.
      on_steps: called with the number of edges done since the last call and the mean loss of the
        steps they took.
      loss_sum: the loss summed over the epoch's edges visited before.
      pace: how many steps to dispatch at once.
      pause_at: asked between two dispatches, with the step reached, whether to pause.
      on_pause: called in a pause with the state and the loss summed so far; may raise to stop.

    Returns:
      The state after, and the mean loss over the epoch's edges.

    Raises:
      RunError: a loss or the state was NaN or infinite.
    """
    pace = Pace() if pace is None else pace
    key = jax.random.key(training.seed)
    order_key = jax.random.fold_in(jax.random.fold_in(key, ORDER), epoch)
    step_key = jax.random.fold_in(key, STEP)
    order = training.batches.order(order_key)
    rows = training.batches.edges_in(order)
    order = training.known_to_all(order)
    num_steps = len(order)
    first_step = epoch * num_steps
    start = int(state.step) - first_step
    if start:
        edges = int(rows[:start].sum())
        on_steps(edges, loss_sum / edges)

    def read(start: int, pending: jax.Array) -> None:
        nonlocal loss_sum
        block = np.asarray(pending, np.float64)
        for offset, loss in enumerate(block.tolist(), start):
            if not math.isfinite(loss):
                raise RunError(
                    f"step {first_step + offset + 1} (epoch {epoch + 1}): the loss is {loss}; "
                    f"expected a finite number. {_ADVICE}"
                )
            # One by one, so that the sum doesn't depend on where the dispatches begin.
            loss_sum += loss * int(rows[offset])
        on_steps(int(rows[start : start + len(block)].sum()), float(block.mean()))

    advance = functools.partial(
        train_steps,
        objective=training.objective,
        optimizer=training.optimizer,
        mesh=training.mesh,
    )
    pending: tuple[int, jax.Array] | None = None
    last_read: float | None = None
    while start < num_steps:
        size = together.decided("steps", min(pace.steps, num_steps - start))
        block = jax.lax.dynamic_slice_in_dim(order, start, size)
        state, dispatched = advance(state, training.data, block, step_key)
        if pending is not None:
            read(*pending)
            now = time.perf_counter()
            if last_read is not None:
                pace.took((now - last_read) / len(pending[1]))
            last_read = now
        pending = (start, dispatched)
        start += size
        if start < num_steps and pause_at(first_step + start):
            read(*pending)
            pending = last_read = None
            on_pause(state, loss_sum)
    if pending is not None:
        read(*pending)
    if not _all_finite(state):
        raise RunError(
            f"step {int(state.step)} (epoch {epoch + 1}): the parameters are no longer finite. "
            f"{_ADVICE}"
        )
    return state, loss_sum / int(rows.sum())


_ADVICE = "The last good checkpoint is kept; a lower config.lr may help"


@jax.jit
def _all_finite(state: TrainState) -> jax.Array:
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(state)]).all()
