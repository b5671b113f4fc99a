"""A tree of arrays on disk: everything that touches Orbax."""

import hashlib
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from jaxrec.errors import RunError

PART_BYTES = 2**28  # Orbax holds some times what it writes at once
_OVERHEAD_BYTES = 128 * 1024  # of the small files beside the arrays
_LONGEST_ERROR = 400

# The rows of a leaf that go into a part together: its place among the leaves, first and end row.
Rows = tuple[int, int, int]


def write_arrays(path: Path, tree: Any) -> None:
    """Writes a tree of NumPy arrays to a folder that doesn't exist yet, and reads it back.

    Part by part, so that beside the tree no more than some parts are in memory.

    Raises:
      RunError: what was read back is not what was written.
    """
    path.mkdir()
    leaves = jax.tree.leaves(tree)
    for number, part in enumerate(_parts(leaves)):
        arrays = _part_of(leaves, part)
        with _checkpointer() as checkpointer:
            checkpointer.save(path / str(number), args=ocp.args.StandardSave(arrays))
        if tree_digest(_read_part(path / str(number), arrays)) != tree_digest(arrays):
            raise RunError("read back, it was not what had been saved")


def read_arrays(path: Path, like: Any) -> Any:
    """Reads a tree of NumPy arrays, of the shapes that were saved.

    Args:
      path: the folder.
      like: a tree, or shapes of one, of the same structure and the same shapes.
    """
    leaves, structure = jax.tree.flatten(like)
    found = [np.empty(leaf.shape, leaf.dtype) for leaf in leaves]
    for number, part in enumerate(_parts(found)):
        arrays = _read_part(path / str(number), _part_of(found, part))
        for name, (leaf, start, stop) in zip(arrays, part, strict=True):
            if found[leaf].ndim:
                found[leaf][start:stop] = arrays[name]
            else:
                found[leaf][()] = arrays[name]
    return jax.tree.unflatten(structure, found)


def _checkpointer() -> ocp.Checkpointer:
    """Orbax's, which in one of several processes would wait for all others."""
    own = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(
        primary_host=own, active_processes={own}, barrier_sync_key_prefix=f"process-{own}"
    )
    handler = ocp.StandardCheckpointHandler(multiprocessing_options=alone)
    return ocp.Checkpointer(handler, multiprocessing_options=alone)


def _read_part(path: Path, like: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    empty = {name: np.empty(each.shape, each.dtype) for name, each in like.items()}
    with _checkpointer() as checkpointer:
        found: dict[str, np.ndarray] = checkpointer.restore(
            path, args=ocp.args.StandardRestore(empty)
        )
    return {name: found[name] for name in like}


def _parts(leaves: Sequence[np.ndarray]) -> list[list[Rows]]:
    """Cuts the leaves, and a large leaf's rows, into parts of at most PART_BYTES, or a row each."""
    parts: list[list[Rows]] = []
    room = 0
    for leaf, array in enumerate(leaves):
        if array.size == 0:  # Orbax saves none of these, and they hold nothing
            continue
        length = array.shape[0] if array.ndim else 1
        row_bytes = array.nbytes // length
        longest = max(1, PART_BYTES // row_bytes)
        for start in range(0, length, longest):
            stop = min(start + longest, length)
            if (stop - start) * row_bytes > room:
                parts.append([])
                room = PART_BYTES
            parts[-1].append((leaf, start, stop))
            room -= (stop - start) * row_bytes
    return parts


def _part_of(leaves: Sequence[np.ndarray], part: Sequence[Rows]) -> dict[str, np.ndarray]:
    """A part's arrays, by the leaf's number and its first row."""
    return {
        f"{leaf:05d}.{start}": leaves[leaf][start:stop] if leaves[leaf].ndim else leaves[leaf]
        for leaf, start, stop in part
    }


def tree_digest(tree: Any) -> str:
    """SHA-256 over the arrays of a tree: their types, shapes and bits, in the tree's order."""
    digest = hashlib.sha256()
    for leaf in map(np.asarray, jax.tree.leaves(tree)):
        digest.update(f"{leaf.dtype.str}{leaf.shape}".encode())
        digest.update(np.ascontiguousarray(leaf).data)
    return digest.hexdigest()


def check_space(directory: Path, tree: Any) -> None:
    """Says before a save what would go wrong amid it, where Orbax says it at length.

    Raises:
      RunError: the disk has no room for the arrays.
      OSError: there is no such folder.
    """
    usage = shutil.disk_usage(directory)
    needed = sum(leaf.nbytes for leaf in jax.tree.leaves(tree)) + _OVERHEAD_BYTES
    if usage.total and usage.free < needed:  # a total of 0: a file system that doesn't tell
        raise RunError(
            f"no space left: {usage.free / 2**20:,.1f} MiB free, {needed / 2**20:,.1f} MiB needed"
        )


def one_line(error: BaseException) -> str:
    """What an error of Orbax, TensorStore or the system says, in a line of readable length."""
    text = " ".join(str(error).split()) or type(error).__name__
    if code := re.search(r"os_error_code='(\d+)'", text):  # TensorStore's way to say which errno
        return os.strerror(int(code[1]))
    return text if len(text) <= _LONGEST_ERROR else text[:_LONGEST_ERROR] + " …"
