"""Everything that touches Orbax: saving a run's state, finding it again, keeping the best."""

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from jaxrec.errors import RunError
from jaxrec.train.step import TrainState

_SCORE = "score"


class Checkpoints:
    """The checkpoints of a run, a folder `<step>/` each: the newest few, and the best by score.

    Saves are asynchronous; leaving the context waits for them.
    """

    def __init__(self, directory: Path, *, keep: int = 1, read_only: bool = False) -> None:
        """Opens the folder; saving makes it where it's missing.

        Args:
          directory: the folder of the checkpoints.
          keep: how many of the newest are kept, beside the best one.
          read_only: nothing is written or removed.
        """
        policy = checkpoint_managers.AnyPreservationPolicy(
            [
                checkpoint_managers.LatestN(keep),
                checkpoint_managers.BestN(
                    get_metric_fn=lambda metrics: metrics[_SCORE],
                    n=1,
                    keep_checkpoints_without_metrics=False,
                ),
            ]
        )
        self._manager = ocp.CheckpointManager(
            directory.absolute(),
            options=ocp.CheckpointManagerOptions(
                best_fn=lambda metrics: metrics[_SCORE],  # without it metrics aren't kept
                preservation_policy=policy,
                cleanup_tmp_directories=not read_only,
                create=not read_only,
                read_only=read_only,
            ),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._manager.close()

    def save(self, state: TrainState, *, score: float | None) -> None:
        """Starts saving a state under its step; a step saved before is left as it is.

        Args:
          state: what to save. It is copied first, so its buffers may be donated afterwards.
          score: how good it is, more is better; None if that wasn't measured.

        Raises:
          RunError: the state holds a NaN or an infinity; nothing is saved.
        """
        copied = jax.tree.map(np.array, state)
        step = int(copied.step)
        if not all(np.isfinite(part).all() for part in jax.tree.leaves(copied)):
            raise RunError(f"step {step}: the parameters are no longer finite; nothing was saved")
        if step in self.steps():
            return
        metrics = None if score is None else {_SCORE: score}
        self._manager.save(step, args=ocp.args.StandardSave(copied), metrics=metrics)

    def wait(self) -> None:
        """Returns when every save that was started is complete on disk."""
        self._manager.wait_until_finished()

    def steps(self) -> list[int]:
        """The steps of the complete checkpoints, oldest first."""
        return sorted(self._manager.all_steps())

    def latest_step(self) -> int | None:
        """The newest complete checkpoint's step, or None."""
        return self._manager.latest_step()

    def best_step(self) -> int | None:
        """The step of the best score (the newest of equals), or None where none has a score."""
        scored = [
            (metrics[_SCORE], step)
            for step in self.steps()
            if (metrics := self._manager.metrics(step)) is not None
        ]
        return max(scored)[1] if scored else None

    def restore(self, step: int, like: TrainState) -> TrainState:
        """The state saved at a step.

        Args:
          step: one that `latest_step` or `best_step` named.
          like: a state or shapes of one (`jax.eval_shape`), which the saved one must match.
        """
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        restored: Any = self._manager.restore(step, args=ocp.args.StandardRestore(abstract))
        return jax.tree.map(jax.numpy.asarray, restored)
