"""One epoch of training: batches formed on the device, several steps per dispatch."""

import functools
import math
from collections.abc import Callable

import jax
import numpy as np
import optax

from jaxrec.errors import RunError
from jaxrec.gcn.graph import BipartiteGraph
from jaxrec.gcn.negatives import ItemMass, epoch_order
from jaxrec.train.step import StepSettings, TrainState, train_steps

STEPS_PER_DISPATCH = 16

# The run's key is folded with these, so that no two uses of randomness share a key.
INIT, ORDER, STEP = range(3)

_epoch_order = jax.jit(epoch_order, static_argnames=("num_edges", "batch_size"))


def steps_per_epoch(graph: BipartiteGraph, batch_size: int) -> int:
    """Batches that one pass over all edges takes."""
    return -(-graph.num_edges // batch_size)


def train_epoch(
    state: TrainState,
    graph: BipartiteGraph,
    mass: ItemMass | None,
    *,
    epoch: int,
    seed: int,
    batch_size: int,
    settings: StepSettings,
    optimizer: optax.GradientTransformation,
    on_steps: Callable[[int, float], None],
) -> tuple[TrainState, float]:
    """Visits every edge once, in the order that (seed, epoch) gives.

    Losses are read one dispatch late, so that the device never waits for the host.

    Args:
      state: the state before; donated.
      graph: the training graph.
      mass: how likely each song is as a negative; None for uniform.
      epoch: number of the epoch, from 0.
      seed: the run's seed.
      batch_size: edges per update.
      settings: the step's static settings.
      optimizer: the optax transformation.
      on_steps: called with the number of edges done since the last call and the mean loss of the
        steps they took.

    Returns:
      The state after, and the mean loss over the epoch's edges.

    Raises:
      RunError: a loss was NaN or infinite.
    """
    key = jax.random.key(seed)
    order_key = jax.random.fold_in(jax.random.fold_in(key, ORDER), epoch)
    step_key = jax.random.fold_in(key, STEP)
    batches = _epoch_order(order_key, num_edges=graph.num_edges, batch_size=batch_size)
    num_steps = len(batches)
    rows = np.full(num_steps, batch_size)
    rows[-1] = graph.num_edges - (num_steps - 1) * batch_size
    first_step = epoch * num_steps
    losses: list[np.ndarray] = []

    def read(start: int, pending: jax.Array) -> None:
        block = np.asarray(pending, np.float64)
        for offset, loss in enumerate(block):
            if not math.isfinite(loss):
                raise RunError(
                    f"step {first_step + start + offset + 1} (epoch {epoch + 1}): the loss is "
                    f"{loss}; expected a finite number. The last good checkpoint is kept; a "
                    "lower config.lr may help"
                )
        losses.append(block)
        edges = int(rows[start : start + len(block)].sum())
        on_steps(edges, float(block.mean()))

    advance = functools.partial(train_steps, settings=settings, optimizer=optimizer)
    pending: tuple[int, jax.Array] | None = None
    for start in range(0, num_steps, STEPS_PER_DISPATCH):
        size = min(STEPS_PER_DISPATCH, num_steps - start)
        block = jax.lax.dynamic_slice_in_dim(batches, start, size)
        state, dispatched = advance(state, graph, block, step_key, mass)
        if pending is not None:
            read(*pending)
        pending = (start, dispatched)
    if pending is not None:
        read(*pending)
    return state, float(np.average(np.concatenate(losses), weights=rows))
