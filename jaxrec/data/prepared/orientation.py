"""Last stage: both orientations in compressed rows, made of the pairs in the order of the users."""

from collections.abc import Iterator

import numpy as np

from jaxrec.data.prepared.arrays import blocks, open_array, read_rows, write_array
from jaxrec.data.prepared.layout import Layout

BLOCK_ROWS = 1 << 22


def write_orientations(layout: Layout, num_users: int, num_items: int, rows_at_once: int) -> None:
    """Writes `user_offsets`, `item_offsets` and `item_users`: [pairs] int32, sorted within an item.

    Args:
      layout: where the pairs are, sorted by user, then item.
      num_users: how many users there are.
      num_items: how many items there are.
      rows_at_once: pairs that are held in memory, unless one item alone has more.
    """
    degrees = {"user": np.zeros(num_users, np.int64), "item": np.zeros(num_items, np.int64)}
    length = len(open_array(layout.array("user")))
    for start, stop in blocks(length, BLOCK_ROWS):
        for name, degree in degrees.items():
            degree += np.bincount(read_rows(layout.array(name), start, stop), minlength=len(degree))
    for name, degree in degrees.items():
        offsets = np.concatenate([[0], np.cumsum(degree)])
        write_array(layout.array(f"{name}_offsets"), [offsets], "<i8")
    pieces = _by_item(layout, length, degrees["item"], rows_at_once)
    write_array(layout.array("item_users"), pieces, "<i4")


def _by_item(
    layout: Layout, length: int, degree: np.ndarray, rows_at_once: int
) -> Iterator[np.ndarray]:
    """The users of each item, for as many items at once as memory has room for."""
    offsets = np.concatenate([[0], np.cumsum(degree)])
    first = 0
    while first < len(degree):
        most = offsets[first] + rows_at_once
        last = max(first + 1, int(np.searchsorted(offsets, most, side="right")) - 1)
        users, items = [], []
        for start, stop in blocks(length, BLOCK_ROWS):
            item = read_rows(layout.array("item"), start, stop)
            rows = np.flatnonzero((item >= first) & (item < last))
            items.append(item[rows])
            users.append(read_rows(layout.array("user"), start, stop)[rows])
        # Stable, so that an item's users stay in order.
        yield np.concatenate(users)[np.argsort(np.concatenate(items), kind="stable")]
        first = last
