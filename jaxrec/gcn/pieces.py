"""Neighbourhood sums without a scatter: rows are cut into short pieces, all of one width at once.

A scatter-add is slow on a GPU and adds in any order. Here each sum is made by one thread in the
order of the row's edges, so that it is the same bits every time: rows of at most 32 edges side by
side with others, longer ones in pieces of 32, whose sums are summed in the same way.

What there is to sum is known before training and has static shapes. No edge is stored twice and no
padding at all: for a place beyond a row's end nothing is fetched.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.experimental import pallas as pl

from jaxrec.gcn.graph import Adjacency, BipartiteGraph

triton: Any
try:  # deprecated since jax 0.12, and to go
    from jax.experimental.pallas import triton
except ImportError:
    triton = None

WIDTHS = (4, 32)  # edges; of a group of rows, and the last of a piece
_ROWS, _LANES, _WARPS = 8, 64, 4  # pieces, most columns and groups of 32 threads of a program
_UNROLLED = 8  # places of a piece whose rows a program fetches at once
_OLDEST = 8.0  # compute capability that Triton works with


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


def unavailable_reason() -> str | None:
    """Why the device of this process can't run the kernel, or None where it can."""
    device = jax.devices()[0]
    if "cuda" not in device.client.platform_version.lower():
        return f"it is for NVIDIA GPUs, not {device.device_kind}"
    if triton is None:
        return f"jax {jax.__version__} has no Pallas for Triton any more"
    capability = float(device.compute_capability)
    if capability < _OLDEST:
        return f"it is for compute capability {_OLDEST} (Ampere) and later, not {capability}"
    return None


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
        widths = widths[-1:]  # few are left, and each width is a program of its own
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


@functools.partial(jax.jit, static_argnames=("dtype", "interpret"))  # traced once for all layers
def piece_sums(
    adjacency: Adjacency, embeddings: jax.Array, dtype: str, *, interpret: bool = False
) -> jax.Array:
    """A x by a Pallas kernel for GPUs (Triton).

    Args:
      adjacency: of a graph from `cut`.
      embeddings: [num_senders, dim] float32, x.
      dtype: in what the embeddings are gathered.
      interpret: computes the same without a GPU, slowly.

    Returns:
      [num_rows, dim] float32.

    Raises:
      ValueError: the graph was not cut.
    """
    if not isinstance(adjacency, PiecedAdjacency):
        raise ValueError("the graph's rows are not cut into pieces; expected one from pieces.cut")
    values = embeddings.astype(dtype)
    edges: tuple[jax.Array, ...] = (adjacency.senders, adjacency.weights)
    sums = []
    for level in adjacency.levels:
        sums += [_group_sums(group, values, *edges, interpret=interpret) for group in level.rows]
        if level.pieces is not None:
            values = _group_sums(level.pieces, values, *edges, interpret=interpret)
        edges = ()
    sums.append(jnp.zeros((1, embeddings.shape[1]), jnp.float32))
    rows = jnp.concatenate(sums).at[adjacency.places]
    return rows.get(mode="promise_in_bounds", wrap_negative_indices=False)


def _group_sums(
    group: Group, values: jax.Array, *edges: jax.Array, interpret: bool = False
) -> jax.Array:
    """Each piece's sum, some pieces and columns a program: [num_pieces, dim] float32.

    Args:
      group: the pieces.
      values: [num_values, dim] float32 or bfloat16, what is summed.
      *edges: each edge's row of the values [num_edges] int32, and its weight [num_edges] float32;
        nothing where an edge's row is its number and it weighs 1.
      interpret: as of `piece_sums`.
    """
    count, dim = len(group.starts), values.shape[1]
    lanes = min(_LANES, pl.next_power_of_2(dim))
    return pl.pallas_call(
        functools.partial(_program, width=group.width, lanes=lanes),
        out_shape=jax.ShapeDtypeStruct((count, dim), jnp.float32),
        grid=(pl.cdiv(count, _ROWS), pl.cdiv(dim, lanes)),
        compiler_params=triton.CompilerParams(num_warps=_WARPS),
        interpret=interpret,
        name="neighbour_sums",
    )(group.starts, group.counts, values, *edges)


def _program(starts: Any, counts: Any, values: Any, *refs: Any, width: int, lanes: int) -> None:
    """One program: `_ROWS` pieces, `lanes` columns, a place after another."""
    *edges, out = refs
    piece = pl.program_id(0) * _ROWS + jnp.arange(_ROWS, dtype=jnp.int32)
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

    total = jnp.zeros((_ROWS, lanes), jnp.float32)
    if width % _UNROLLED:
        for place in range(width):
            total = add(place, total)
    else:
        total = jax.lax.fori_loop(0, width // _UNROLLED, add_some, total)
    mask = is_piece[:, None] & is_column[None, :]
    triton.store(out.at[piece[:, None], column[None, :]], total, mask=mask)
