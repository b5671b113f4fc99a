"""A trace of training steps, for TensorBoard or Perfetto."""

from pathlib import Path

import jax
import jax.numpy as jnp

from jaxrec.train.loop import STEPS_PER_DISPATCH
from jaxrec.train.setup import Setup
from jaxrec.train.step import TrainState, train_steps


def trace_steps(folder: Path, setup: Setup, state: TrainState) -> None:
    """Runs two dispatches on a copy of the state and writes a trace of the second.

    The first one compiles. The state itself is left as it is.

    Args:
      folder: where the trace goes.
      setup: the run's pure parts.
      state: the state to start from.
    """
    key = jax.random.key(setup.seed)
    order = setup.known_to_all(setup.batches.order(key))
    batches = order[jnp.arange(STEPS_PER_DISPATCH) % len(order)]
    copy = jax.tree.map(jnp.copy, state)

    def dispatch(state: TrainState) -> TrainState:
        state, losses = train_steps(
            state,
            setup.data,
            batches,
            key,
            objective=setup.objective,
            optimizer=setup.optimizer,
            mesh=setup.mesh,
        )
        losses.block_until_ready()
        return state

    copy = dispatch(copy)
    with jax.profiler.trace(str(folder), create_perfetto_trace=True):
        dispatch(copy)
