"""Products of the matrix of interactions with itself, block by block, and steps to watch."""

import concurrent.futures
import itertools
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

import numpy as np
from scipy import sparse

Step = TypeVar("Step")

# Entries of a block's products before the best are chosen: some hundred MiB at most.
ENTRIES_PER_BLOCK = 2**24
MOST_THREADS = 8


class Track(Protocol):
    """Wraps the steps of a loop to show how far it is."""

    def __call__(self, steps: Sequence[Step], what: str, unit: str, /) -> Iterable[Step]:
        """Yields the steps; `what` is done in them, and a step is one `unit`."""


def untracked(steps: Sequence[Step], what: str, unit: str) -> Iterable[Step]:
    """The steps, unwatched."""
    del what, unit
    return steps


def threads() -> int:
    """How many `in_threads` starts."""
    return min(MOST_THREADS, os.cpu_count() or 1)


def in_threads(do: Callable[[Step], None], steps: Sequence[Step], track: Track, what: str) -> None:
    """Does every step, some at a time, for work that lets other threads run.

    SciPy's sparse products and NumPy's solutions of equations do.

    Args:
      do: called with each step, from any of the threads.
      steps: blocks of the work.
      track: shows how far it is.
      what: is done in the steps.
    """
    pool = concurrent.futures.ThreadPoolExecutor(threads())
    try:
        begun = [pool.submit(do, step) for step in steps]
        for each in track(begun, what, "blocks"):
            each.result()
    finally:
        pool.shutdown(cancel_futures=True)


def squared_lengths(matrix: sparse.csr_array) -> np.ndarray:
    """Of each column: [num_items] float64."""
    return np.bincount(matrix.indices, np.square(matrix.data, dtype=np.float64), matrix.shape[1])


def l2_by_length(lengths: np.ndarray, l2: float, exponent: float) -> np.ndarray:
    """Of each item i, l2 (d_i / mean of d)^exponent: [num_items] float32.

    Args:
      lengths: d, the items' squared lengths, [num_items]; the mean is over items that somebody has.
        The others' l2 changes nothing for these.
      l2: above 0.
      exponent: at least 0.
    """
    known = lengths > 0
    ratio = np.ones(len(lengths))
    if known.any():
        ratio[known] = lengths[known] / lengths[known].mean()
    return np.asarray(l2 * ratio**exponent, np.float32)


def entries_of_products(matrix: sparse.csr_array) -> np.ndarray:
    """How many terms each item's products with all have: [num_items]; it meets all of its rows."""
    row_length = np.diff(matrix.indptr).astype(np.int64)
    return np.bincount(
        matrix.indices, weights=np.repeat(row_length, row_length), minlength=matrix.shape[1]
    )


def item_blocks(matrix: sparse.csr_array) -> list[slice]:
    """Cuts the items so that a block's rows of `matrix.T @ matrix` stay small while computed."""
    block = np.cumsum(entries_of_products(matrix)) // ENTRIES_PER_BLOCK
    cuts = [0, *(np.flatnonzero(np.diff(block)) + 1).tolist(), matrix.shape[1]]
    return [slice(start, stop) for start, stop in itertools.pairwise(cuts)]


def strongest(rows: sparse.csr_array, count: int) -> sparse.csr_array:
    """Keeps the largest entries of each row; of equal ones the lower columns.

    Args:
      rows: [n, m] with entries above 0.
      count: how many stay in a row at most.
    """
    rows.sort_indices()
    kept = []
    for start, stop in zip(rows.indptr[:-1], rows.indptr[1:], strict=True):
        if stop - start <= count:
            kept.append(np.arange(start, stop))
        else:
            values = rows.data[start:stop]
            least = np.partition(values, -count)[-count]
            chosen = values > least
            ties = np.flatnonzero(values == least)
            chosen[ties[: count - np.count_nonzero(chosen)]] = True
            kept.append(start + np.flatnonzero(chosen))
    entries = np.concatenate(kept) if kept else np.zeros(0, np.int64)
    offsets = np.r_[0, np.cumsum([len(each) for each in kept])].astype(np.int64)
    return sparse.csr_array((rows.data[entries], rows.indices[entries], offsets), shape=rows.shape)


def without_diagonal(rows: sparse.csr_array, first: int) -> sparse.csr_array:
    """Drops the entries that relate an item to itself, and zeros.

    Args:
      rows: the rows from `first` on of a square matrix.
      first: the index of its first row.
    """
    entries = rows.tocoo()
    entries.data[entries.col == entries.row + first] = 0
    result = entries.tocsr()
    result.eliminate_zeros()
    return result
