"""A tree of arrays on disk: everything that touches Orbax."""

import hashlib
import math
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxrec.errors import RunError, UserError
from jaxrec.gcn.dealt_table import Awaited, Dealt

_OVERHEAD_BYTES = 128 * 1024  # of the small files beside the arrays
_LONGEST_ERROR = 400

# The rows of a leaf that go into a part together: its place among the leaves, first row, and end.
Rows = tuple[int, int, int]


def own_parts(
    tree: Any, part_bytes: int, *, process: int = 0, processes: int = 1
) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """Cuts a tree of arrays into parts, and gives those that this process is to write.

    How it is cut depends on nothing but the shapes, and what a part holds not on who writes it.
    Each process has a part in memory, beside what it has of the tree anyway.

    Args:
      tree: of NumPy arrays, and of tables that are `Dealt`, of which all processes bring their rows
        to the one that writes them; so all of them take all of theirs from here.
      part_bytes: the most that a part holds, or a row.
      process: which process this is.
      processes: how many there are.

    Yields:
      A part's number, and its arrays by name.
    """
    leaves = jax.tree.leaves(tree)
    parts = _parts(leaves, part_bytes)
    for turn in range(0, len(parts), processes):  # each gets its part, then all write
        own = {}
        for number in range(turn, min(turn + processes, len(parts))):
            # What isn't dealt each process has made itself: it is kept as process 0 has it.
            is_dealt = any(isinstance(leaves[leaf], Dealt) for leaf, _, _ in parts[number])
            wanted = process == (number % processes if is_dealt else 0)
            arrays = _part_of(leaves, parts[number], wanted=wanted)
            if wanted:
                own[number] = arrays
        yield from own.items()


def count_parts(tree: Any, part_bytes: int) -> int:
    """Into how many parts `own_parts` cuts a tree, for all processes."""
    return len(_parts(jax.tree.leaves(tree), part_bytes))


def write_part(path: Path, arrays: dict[str, np.ndarray]) -> str:
    """Writes a part's arrays to a folder that doesn't exist yet, and reads them back.

    Returns:
      The SHA-256 of what it holds.

    Raises:
      RunError: what was read back is not what was written.
    """
    digest = tree_digest(arrays)
    with _checkpointer() as checkpointer:
        checkpointer.save(path, args=ocp.args.PyTreeSave(jax.tree.map(_handed, arrays)))
    if tree_digest(_read_part(path, arrays)) != digest:
        raise RunError("read back, it was not what had been saved")
    return digest


def read_arrays(path: Path, like: Any, digests: Sequence[str], part_bytes: int) -> Any:
    """Reads a tree of arrays, of the shapes that were saved.

    Of what is `Awaited` only parts with rows that this process awaits are read.

    Args:
      path: the folder.
      like: a tree of the same structure, of shapes or `Awaited`.
      digests: of what each part must hold.
      part_bytes: by which they were cut.

    Returns:
      The tree of NumPy arrays, and where something was `Awaited` of `Dealt`.

    Raises:
      UserError: a part doesn't hold what was saved.
    """
    leaves, structure = jax.tree.flatten(like)
    found = [leaf if isinstance(leaf, Awaited) else _Whole(leaf) for leaf in leaves]
    for number, part in enumerate(_parts(leaves, part_bytes)):
        if not any(found[leaf].wants(start, stop) for leaf, start, stop in part):
            continue
        arrays = _read_whole(path / str(number), part, digests[number])
        for rows, (leaf, start, _) in zip(arrays.values(), part, strict=True):
            found[leaf].put(start, rows)
    return jax.tree.unflatten(structure, [each.arrived() for each in found])


def _read_whole(path: Path, part: Sequence[Rows], digest: str) -> dict[str, np.ndarray]:
    """As `_read_part`, if it is what was saved."""
    what = "not what was saved"
    try:
        arrays = _read_part(path, [_name(leaf, start) for leaf, start, _ in part])
        if tree_digest(arrays) == digest:
            return arrays
    except Exception as error:  # of many kinds, as Orbax and TensorStore have their own
        what = one_line(error)
    raise UserError(
        f"{path}: can't be read back ({what}); started again, the command looks for damage, and "
        "uses the newest checkpoint that is whole"
    )


class _Whole:
    """As `Awaited`, but of an array that this process wants the whole of."""

    def __init__(self, like: jax.ShapeDtypeStruct) -> None:
        self._array = np.empty(like.shape, like.dtype)

    def wants(self, start: int, stop: int) -> bool:
        return stop > start

    def put(self, start: int, rows: np.ndarray) -> None:
        if self._array.ndim:
            self._array[start : start + len(rows)] = rows
        else:
            self._array[()] = rows

    def arrived(self) -> np.ndarray:
        return self._array


def _checkpointer() -> ocp.Checkpointer:
    """Orbax's, which in one of several processes would wait for all others."""
    own = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(
        primary_host=own, active_processes={own}, barrier_sync_key_prefix=f"process-{own}"
    )
    types = ocp.type_handlers.create_type_handler_registry(
        (np.ndarray, ocp.type_handlers.NumpyHandler()),
        (
            jax.Array,
            ocp.type_handlers.ArrayHandler(
                primary_host=own, use_replica_parallel=False, enable_write_sharding_file=False
            ),
        ),
    )
    handler = ocp.PyTreeCheckpointHandler(
        multiprocessing_options=alone, type_handler_registry=types
    )
    return ocp.Checkpointer(handler, multiprocessing_options=alone)


def _handed(array: np.ndarray) -> np.ndarray | jax.Array:
    """An array as Orbax takes it from this process.

    It writes NumPy's in process 0 alone, and refuses JAX's that no other process has. So in the
    others it is told that another one has it, too, whose copy comes after ours: which it leaves to
    that one to write, and nobody asks it to.
    """
    own = jax.process_index()
    if own == 0:
        return array
    here = jax.local_devices()[0]
    elsewhere = next(each for each in jax.devices() if each.process_index != own)
    alike = NamedSharding(Mesh(np.array([here, elsewhere]), ("copy",)), PartitionSpec())
    return jax.make_array_from_single_device_arrays(
        array.shape, alike, [jax.device_put(array, here)]
    )


def _read_part(path: Path, names: Iterable[str]) -> dict[str, np.ndarray]:
    """A part's arrays, which have such names."""
    wanted = {name: ocp.RestoreArgs(restore_type=np.ndarray) for name in names}
    with _checkpointer() as checkpointer:
        found: dict[str, np.ndarray] = checkpointer.restore(
            path, args=ocp.args.PyTreeRestore(restore_args=wanted)
        )
    return {name: found[name] for name in wanted}


def _parts(leaves: Sequence[Any], part_bytes: int) -> list[list[Rows]]:
    """Cuts the leaves, and a large leaf's rows, into parts of so many bytes, or a row each."""
    parts: list[list[Rows]] = []
    room = 0
    for leaf, array in enumerate(leaves):
        size = _bytes(array)
        if size == 0:  # Orbax saves none of these, and they hold nothing
            continue
        length = array.shape[0] if array.shape else 1
        row_bytes = size // length
        longest = max(1, part_bytes // row_bytes)
        for start in range(0, length, longest):
            stop = min(start + longest, length)
            if (stop - start) * row_bytes > room:
                parts.append([])
                room = part_bytes
            parts[-1].append((leaf, start, stop))
            room -= (stop - start) * row_bytes
    return parts


def _part_of(leaves: Sequence[Any], part: Sequence[Rows], *, wanted: bool) -> dict[str, np.ndarray]:
    """A part's arrays, by the leaf's number and its first row."""
    return {
        _name(leaf, start): _rows(leaves[leaf], start, stop, wanted) for leaf, start, stop in part
    }


def _rows(leaf: Any, start: int, stop: int, wanted: bool) -> np.ndarray:
    if isinstance(leaf, Dealt):
        return leaf.rows(start, stop, wanted=wanted)
    return leaf[start:stop] if leaf.ndim else leaf


def _bytes(array: Any) -> int:
    return math.prod(array.shape) * int(array.dtype.itemsize)


def _name(leaf: int, start: int) -> str:
    return f"{leaf:05d}.{start}"


def tree_digest(tree: Any) -> str:
    """SHA-256 over the arrays of a tree: their types, shapes and bits, in the tree's order."""
    digest = hashlib.sha256()
    for leaf in map(np.asarray, jax.tree.leaves(tree)):
        digest.update(f"{leaf.dtype.str}{leaf.shape}".encode())
        digest.update(np.ascontiguousarray(leaf).data)
    return digest.hexdigest()


def describe(tree: Any) -> list[str]:
    """Each array's type and shape, such as `float32[6, 4]`, in the tree's order."""
    return [f"{leaf.dtype}{list(leaf.shape)}" for leaf in jax.tree.leaves(tree)]


def check_space(directory: Path, tree: Any) -> None:
    """Says before a save what would go wrong amid it, where Orbax says it at length.

    Raises:
      RunError: the disk has no room for the arrays.
      OSError: there is no such folder.
    """
    usage = shutil.disk_usage(directory)
    needed = sum(map(_bytes, jax.tree.leaves(tree))) + _OVERHEAD_BYTES
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
