"""Arrays on disk that are written a piece at a time, and read without holding them whole."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from jaxrec.files import replacing

Append = Callable[[np.ndarray], None]


@contextlib.contextmanager
def writing(path: Path, dtype: Any) -> Iterator[Append]:
    """Yields what appends to an array; the file appears at the end of the block, whole.

    Args:
      path: a .npy file.
      dtype: of the array, which has one axis.
    """
    count = 0
    with replacing(path) as temporary, temporary.open("wb") as file:

        def write_header() -> int:
            # NumPy leaves room in a header for the first axis to grow to any length.
            shape = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": (count,)}
            file.seek(0)
            np.lib.format.write_array_header_1_0(file, shape)
            return file.tell()

        def append(piece: np.ndarray) -> None:
            nonlocal count
            file.write(np.ascontiguousarray(piece, dtype).data)
            count += len(piece)

        began = write_header()
        yield append
        assert write_header() == began


def write_array(path: Path, pieces: Iterable[np.ndarray], dtype: Any) -> None:
    """Writes an array, one piece after another; the file appears whole."""
    with writing(path, dtype) as append:
        for piece in pieces:
            append(piece)


def open_array(path: Path) -> np.ndarray:
    """An array on disk, mapped into memory and not to be written to.

    Raises:
      OSError, ValueError: it can't be read, or is no array.
    """
    return np.load(path, mmap_mode="r", allow_pickle=False)


def read_rows(path: Path, start: int, stop: int) -> np.ndarray:
    """A copy of some rows of an array on disk; nothing of it stays mapped."""
    return np.array(open_array(path)[start:stop])


def blocks(length: int, rows: int) -> Iterator[tuple[int, int]]:
    """The ends of consecutive blocks of so many rows."""
    for start in range(0, length, rows):
        yield start, min(start + rows, length)
