"""The loss of a batch shared by the devices of a mesh: each computes that of its part.

What is here is called for one device at a time, as in `shares`. A device reads the rows of its own
part of the batch, whoever has them, and what it finds for their gradient goes back to their owners.
So a loss is a sum of the parts', and rounded by how many devices there are.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp

from jaxrec.gcn.shares import (
    AXIS,
    Tree,
    at_places,
    by_columns,
    from_owner,
    gathered,
    gathered_share,
    own_part,
)


@dataclasses.dataclass(frozen=True)
class Sharing:
    """How a batch is shared; hashable, so that it can be static under jit.

    Attributes:
      devices: how many share it.
      gather_dims: how many dimensions a device has at a time of the rows of the whole batch; 0 for
        all.
    """

    devices: int
    gather_dims: int = 0

    def filled(self, values: Tree) -> Tree:
        """Arrays of the whole batch [n, ...] with zeros behind, so that all parts have one size."""

        def fill(value: jax.Array) -> jax.Array:
            missing = -len(value) % self.devices
            return jnp.pad(value, ((0, missing), *((0, 0),) * (value.ndim - 1)))

        return jax.tree.map(fill, values)

    def own(self, values: Tree) -> Tree:
        """This device's part of what `filled` returned: [n / devices, ...]."""
        return jax.tree.map(own_part, values)

    def with_rows(
        self, table: jax.Array, index: jax.Array, places: jax.Array | None
    ) -> tuple[jax.Array, jax.Array]:
        """As `shares.with_rows`; but each device names rows of its own part, as many as others."""
        return table, _rows(table, _place(index, places), len(table), self.gather_dims)

    def rows_for_all(
        self, table: jax.Array, index: jax.Array, places: jax.Array | None
    ) -> jax.Array:
        """Rows that all devices name alike, and of whose gradient each then has a part."""
        return _rows_for_all(table, _place(index, places), len(table))

    def half_squares(
        self, table: jax.Array, index: jax.Array, places: jax.Array | None, weights: jax.Array
    ) -> jax.Array:
        """This device's part of L2: half the sum of weight times squared length, over some rows.

        Those of its own, so that none is sent: each counts by the weights of wherever it is named.

        Args:
          table: [num_rows, dim], this device's rows.
          index: [...] int32, the rows of the whole batch, in the data's order.
          places: as of `shares.own_rows`.
          weights: [...] float32, of the whole batch.

        Returns:
          [] float32.
        """
        to, _ = _own_or_none(_place(index, places), len(table))
        counts = jnp.zeros(len(table)).at[to].add(weights, mode="drop")
        return 0.5 * jnp.sum(counts * jnp.sum(jnp.square(table), axis=-1))

    def total(self, part: jax.Array) -> jax.Array:
        """The sum of all devices' parts of the loss, [] float32; each derives its own."""
        return _total(part)


def bytes_on_each(
    whole: float, read: float, *, dim: int, devices: int, sharing: Sharing | None
) -> float:
    """About how many bytes a batch takes on each device.

    Args:
      whole: of those that it takes on one device alone.
      read: of the rows that it reads at once.
      dim: length of a row.
      devices: how many there are.
      sharing: how they share the loss, if they do.
    """
    if sharing is not None:
        return whole / devices + read * gathered_share(sharing.gather_dims, dim)
    return whole * (1.5 if devices > 1 else 1.0)  # what is sent and what comes lie side by side


def _place(index: jax.Array, places: jax.Array | None) -> jax.Array:
    return index if places is None else places[index]


def _own_or_none(place: jax.Array, num_rows: int) -> tuple[jax.Array, jax.Array]:
    """Where rows are on this device, `num_rows` for others'; and whether they are its own."""
    row, mine = at_places(place, num_rows)
    return jnp.where(mine, row, num_rows), mine


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _rows(table: jax.Array, place: jax.Array, num_rows: int, columns: int) -> jax.Array:
    """The rows that this device names, by their places."""
    row, mine = at_places(gathered(place), num_rows)
    return by_columns(lambda block: own_part(from_owner(mine, block[row])), columns, table)


def _rows_forward(
    table: jax.Array, place: jax.Array, num_rows: int, columns: int
) -> tuple[jax.Array, jax.Array]:
    return _rows(table, place, num_rows, columns), place


def _rows_backward(
    num_rows: int, columns: int, place: jax.Array, rows: jax.Array
) -> tuple[jax.Array, None]:
    to, _ = _own_or_none(gathered(place), num_rows)

    def added(block: jax.Array) -> jax.Array:
        nothing = jnp.zeros((num_rows, block.shape[-1]), block.dtype)
        return nothing.at[to].add(gathered(block), mode="drop")

    return by_columns(added, columns, rows), None


_rows.defvjp(_rows_forward, _rows_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _rows_for_all(table: jax.Array, place: jax.Array, num_rows: int) -> jax.Array:
    row, mine = at_places(place, num_rows)
    return from_owner(mine, table[row])


def _rows_for_all_forward(
    table: jax.Array, place: jax.Array, num_rows: int
) -> tuple[jax.Array, jax.Array]:
    return _rows_for_all(table, place, num_rows), place


def _rows_for_all_backward(
    num_rows: int, place: jax.Array, rows: jax.Array
) -> tuple[jax.Array, None]:
    to, _ = _own_or_none(place, num_rows)
    nothing = jnp.zeros((num_rows, rows.shape[-1]), rows.dtype)
    return nothing.at[to].add(jax.lax.psum(rows, AXIS), mode="drop"), None


_rows_for_all.defvjp(_rows_for_all_forward, _rows_for_all_backward)


@jax.custom_vjp
def _total(part: jax.Array) -> jax.Array:
    return jax.lax.psum(part, AXIS)


def _total_forward(part: jax.Array) -> tuple[jax.Array, None]:
    return _total(part), None


def _total_backward(_: None, cotangent: jax.Array) -> tuple[jax.Array]:
    return (cotangent,)  # of the sum every device has it, and of its part alone


_total.defvjp(_total_forward, _total_backward)
