"""Checkpoints: saving a fit's state, finding it again whole, keeping the newest and the best.

A checkpoint is a folder named by its step. It is written under another name, read back and
compared with what was to be saved, listed in a manifest, and only then renamed: under its step's
name it is whole. How arrays become files is the business of `arrays`.
"""

import concurrent.futures
import dataclasses
import itertools
import json
import os
import shutil
from pathlib import Path
from typing import Any, Self

import jax
import numpy as np

from jaxrec.errors import RunError, UserError
from jaxrec.files import sync, write_json
from jaxrec.manifest import find_damage, write_manifest
from jaxrec.models.method import Saved
from jaxrec.runs.arrays import check_space, one_line, read_arrays, tree_digest, write_arrays

_ARRAYS, _RECORD = "state", "record.json"
_PARTIAL, _REMOVED = ".partial", ".removed"


@dataclasses.dataclass(frozen=True)
class Progress:
    """What a run has come to beside its arrays.

    Attributes:
      history: the metrics' row of each epoch that is done and measured.
      loss_sum: the loss summed over the edges visited in the epoch under way.
      seconds: what the epoch under way has taken so far.
    """

    history: tuple[dict[str, Any], ...] = ()
    loss_sum: float = 0.0
    seconds: float = 0.0


@dataclasses.dataclass(frozen=True)
class _Record:
    """What a checkpoint says of itself: how good it is, and what its arrays must be."""

    step: int
    score: float | None
    about: dict[str, Any] | None
    arrays: list[str]
    state_sha256: str
    progress: Progress


class Checkpoints:
    """The checkpoints of a run, a folder `<step>/` each: the newest few, and the best by score.

    Saves are asynchronous; leaving the context waits for them.

    Attributes:
      directory: the folder that holds them.
      damaged: what is wrong with each checkpoint that isn't whole, by step; none of these is used.
    """

    def __init__(self, directory: Path, *, keep: int = 1, read_only: bool = False) -> None:
        """Opens the folder, making it where it's missing, and checks every checkpoint there.

        Args:
          directory: the folder of the checkpoints.
          keep: how many of the newest are kept, beside the best one.
          read_only: nothing is written or removed; `save` saves nothing.

        Raises:
          UserError: there are checkpoints, but none is whole.
          RunError: the folder can't be written to.
        """
        self.directory = directory.absolute()
        self.damaged: dict[int, str] = {}
        self._keep = keep
        self._read_only = read_only
        self._whole: dict[int, _Record] = {}
        self._pending: concurrent.futures.Future[None] | None = None
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "checkpoint")
        if not read_only:
            try:
                self.directory.mkdir(exist_ok=True)
                _remove_leftovers(self.directory)
            except OSError as error:
                raise RunError(f"{self.directory}: {error.strerror}") from error
        self._read_all()
        if self.damaged and not self._whole:
            raise UserError(
                f"{self.directory}: no checkpoint is whole ({'; '.join(self.damages())}); expected "
                "one to go on from, or another --workdir to start anew"
            )

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
          saved: what to save. What lies on a device is copied first, so its buffers may be
            donated afterwards.
          step: how many updates have been made.
          score: how good it is, more is better; None if that wasn't measured.
          progress: what goes with it.

        Raises:
          RunError: the state holds a NaN or an infinity and nothing is saved, or the save before
            failed.
        """
        self.wait()
        if step in self._whole:
            return
        host = jax.tree.map(_on_host, saved.arrays)
        if not all(map(_is_finite, jax.tree.leaves(host))):
            raise RunError(f"step {step}: the parameters are no longer finite; nothing was saved")
        if self._read_only:
            return
        self._pending = self._thread.submit(
            self._write, Saved(host, saved.about), step, score, progress or Progress()
        )

    def wait(self) -> None:
        """Returns when every save that was started is complete on disk.

        Raises:
          RunError: one failed.
        """
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def look_again(self) -> None:
        """Takes in what others have saved there since it was opened."""
        if self._read_only:
            self._read_all()

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
        """The state saved at a step, as NumPy arrays.

        Args:
          step: one of `steps()`.
          like: a tree of arrays or shapes (`jax.eval_shape`), which the saved one must match.

        Raises:
          UserError: what was read is not what was saved, or of other shapes.
        """
        path = self.directory / str(step)
        record, wanted = self._whole[step], _describe(like)
        for found, expected in itertools.zip_longest(record.arrays, wanted):
            if found != expected:
                raise UserError(f"{path}: holds {found}; expected {expected}")
        arrays = read_arrays(path / _ARRAYS, like)
        if tree_digest(arrays) != record.state_sha256:
            raise UserError(f"{path}: read back, it is not the state that was saved")
        return Saved(arrays, self.about(step))

    def _read_all(self) -> None:
        for step in saved_steps(self.directory):
            path = self.directory / str(step)
            damage = find_damage(path)
            if damage is None:
                self._whole[step] = _read_record(path)
            else:
                self.damaged[step] = damage

    def _write(self, saved: Saved, step: int, score: float | None, progress: Progress) -> None:
        """Saves and prunes; runs in the thread."""
        path = self.directory / str(step)
        partial = path.with_name(path.name + _PARTIAL)
        try:
            check_space(self.directory, saved.arrays)
            digest = tree_digest(saved.arrays)
            record = _Record(step, score, saved.about, _describe(saved.arrays), digest, progress)
            partial.mkdir()
            write_arrays(partial / _ARRAYS, saved.arrays)
            write_json(partial / _RECORD, dataclasses.asdict(record))
            write_manifest(partial)
            _commit(partial, path)
            self._whole[step] = record
            self.damaged.pop(step, None)
            self._prune()
        except Exception as error:  # of many kinds: Orbax and TensorStore have their own
            shutil.rmtree(partial, ignore_errors=True)
            what = f"{path}: the checkpoint could not be saved"
            if not self.directory.is_dir():
                raise RunError(f"{what}; the folder is gone") from error
            raise RunError(f"{what} ({one_line(error)}); the ones before it are kept") from error

    def _prune(self) -> None:
        """Removes what is neither among the newest nor the best; only after a newer was saved."""
        kept = {*self.steps()[-self._keep :], self.best_step()}
        for step in self.steps():
            if step not in kept:
                _remove(self.directory / str(step))
                del self._whole[step]


def saved_steps(directory: Path) -> list[int]:
    """The steps of the checkpoints in a folder, whole or damaged, oldest first."""
    if not directory.is_dir():
        return []
    return sorted(int(path.name) for path in directory.iterdir() if path.name.isdecimal())


def _on_host(leaf: np.ndarray | jax.Array) -> np.ndarray:
    """The array in the host's memory: a copy of what a device holds and may overwrite."""
    return leaf if isinstance(leaf, np.ndarray) else np.array(leaf)


def _describe(tree: Any) -> list[str]:
    """Each array's type and shape, such as `float32[6, 4]`, in the tree's order."""
    return [f"{leaf.dtype}{list(leaf.shape)}" for leaf in jax.tree.leaves(tree)]


def _is_finite(leaf: np.ndarray) -> bool:
    if leaf.dtype.kind != "f" or leaf.size == 0:
        return True
    # Without a mask as large as the array: the least and the greatest tell, and a NaN is both.
    return bool(np.isfinite(leaf.min()) and np.isfinite(leaf.max()))


def _read_record(path: Path) -> _Record:
    """What a whole checkpoint says of itself.

    Raises:
      UserError: it was written by another version.
    """
    values = json.loads((path / _RECORD).read_text(encoding="utf-8"))
    try:
        progress = values["progress"]
        history = tuple(progress["history"])
        return _Record(**values | {"progress": Progress(**progress | {"history": history})})
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{path}: written by another version of jaxrec; expected a --workdir of its own, to "
            "start anew"
        ) from error


def _commit(partial: Path, path: Path) -> None:
    """Gives a finished checkpoint its name; a damaged one of that name makes way."""
    if path.exists():
        os.rename(path, path.with_name(path.name + _REMOVED))
    os.rename(partial, path)
    sync(path.parent)
    _remove_leftovers(path.parent)


def _remove(path: Path) -> None:
    """Renames first, so that an interruption leaves nothing that looks like a checkpoint."""
    aside = path.with_name(path.name + _REMOVED)
    os.rename(path, aside)
    shutil.rmtree(aside)


def _remove_leftovers(directory: Path) -> None:
    for path in directory.iterdir():
        if path.suffix in (_PARTIAL, _REMOVED) and path.stem.isdecimal():
            shutil.rmtree(path)
