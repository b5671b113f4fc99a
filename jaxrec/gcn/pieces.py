"""Neighbourhood sums without a scatter: rows are cut into short pieces, all of one width at once.

A scatter-add is slow on a GPU and adds in any order. Here each sum is made by one thread in the
order of the row's edges, so that it is the same bits every time: rows of at most 32 edges side by
side with others about as long, longer ones in pieces of 32, whose sums are summed in the same way.

What there is to sum is known before training and has static shapes. No edge is stored twice and no
padding at all: a place beyond a row's end weighs nothing, and fewer than half of those of a group
of whole rows are such.
"""

import functools
from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from jaxrec.gcn.graph import Adjacency, BipartiteGraph

WIDTHS = (1, 2, 4, 8, 16, 32)  # edges; of a group of rows, and the last of a piece
_UNROLLED = 8  # places of a piece whose rows a Pallas program fetches at once


@struct.dataclass
class Group:
    """Pieces of rows that are summed at once, each of at most `width` consecutive edges.

    Attributes:
      starts: [num_pieces] int32, each one's first edge.
      counts: [num_pieces] int32, how many edges each has, 1 to `width`.
      width: the most edges.
    """

    starts: jax.Array
    counts: jax.Array
    width: int = struct.field(pytree_node=False)


@struct.dataclass
class Level:
    """What is summed at once: edges first, then the sums of the level below.

    Attributes:
      rows: rows that are whole, by width.
      pieces: parts of rows, which the next level sums: there they are the edges; None at the last.
    """

    rows: tuple[Group, ...]
    pieces: Group | None


@struct.dataclass
class PiecedAdjacency(Adjacency):
    """An adjacency with the order in which its rows are summed.

    Attributes:
      levels: what is summed, one after another.
      places: [num_rows] int32, where each row's sum is among those of all levels' `rows`; one more
        than the last for a row without edges.
    """

    levels: tuple[Level, ...]
    places: jax.Array


class GroupSum(Protocol):
    """Sums of a group's pieces: one per kind of kernel."""

    def __call__(
        self,
        group: Group,
        values: jax.Array,
        senders: jax.Array | None,
        weights: jax.Array | None,
    ) -> jax.Array:
        """[num_pieces, dim] float32.

        Args:
          group: the pieces.
          values: [num_values, dim] float32 or bfloat16, what is summed.
          senders: [num_edges] int32, each edge's row of the values; None where that is its number.
          weights: [num_edges] float32; None for 1.
        """


def cut(graph: BipartiteGraph, widths: tuple[int, ...] = WIDTHS) -> BipartiteGraph:
    """The same graph with its rows cut into pieces, on the host.

    It takes 12 bytes a row that has edges, and 8 a piece of a row of more than 32.

    Args:
      graph: the graph; one that is cut already is cut anew.
      widths: of the groups, increasing; the last is the most edges of a piece, at least 2.
    """
    return BipartiteGraph(
        to_users=_cut(graph.to_users, widths), to_items=_cut(graph.to_items, widths)
    )


def _cut(adjacency: Adjacency, widths: tuple[int, ...]) -> PiecedAdjacency:
    offsets = np.asarray(adjacency.offsets)
    rows = np.flatnonzero(np.diff(offsets))  # that are not summed yet
    starts, counts = offsets[:-1][rows], np.diff(offsets)[rows]
    places = np.zeros(adjacency.num_rows, np.int32)
    levels: list[Level] = []
    num_sums = 0
    while len(rows):
        by_width = np.searchsorted(widths, counts)
        groups = []
        for number, width in enumerate(widths):
            whole = np.flatnonzero(by_width == number)
            if len(whole):
                groups.append(_group(starts[whole], counts[whole], width))
                places[rows[whole]] = np.arange(num_sums, num_sums + len(whole))
                num_sums += len(whole)
        long = np.flatnonzero(by_width == len(widths))
        rows, starts, counts = rows[long], starts[long], counts[long]
        pieces = -(-counts // widths[-1])  # of each row
        first = np.cumsum(pieces) - pieces
        done = widths[-1] * (np.arange(pieces.sum()) - np.repeat(first, pieces))
        left = np.repeat(counts, pieces) - done
        group = _group(np.repeat(starts, pieces) + done, np.minimum(left, widths[-1]), widths[-1])
        levels.append(Level(tuple(groups), group if len(rows) else None))
        starts, counts = first, pieces
        widths = (*widths[len(widths) // 2 : -1][:1], widths[-1])  # a width takes time to compile
    places[np.diff(offsets) == 0] = num_sums
    return PiecedAdjacency(
        offsets=adjacency.offsets,
        senders=adjacency.senders,
        weights=adjacency.weights,
        degrees=adjacency.degrees,
        levels=tuple(levels),
        places=jnp.asarray(places),
    )


def _group(starts: np.ndarray, counts: np.ndarray, width: int) -> Group:
    return Group(jnp.asarray(starts, jnp.int32), jnp.asarray(counts, jnp.int32), width)


@functools.partial(jax.jit, static_argnums=(0, 3))  # traced once for all layers
def by_pieces(
    group_sum: GroupSum, adjacency: Adjacency, embeddings: jax.Array, dtype: str
) -> jax.Array:
    """A x, each group's sums by the given function.

    Args:
      group_sum: sums a group.
      adjacency: of a graph from `cut`.
      embeddings: [num_senders, dim] float32, x.
      dtype: in what the embeddings are gathered.

    Returns:
      [num_rows, dim] float32.

    Raises:
      ValueError: the graph was not cut.
    """
    if not isinstance(adjacency, PiecedAdjacency):
        raise ValueError("the graph's rows are not cut into pieces; expected one from pieces.cut")
    values = embeddings.astype(dtype)
    senders: jax.Array | None = adjacency.senders
    weights: jax.Array | None = adjacency.weights
    sums = []
    for level in adjacency.levels:
        sums += [group_sum(group, values, senders, weights) for group in level.rows]
        if level.pieces is not None:
            values = group_sum(level.pieces, values, senders, weights)
        senders = weights = None
    sums.append(jnp.zeros((1, embeddings.shape[1]), jnp.float32))
    return _rows_of(jnp.concatenate(sums), adjacency.places)


def xla_group(
    group: Group, values: jax.Array, senders: jax.Array | None, weights: jax.Array | None
) -> jax.Array:
    """A group's sums in plain JAX: a gather for each place, all of which XLA fuses into one loop.

    So no [num_pieces, width, dim] is ever in memory.
    """
    place = jnp.arange(group.width, dtype=jnp.int32)
    edge = group.starts[:, None] + jnp.minimum(place, group.counts[:, None] - 1)
    sender = edge if senders is None else _rows_of(senders, edge)
    weight = None if weights is None else _rows_of(weights, edge)
    # A place beyond the last edge has that edge's sender, at weight 0.
    weight = jnp.where(place < group.counts[:, None], 1.0 if weight is None else weight, 0.0)
    total = jnp.zeros((len(group.starts), values.shape[1]), jnp.float32)
    for number in range(group.width):
        gathered = _rows_of(values, sender[:, number]).astype(jnp.float32)
        total += weight[:, number, None] * gathered
    return total


def pallas_group(
    group: Group,
    values: jax.Array,
    senders: jax.Array | None,
    weights: jax.Array | None,
    *,
    rows: int = 8,
    lanes: int = 64,
    warps: int = 4,
    interpret: bool = False,
) -> jax.Array:
    """A group's sums by a Pallas kernel for GPUs (Triton): some pieces and columns a program.

    Args:
      group: see `GroupSum`.
      values: see `GroupSum`.
      senders: see `GroupSum`.
      weights: see `GroupSum`.
      rows: pieces a program, a power of 2.
      lanes: the most columns a program, a power of 2.
      warps: of 32 threads, a program.
      interpret: computes the same without a GPU, slowly.
    """
    count, dim = len(group.starts), values.shape[1]
    edges = [each for each in (senders, weights) if each is not None]
    lanes = min(lanes, pl.next_power_of_2(dim))
    return pl.pallas_call(
        functools.partial(_pallas_tile, width=group.width, rows=rows, lanes=lanes),
        out_shape=jax.ShapeDtypeStruct((count, dim), jnp.float32),
        grid=(pl.cdiv(count, rows), pl.cdiv(dim, lanes)),
        compiler_params=triton.CompilerParams(num_warps=warps),
        interpret=interpret,
        name="neighbour_sums",
    )(group.starts, group.counts, values, *edges)


def _pallas_tile(
    starts: Any, counts: Any, values: Any, *refs: Any, width: int, rows: int, lanes: int
) -> None:
    """One program: `rows` pieces, `lanes` columns, a place after another."""
    *edges, out = refs
    piece = pl.program_id(0) * rows + jnp.arange(rows, dtype=jnp.int32)
    column = pl.program_id(1) * lanes + jnp.arange(lanes, dtype=jnp.int32)
    is_piece, is_column = piece < starts.shape[0], column < values.shape[1]
    start = triton.load(starts.at[piece], mask=is_piece, other=0)
    count = triton.load(counts.at[piece], mask=is_piece, other=0)

    def add(place: jax.Array | int, total: jax.Array) -> jax.Array:
        is_edge = place < count
        edge = start + place
        sender, weight = edge, None
        if edges:
            sender, weight = (triton.load(ref.at[edge], mask=is_edge, other=0) for ref in edges)
        gathered = triton.load(
            values.at[sender[:, None], column[None, :]],
            mask=is_edge[:, None] & is_column[None, :],
            other=0,
        ).astype(jnp.float32)
        return total + (gathered if weight is None else weight[:, None] * gathered)

    def add_some(number: jax.Array, total: jax.Array) -> jax.Array:
        for place in range(_UNROLLED):
            total = add(number * _UNROLLED + place, total)
        return total

    total = jnp.zeros((rows, lanes), jnp.float32)
    if width % _UNROLLED:
        for place in range(width):
            total = add(place, total)
    else:
        total = jax.lax.fori_loop(0, width // _UNROLLED, add_some, total)
    mask = is_piece[:, None] & is_column[None, :]
    triton.store(out.at[piece[:, None], column[None, :]], total, mask=mask)


def _rows_of(table: jax.Array, places: jax.Array) -> jax.Array:
    """`table[places]` without a look at whether they are in range, which they are."""
    return table.at[places].get(mode="promise_in_bounds", wrap_negative_indices=False)


SUMS: dict[str, Callable[[Adjacency, jax.Array, str], jax.Array]] = {
    "gather": functools.partial(by_pieces, xla_group),
    "pallas": functools.partial(by_pieces, pallas_group),
}
