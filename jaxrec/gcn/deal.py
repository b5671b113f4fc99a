"""Which device has which rows of a table, so that each has as many edges as any other."""

import dataclasses

import numpy as np


def deal_rows(edges: np.ndarray, num_devices: int) -> np.ndarray:
    """Gives each row to a device.

    The largest first, each to the device that has the fewest edges so far, and of these the fewest
    rows (Graham 1969, https://doi.org/10.1137/0117039): no device has more than the mean and one
    row. Rows of equal size are dealt at once.

    Args:
      edges: [num_rows] int, how many each row has.
      num_devices: how many devices there are.

    Returns:
      [num_rows] int32, the devices' numbers.
    """
    device = np.zeros(len(edges), np.int32)
    load, count = np.zeros((2, num_devices), np.int64)
    by_size = np.argsort(-edges, kind="stable")
    sizes, starts, numbers = np.unique(-edges[by_size], return_index=True, return_counts=True)
    for size, start, number in zip(-sizes, starts, numbers, strict=True):
        rows = by_size[start : start + number]
        more = _levelled(load if size else count, count, max(int(size), 1), int(number))
        device[rows] = np.repeat(np.arange(num_devices, dtype=np.int32), more)
        load += size * more
        count += more
    return device


def _levelled(load: np.ndarray, count: np.ndarray, size: int, number: int) -> np.ndarray:
    """How many of some equal things each device gets, the least loaded first: [num_devices]."""

    def below(level: int) -> np.ndarray:
        return np.maximum(0, -((load - level) // size))

    low, high = int(load.min()), int(load.max()) + size * number + 1
    while high - low > 1:  # the greatest level below which there is room for no more
        middle = (low + high) // 2
        low, high = (middle, high) if below(middle).sum() <= number else (low, middle)
    more = below(low)
    last = np.flatnonzero(load + size * more == low)
    chosen = last[np.argsort((count + more)[last], kind="stable")[: number - int(more.sum())]]
    more[chosen] += 1
    return more


@dataclasses.dataclass(frozen=True, eq=False)
class Deal:
    """Where the rows of a table are; on a device they are in the data's order, then padding.

    Attributes:
      place: [num_rows] int32, device * rows per device + row there.
      origin: [num_devices, rows per device] int32, the row at each place; -1 for padding.
    """

    place: np.ndarray
    origin: np.ndarray

    @classmethod
    def of(cls, device: np.ndarray, num_devices: int, size: int) -> "Deal":
        """Gives the rows of each device their places there, of which it has so many."""
        count = np.bincount(device, minlength=num_devices)
        by_device = np.argsort(device, kind="stable").astype(np.int32)
        starts = np.cumsum(count) - count
        place = np.empty(len(device), np.int32)
        there = device[by_device].astype(np.int64)
        place[by_device] = there * size + np.arange(len(device)) - starts[there]
        origin = np.full(num_devices * size, -1, np.int32)
        origin[place] = np.arange(len(device), dtype=np.int32)
        return cls(place, origin.reshape(num_devices, size))

    def rows_of(self, device: int, table: np.ndarray) -> np.ndarray:
        """A device's rows of a table [num_rows, ...], zeros for padding."""
        origin = self.origin[device]
        rows = np.zeros((len(origin), *table.shape[1:]), table.dtype)
        rows[origin >= 0] = table[origin[origin >= 0]]
        return rows
