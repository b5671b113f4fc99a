"""Checkpoints: saving a fit's state, finding it again whole, keeping the newest and the best.

A checkpoint is a folder named by its step. It is written under another name, read back and
compared with what was to be saved, listed in a manifest, and only then renamed: under its step's
name it is whole. `checkpoint_writing` does so; how arrays become files is the business of `arrays`.

Where a run has several processes, all of them open its checkpoints and call everything here
together. Each writes its parts of the arrays; process 0 does all else, and tells the others.
"""

import concurrent.futures
import dataclasses
import itertools
import time
from pathlib import Path
from typing import Any, Self

import jax
import numpy as np

from jaxrec.errors import RunError, UserError
from jaxrec.gcn.dealt_table import Dealt
from jaxrec.hosts import together
from jaxrec.manifest import find_damage
from jaxrec.models.method import Saved
from jaxrec.runs.arrays import describe, read_arrays
from jaxrec.runs.checkpoint_folder import (
    ARRAYS,
    Progress,
    Record,
    read_record,
    remove,
    remove_leftovers,
    saved_steps,
)
from jaxrec.runs.checkpoint_writing import write_checkpoint

_LATER_SECONDS = 60.0  # the default for which an NFS client believes that a folder is as it was


class Checkpoints:
    """The checkpoints of a run, a folder `<step>/` each: the newest few, and the best by score.

    Saves are asynchronous where the process is alone; leaving the context waits for them.

    Attributes:
      directory: the folder that holds them.
      damaged: what is wrong with each checkpoint that isn't whole, by step; none of these is used.
    """

    def __init__(self, directory: Path, *, keep: int = 1, read_only: bool = False) -> None:
        """Opens the folder, making it where it's missing, and checks every checkpoint there.

        Args:
          directory: the folder of the checkpoints.
          keep: how many of the newest are kept, beside the best one.
          read_only: nothing is written or removed, nor do other processes take part.

        Raises:
          UserError: there are checkpoints, but none is whole; or another process has other ones.
          RunError: the folder can't be written to.
        """
        self.directory = directory.absolute()
        self.damaged: dict[int, str] = {}
        self._keep = keep
        self._read_only = read_only
        self._whole: dict[int, Record] = {}
        self._pending: concurrent.futures.Future[None] | None = None
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "checkpoint")
        if read_only:
            self._read_all()
        else:
            self._open_together()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._thread.shutdown()
        if kind is None:
            self.wait()

    def damages(self) -> list[str]:
        """A line for each damaged checkpoint: where it is and what is wrong with it."""
        return [f"{self.directory / str(step)}: {why}" for step, why in self.damaged.items()]

    def save(
        self, saved: Saved, *, step: int, score: float | None, progress: Progress | None = None
    ) -> None:
        """Starts saving a state under its step; a step saved before is left as it is.

        Waits first for the save before to end.

        Args:
          saved: what to save. Its buffers on devices may be donated when this returns.
          step: how many updates have been made.
          score: how good it is, more is better; None if that wasn't measured.
          progress: what goes with it.

        Raises:
          RunError: the state holds a NaN or an infinity and nothing is saved, or the save before
            failed.
        """
        assert not self._read_only
        self.wait()
        if step in self._whole:
            return
        arrays = jax.tree.map(_kept, saved.arrays)
        if not all(map(_is_finite, jax.tree.leaves(arrays))):
            raise RunError(f"step {step}: the parameters are no longer finite; nothing was saved")
        self._pending = self._thread.submit(
            self._write, Saved(arrays, saved.about), step, score, progress or Progress()
        )
        if together.count() > 1:  # they speak to each other, and would be at different points
            self.wait()

    def wait(self) -> None:
        """Returns when every save that was started is complete on disk.

        Raises:
          RunError: one failed.
        """
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def steps(self) -> list[int]:
        """The steps of the whole checkpoints, oldest first."""
        return sorted(self._whole)

    def latest_step(self) -> int | None:
        """The newest whole checkpoint's step, or None."""
        return max(self._whole, default=None)

    def best_step(self) -> int | None:
        """The step of the best score (the newest of equals), or None where none has a score."""
        scored = [
            (record.score, step) for step, record in self._whole.items() if record.score is not None
        ]
        return max(scored)[1] if scored else None

    def progress(self, step: int) -> Progress:
        """What was saved beside the state of a whole checkpoint."""
        return self._whole[step].progress

    def about(self, step: int) -> dict[str, Any] | None:
        """What was said about the arrays of a whole checkpoint."""
        return self._whole[step].about

    def restore(self, step: int, like: Any) -> Saved:
        """The state saved at a step, as NumPy arrays; what is `Awaited` as `Dealt`.

        Args:
          step: one of `steps()`.
          like: a tree of shapes (`jax.eval_shape`) or `Awaited`, which the saved one must match.

        Raises:
          UserError: what was read is not what was saved, or of other shapes.
        """
        path = self.directory / str(step)
        record, wanted = self._whole[step], describe(like)
        for found, expected in itertools.zip_longest(record.arrays, wanted):
            if found != expected:
                raise UserError(f"{path}: holds {found}; expected {expected}")
        return Saved(
            read_arrays(path / ARRAYS, like, record.parts, record.part_bytes), self.about(step)
        )

    def _open_together(self) -> None:
        """Process 0 makes ready and reads, and tells the others, who see whether they find it."""
        if together.is_first():
            try:
                self.directory.mkdir(exist_ok=True)
                remove_leftovers(self.directory)
            except OSError as error:
                raise RunError(f"{self.directory}: {error.strerror}") from error
            self._read_all()
        whole = [dataclasses.asdict(record) for record in self._whole.values()]
        told = together.decided("checkpoints", [whole, list(self.damaged.items())])
        self._whole = {each["step"]: Record.of(each) for each in told[0]}
        self.damaged = dict(told[1])
        begin = time.monotonic()
        for path in (self.directory, *(self.directory / str(step) for step in self._whole)):
            # What another machine has just made a network's file system may show a little later.
            while not path.is_dir() and time.monotonic() - begin < _LATER_SECONDS:
                time.sleep(0.2)
            if not path.is_dir():
                raise UserError(
                    f"process {together.index()} doesn't find {path}, where process 0 does; "
                    "expected a --workdir that all processes share"
                )

    def _read_all(self) -> None:
        for step in saved_steps(self.directory):
            path = self.directory / str(step)
            damage = find_damage(path)
            if damage is None:
                self._whole[step] = read_record(path)
            else:
                self.damaged[step] = damage
        if self.damaged and not self._whole:
            raise UserError(
                f"{self.directory}: no checkpoint is whole ({'; '.join(self.damages())}); expected "
                "one to go on from, or another --workdir to start anew"
            )

    def _write(self, saved: Saved, step: int, score: float | None, progress: Progress) -> None:
        """Saves and prunes; runs in the thread."""
        self._whole[step] = write_checkpoint(
            self.directory, saved, step=step, score=score, progress=progress
        )
        self.damaged.pop(step, None)
        self._prune()

    def _prune(self) -> None:
        """Removes what is neither among the newest nor the best; only after a newer was saved."""
        kept = {*self.steps()[-self._keep :], self.best_step()}
        for step in self.steps():
            if step not in kept:
                if together.is_first():
                    try:
                        remove(self.directory / str(step))
                    except OSError as error:
                        raise RunError(f"{self.directory / str(step)}: {error.strerror}") from error
                del self._whole[step]


def _kept(leaf: np.ndarray | jax.Array | Dealt) -> np.ndarray | Dealt:
    """The array in the host's memory: a copy of what a device holds and may overwrite.

    What several processes have is read while all of them wait, and stays where it is.
    """
    if isinstance(leaf, np.ndarray) or (isinstance(leaf, Dealt) and together.count() > 1):
        return leaf
    return np.array(leaf)


def _is_finite(leaf: np.ndarray | Dealt) -> bool:
    if isinstance(leaf, Dealt):
        return leaf.is_finite()
    if leaf.dtype.kind != "f" or leaf.size == 0:
        return True
    # Without a mask as large as the array: the least and the greatest tell, and a NaN is both.
    return bool(np.isfinite(leaf.min()) and np.isfinite(leaf.max()))
