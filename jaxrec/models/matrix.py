"""Products of the matrix of interactions with itself, block by block, and steps to watch."""

import concurrent.futures
import itertools
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

import numpy as np
from scipy import sparse

Step = TypeVar("Step")
Result = TypeVar("Result")

# Entries of a block's products before the best are chosen, in each thread some 60 MiB at most; of
# few, several blocks for each thread.
ENTRIES_PER_BLOCK, BLOCKS_PER_THREAD, FEWEST_PER_BLOCK = 2**21, 4, 2**16
MOST_THREADS = 8
# Of rows whose best entries are chosen together.
ROWS_AT_ONCE, ENTRIES_AT_ONCE = 256, 2**18


class Track(Protocol):
    """Wraps the steps of a loop to show how far it is."""

    def __call__(self, steps: Sequence[Step], what: str, unit: str, /) -> Iterable[Step]:
        """Yields the steps; `what` is done in them, and a step is one `unit`."""


def untracked(steps: Sequence[Step], what: str, unit: str) -> Iterable[Step]:
    """The steps, unwatched."""
    del what, unit
    return steps


def threads() -> int:
    """How many `in_threads` starts: of the processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return min(MOST_THREADS, len(affinity(0)) if affinity else os.cpu_count() or 1)


def in_threads(
    do: Callable[[Step], Result],
    steps: Sequence[Step],
    track: Track = untracked,
    what: str = "",
    workers: int | None = None,
) -> list[Result]:
    """Does every step, some at a time, for work that lets other threads run.

    SciPy's sparse products, NumPy's sums and solutions of equations do.

    Args:
      do: called with each step, from any of the threads.
      steps: blocks of the work.
      track: shows how far it is.
      what: is done in the steps.
      workers: how many threads; `threads` unless it is given.

    Returns:
      What came of each step, in their order.
    """
    pool = concurrent.futures.ThreadPoolExecutor(workers or threads())
    try:
        begun = [pool.submit(do, step) for step in steps]
        return [each.result() for each in track(begun, what, "blocks")]
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
    entries = np.cumsum(entries_of_products(matrix))
    share = int(entries[-1]) // (BLOCKS_PER_THREAD * threads()) if len(entries) else 0
    block = entries // min(ENTRIES_PER_BLOCK, max(FEWEST_PER_BLOCK, share))
    cuts = [0, *(np.flatnonzero(np.diff(block)) + 1).tolist(), matrix.shape[1]]
    return [slice(start, stop) for start, stop in itertools.pairwise(cuts)]


def put_products(matrix: sparse.csr_array, table: np.ndarray, track: Track, what: str) -> None:
    """Puts X^T X where it is wanted.

    Args:
      matrix: X, [n, m].
      table: [m, m], of the same type; what was in it is gone.
      track: shows how far it is.
      what: the table is called.
    """
    columns = matrix.T.tocsr()

    def put(block: slice) -> None:
        (columns[block] @ matrix).toarray(out=table[block])

    in_threads(put, item_blocks(matrix), track, what)


def strongest(rows: sparse.csr_array, count: int) -> sparse.csr_array:
    """Keeps the largest entries above 0 of each row; of equal ones the lower columns.

    Args:
      rows: [n, m], each entry once, in any order.
      count: how many stay in a row at most, at least 1.

    Returns:
      [n, m], in the order of the columns.
    """
    least = _least_kept(rows, count)
    # A NaN is neither less nor not above 0: it stays, for whoever ranks to find.
    kept = ~(rows.data < np.repeat(least, np.diff(rows.indptr))) & ~(rows.data <= 0)
    # All that are as good as the last one kept, mostly few more than `count`: to sort each row as
    # a whole would take longer than all else.
    found = _selected(rows, kept)
    found.sort_indices()
    row = np.repeat(np.arange(len(least)), np.diff(found.indptr))
    equal = found.data == least[row]
    before = np.r_[0, np.cumsum(equal)]  # of each entry, in all rows
    in_row = before[:-1] - before[found.indptr[:-1]][row]
    better = np.bincount(row[~equal], minlength=len(least))
    return _selected(found, ~equal | (in_row < count - better[row]))


def _least_kept(rows: sparse.csr_array, count: int) -> np.ndarray:
    """Each row's `count`-th largest entry; 0 where there are no more: [n]."""
    least = np.zeros(rows.shape[0], rows.dtype)
    lengths = np.diff(rows.indptr)
    long = np.flatnonzero(lengths > count)
    long = long[np.argsort(lengths[long], kind="stable")]  # those of a length beside each other
    while len(long):
        filled = lengths[long[:ROWS_AT_ONCE]] * np.arange(1, min(len(long), ROWS_AT_ONCE) + 1)
        number = max(1, int(np.searchsorted(filled, ENTRIES_AT_ONCE, side="right")))
        some, long = long[:number], long[number:]
        place = np.arange(lengths[some[-1]])
        there = place < lengths[some, None]
        entries = np.where(there, rows.indptr[some, None] + place, 0)
        values = np.where(there, rows.data[entries], 0)
        least[some] = np.partition(values, -count, axis=1)[:, -count]
    return least


def _selected(rows: sparse.csr_array, kept: np.ndarray) -> sparse.csr_array:
    """The entries that `kept`, [entries] bool, says."""
    entries = np.flatnonzero(kept)
    offsets = np.searchsorted(entries, rows.indptr)
    return sparse.csr_array((rows.data[entries], rows.indices[entries], offsets), shape=rows.shape)
