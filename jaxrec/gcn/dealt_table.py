"""A table whose rows are dealt to devices, read and made some rows at a time.

So whoever keeps it, or brings it from where it is kept, needs no whole table in memory, and knows
the rows by their number in the data alone.
"""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxrec.gcn.deal import Deal
from jaxrec.gcn.mesh import ALIKE, OWN, joined, on_devices, own_devices
from jaxrec.gcn.shares import at_places, from_owner

PIECE_BYTES = 2**24  # of rows that are brought from their owners at a time


@dataclasses.dataclass(frozen=True, eq=False)
class Dealt:
    """A table of which each device has the rows that were dealt to it.

    Attributes:
      table: [rows of all devices, dim], the rows by their places.
      deal: where the rows are.
      mesh: the devices.
    """

    table: jax.Array
    deal: Deal
    mesh: Mesh

    @property
    def shape(self) -> tuple[int, ...]:
        """[num_rows, dim], as the data have it."""
        return (len(self.deal.place), *self.table.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the rows."""
        return np.dtype(self.table.dtype)

    @property
    def is_here(self) -> bool:
        """Whether all devices are this process's, so that nobody needs to send anything."""
        return self.table.is_fully_addressable

    def rows(self, start: int, stop: int, *, wanted: bool = True) -> np.ndarray:
        """Some rows in the data's order, brought from their owners, to the bit.

        All processes call it together, and little more than the rows is in memory.

        Args:
          start: the first row.
          stop: the row after the last.
          wanted: whether this process wants them; it brings its own to the others in any case.

        Returns:
          [stop - start, dim]; no rows where they aren't wanted.
        """
        found = np.empty((stop - start if wanted else 0, *self.shape[1:]), self.dtype)
        if self.is_here:
            if wanted:
                self._read(self.deal.place[start:stop], found)
            return found
        row_bytes = self.dtype.itemsize * math.prod(self.shape[1:])
        size = max(1, min(self.shape[0], PIECE_BYTES // max(1, row_bytes)))
        for first in range(start, stop, size):
            place = self.deal.place[first : min(first + size, stop)]
            padded = np.pad(place, (0, size - len(place)), constant_values=-1)
            piece = jax.block_until_ready(_brought(self.table, padded, self.mesh))  # one at a time
            if wanted:
                rows = np.asarray(piece.addressable_data(0))[: len(place)]
                found[first - start :][: len(place)] = rows
        return found

    def _read(self, places: np.ndarray, found: np.ndarray) -> None:
        """Puts the rows at some places [n] into `found`, from this process's devices."""
        device, row = np.divmod(places, self.deal.origin.shape[1])
        for number, share in enumerate(self._shares):
            mine = device == number
            found[mine] = share[row[mine]]

    @functools.cached_property
    def _shares(self) -> list[np.ndarray]:
        """Each device's rows; on a CPU where they are."""
        shards = sorted(self.table.addressable_shards, key=lambda shard: shard.index[0].start or 0)
        return [np.asarray(shard.data) for shard in shards]

    def is_finite(self) -> bool:
        """Whether no number is a NaN or an infinity; asked by all processes together."""
        return bool(_all_finite(self.table))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All rows in the data's order, for NumPy; asked by all processes together."""
        del copy
        return self.rows(0, self.shape[0]).astype(dtype or self.dtype, copy=False)


class Awaited:
    """A table that isn't there yet: rows come in the data's order, and devices get their own.

    Args:
      like: the table's shape and type.
      deal: where the rows are to be.
      mesh: the devices.
    """

    def __init__(self, like: jax.ShapeDtypeStruct, deal: Deal, mesh: Mesh) -> None:
        self.shape, self.dtype = like.shape, like.dtype
        self._deal, self._mesh = deal, mesh
        self._size = deal.origin.shape[1]
        self._shares = {
            number: np.zeros((self._size, *like.shape[1:]), like.dtype)
            for number in own_devices(mesh)
        }

    def wants(self, start: int, stop: int) -> bool:
        """Whether a device of this process has any of these rows."""
        return bool(np.isin(self._deal.place[start:stop] // self._size, list(self._shares)).any())

    def put(self, start: int, rows: np.ndarray) -> None:
        """Takes rows [n, dim] from a row on; those of other processes' devices are left."""
        device, row = np.divmod(self._deal.place[start : start + len(rows)], self._size)
        for number, share in self._shares.items():
            mine = device == number
            share[row[mine]] = rows[mine]

    def arrived(self) -> Dealt:
        """The table, when all rows have come."""
        return Dealt(joined(self._mesh, self._shares.__getitem__), self._deal, self._mesh)


@functools.partial(jax.jit, static_argnames="mesh")
def _brought(table: jax.Array, place: Any, mesh: Mesh) -> jax.Array:
    """[n, dim], the rows at some places [n]; of places below 0, zeros."""

    def bring(own: jax.Array, place: jax.Array) -> jax.Array:
        row, mine = at_places(place, len(own))
        return from_owner(mine, own[row])

    return on_devices(bring, mesh, takes=(OWN, ALIKE), gives=ALIKE)(table, place)


@jax.jit
def _all_finite(table: jax.Array) -> jax.Array:
    return jnp.isfinite(table).all()
