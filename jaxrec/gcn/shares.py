"""Rows of a table that are dealt to the devices of a mesh: how each device reads another's.

What is here is called for one device at a time, under `jax.shard_map` over `AXIS`; a row is named
by its place, `device * rows per device + row there`. Where all rows are on one device, places are
None, and nothing is sent. Whatever is read is the very bits that its owner has: a sum over the
devices in which one alone has any bits, or a copy.
"""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

AXIS = "devices"

Tree = TypeVar("Tree")

# A table, some rows of it in the data's order, and all rows' places: see `with_rows`.
ReadRows = Callable[[jax.Array, jax.Array, jax.Array | None], tuple[jax.Array, jax.Array]]


def own_rows(
    places: jax.Array | None, index: jax.Array, num_rows: int
) -> tuple[jax.Array, jax.Array | None]:
    """Where some rows are on this device, if they are its own.

    Args:
      places: [rows of all devices] int32, each row's place; None where all rows are here.
      index: [...] int32, rows in the data's order.
      num_rows: how many rows this device has.

    Returns:
      [...] int32, each one's row here, 0 for others' rows; and [...] bool, whether it is here, None
      where all are.
    """
    if places is None:
        return index, None
    return at_places(places[index], num_rows)


def at_places(place: jax.Array, num_rows: int) -> tuple[jax.Array, jax.Array]:
    """What `own_rows` returns, of rows that are named by their places."""
    row = place - jax.lax.axis_index(AXIS) * num_rows
    mine = (row >= 0) & (row < num_rows)
    return jnp.where(mine, row, 0), mine


def from_owner(mine: jax.Array | None, values: Tree) -> Tree:
    """What the owners found, made known to all devices; bit for bit, -0 and NaN too.

    Args:
      mine: [n] bool, whether this device is the owner, of which there is one; None where it is
        everybody's.
      values: arrays [n, ...], of which this device's own count.
    """
    if mine is None:
        return values

    def summed(value: jax.Array) -> jax.Array:
        owned = mine.reshape(mine.shape + (1,) * (value.ndim - mine.ndim))
        total = jax.lax.psum(jnp.where(owned, _to_bits(value), 0), AXIS)
        return _from_bits(total, value.dtype)

    return jax.tree.map(summed, values)


def _to_bits(value: jax.Array) -> jax.Array:
    if jnp.issubdtype(value.dtype, jnp.floating):
        value = jax.lax.bitcast_convert_type(value, jnp.dtype(f"int{8 * value.dtype.itemsize}"))
    return value.astype(jnp.int32)


def _from_bits(bits: jax.Array, dtype: jnp.dtype) -> jax.Array:
    if not jnp.issubdtype(dtype, jnp.floating):
        return bits.astype(dtype)
    narrow = bits.astype(jnp.dtype(f"int{8 * dtype.itemsize}"))
    return jax.lax.bitcast_convert_type(narrow, dtype)


def take(table: jax.Array, index: jax.Array, places: jax.Array | None) -> jax.Array:
    """Some rows of a table: `table[index]`, whoever has them; see `with_rows`."""
    return with_rows(table, index, places)[1]


def with_rows(
    table: jax.Array, index: jax.Array, places: jax.Array | None
) -> tuple[jax.Array, jax.Array]:
    """A table, and some of its rows, whoever has them.

    The gradient of the rows is added to that of the returned table, one after another, and stays
    with the owners. Were the table used apart from its rows, XLA would choose by the number of rows
    whether to add to it or to a table of zeros, and the sums would round by how many devices there
    are.

    What is made of the rows must be made alike on every device, so that each has the whole of their
    gradient, and adds what is of its own.

    Args:
      table: [num_rows, dim], this device's rows.
      index: [...] int32, rows in the data's order.
      places: as of `own_rows`.

    Returns:
      The table, to be used in its place, and [..., dim].
    """
    return _with_rows(table, index if places is None else places[index], places is not None)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _with_rows(table: jax.Array, place: jax.Array, dealt: bool) -> tuple[jax.Array, jax.Array]:
    if not dealt:
        return table, table[place]
    row, mine = at_places(place, len(table))
    return table, from_owner(mine, table[row])


def _with_rows_forward(
    table: jax.Array, place: jax.Array, dealt: bool
) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
    return _with_rows(table, place, dealt), place


def _with_rows_backward(
    dealt: bool, place: jax.Array, cotangents: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, None]:
    table, rows = cotangents
    if dealt:
        row, mine = at_places(place, len(table))
        place = jnp.where(mine, row, len(table))
    return table.at[place].add(rows, mode="drop"), None


_with_rows.defvjp(_with_rows_forward, _with_rows_backward)


def marked(num_rows: int, places: jax.Array | None, *some: jax.Array) -> jax.Array:
    """[rows of all devices] bool, True for some rows; by place where they are dealt.

    Args:
      num_rows: how many rows this device has.
      places: as of `own_rows`.
      *some: [...] int32, rows in the data's order.
    """
    mask = jnp.zeros(num_rows if places is None else num_rows * jax.lax.axis_size(AXIS), bool)
    for index in some:
        mask = mask.at[index if places is None else places[index]].set(True)
    return mask


def own_part(values: jax.Array) -> jax.Array:
    """Of what all devices' parts lie in, one after another, this device's."""
    size = len(values) // jax.lax.axis_size(AXIS)
    return jax.lax.dynamic_slice_in_dim(values, jax.lax.axis_index(AXIS) * size, size)


def gathered(part: jax.Array) -> jax.Array:
    """The parts of all devices, one after another; of tables their rows by place."""
    return jax.lax.all_gather(part, AXIS, tiled=True)


def gathered_share(columns: int, dim: int) -> float:
    """Which share of the columns `by_columns` takes at a time."""
    return columns / dim if 0 < columns < dim else 1.0


def by_columns(function: Callable[..., Tree], columns: int, *tables: Any) -> Tree:
    """What a function makes of tables, of which it takes each column apart, so many at a time.

    So whatever the function gathers is as narrow as that. It is a loop, since XLA may do at once
    what is written out, and join what is gathered.

    Args:
      function: of tables [..., columns] makes others [..., columns]; trees of them may be both.
      columns: how many at a time; 0 for all.
      *tables: [..., dim].

    Returns:
      [..., dim].
    """
    dim = jax.tree.leaves(tables)[0].shape[-1]
    if not 0 < columns < dim:
        return function(*tables)

    def of_block(start: jax.Array | int) -> Tree:
        cut = functools.partial(jax.lax.dynamic_slice_in_dim, start_index=start, slice_size=columns)
        return function(*jax.tree.map(lambda table: cut(table, axis=-1), tables))

    def add_block(made: Tree, start: jax.Array) -> tuple[Tree, None]:
        put = functools.partial(jax.lax.dynamic_update_slice_in_dim, start_index=start, axis=-1)
        return jax.tree.map(put, made, of_block(start)), None

    def nothing(block: jax.ShapeDtypeStruct) -> jax.Array:
        return jnp.zeros((*block.shape[:-1], dim), block.dtype)

    # The last block may begin within the one before it: the same columns, made again.
    starts = jnp.minimum(jnp.arange(0, dim, columns), dim - columns)
    return jax.lax.scan(add_block, jax.tree.map(nothing, jax.eval_shape(of_block, 0)), starts)[0]
