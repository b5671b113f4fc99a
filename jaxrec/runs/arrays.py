"""A tree of arrays on disk: everything that touches Orbax."""

import hashlib
import os
import re
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from jaxrec.errors import RunError

_OVERHEAD_BYTES = 128 * 1024  # of the small files beside the arrays
_LONGEST_ERROR = 400


def write_arrays(path: Path, tree: Any) -> None:
    """Writes a tree of arrays to a folder that doesn't exist yet."""
    with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as checkpointer:
        checkpointer.save(path, args=ocp.args.StandardSave(tree))


def read_arrays(path: Path, like: Any) -> Any:
    """Reads a tree of NumPy arrays, of the shapes that were saved.

    Args:
      path: the folder.
      like: a tree, or shapes of one, of the same structure.
    """
    empty = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), like)
    with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as checkpointer:
        return checkpointer.restore(path, args=ocp.args.StandardRestore(empty))


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
