"""The k-th smallest of an array on disk, without sorting it."""

from collections.abc import Callable, Iterator

import numpy as np

from jaxrec.data.prepared.arrays import blocks, open_array, read_rows
from jaxrec.data.prepared.layout import Layout
from jaxrec.errors import UserError

BLOCK_ROWS = 1 << 22
_BINS = 1 << 16


def moments(
    layout: Layout, *, moment: int | None, test_fraction: float, validation_fraction: float
) -> tuple[int, int]:
    """Where test and validation begin, as `splits.split` finds it for the kind `time`.

    Args:
      layout: where the times are.
      moment: where test begins, None for where `test_fraction` of the listens are left.
      test_fraction: as of `Rules`.
      validation_fraction: likewise; 0 for no validation, which then begins where test does.

    Raises:
      UserError: there are no listens.
    """
    path = layout.array("event_timestamp")
    count = len(open_array(path))
    if count == 0:
        raise UserError("config.data.split is 'time' but the history is empty; expected listens")

    def pieces() -> Iterator[np.ndarray]:
        for start, stop in blocks(count, BLOCK_ROWS):
            yield read_rows(path, start, stop)

    if moment is None:
        moment = kth_smallest(pieces, _place(count, test_fraction))
    earlier = sum(int((piece < moment).sum()) for piece in pieces())
    if not validation_fraction or not earlier:
        return moment, moment
    # The listens before a moment are the smallest of all.
    return moment, kth_smallest(pieces, _place(earlier, validation_fraction))


def _place(count: int, fraction: float) -> int:
    return min(int(np.floor((1 - fraction) * count + 0.5)), count - 1)


def kth_smallest(pieces: Callable[[], Iterator[np.ndarray]], k: int) -> int:
    """The k-th smallest number, from 0, of int64 pieces that can be gone through again."""
    low = min(int(piece.min()) for piece in pieces() if len(piece))
    high = max(int(piece.max()) for piece in pieces() if len(piece))
    before = 0  # numbers below low
    while low < high:
        width = -(-(high - low + 1) // _BINS)
        counts = np.zeros(_BINS, np.int64)
        for piece in pieces():
            inside = piece[(piece >= low) & (piece <= high)]
            counts += np.bincount((inside - low) // width, minlength=_BINS)
        ends = before + np.cumsum(counts)
        place = int(np.searchsorted(ends, k, side="right"))
        before = int(ends[place] - counts[place])
        low, high = low + place * width, min(high, low + (place + 1) * width - 1)
    return low
