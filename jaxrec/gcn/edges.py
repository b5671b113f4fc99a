"""Edges on the host, gone through a block at a time, and what all of them add up to."""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np

MAX_EDGES = 2**31 - 1  # offsets and edge numbers are int32
BLOCK_EDGES = 1 << 20  # bounds the memory beside what is made of the edges


class Block(NamedTuple):
    """Some edges that follow each other.

    Attributes:
      user: [n] int.
      item: [n] int.
      weight: [n] float, before normalisation.
    """

    user: np.ndarray
    item: np.ndarray
    weight: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Edges:
    """The edges of a graph in (user, item) order, which may lie on a disk.

    Attributes:
      user: [num_edges] int, sorted.
      item: [num_edges] int, increasing within each user.
      weigh: the weights, > 0, of the edges from a number up to another: [stop - start] float.
      num_users: how many users there are.
      num_items: how many items there are.
    """

    user: np.ndarray
    item: np.ndarray
    weigh: Callable[[int, int], np.ndarray]
    num_users: int
    num_items: int

    def blocks(self) -> Iterator[Block]:
        """All of them, so many at a time."""
        for start in range(0, len(self.user), BLOCK_EDGES):
            stop = min(start + BLOCK_EDGES, len(self.user))
            user, item = (np.asarray(each[start:stop]) for each in (self.user, self.item))
            yield Block(user, item, np.asarray(self.weigh(start, stop)))


class GraphSize(Protocol):
    """What training must know of a graph that lies elsewhere: a `Totals`, or the graph itself."""

    @property
    def num_users(self) -> int:
        """How many users there are, isolated ones included."""

    @property
    def num_items(self) -> int:
        """How many items there are, isolated ones included."""

    @property
    def num_edges(self) -> int:
        """How many edges there are."""

    @property
    def first_edge(self) -> Any:
        """[num_users + 1] int32, the offsets of all users' edges in (user, item) order."""


@dataclasses.dataclass(frozen=True, eq=False)
class Side:
    """What the edges of each user, or of each item, add up to.

    Attributes:
      edges: [num_rows] int64, how many each has.
      degrees: [num_rows] float64, their weights added up in the order of the edges.
    """

    edges: np.ndarray
    degrees: np.ndarray

    @functools.cached_property
    def offsets(self) -> np.ndarray:
        """[num_rows + 1] int32; row r's edges are `offsets[r]:offsets[r + 1]`."""
        offsets = np.zeros(len(self.edges) + 1, np.int32)
        np.cumsum(self.edges, out=offsets[1:])
        return offsets


@dataclasses.dataclass(frozen=True, eq=False)
class Totals:
    """What everybody must know of the edges: as much as there are rows.

    Attributes:
      user: of each user.
      item: of each item.
    """

    user: Side
    item: Side

    @property
    def num_users(self) -> int:
        """How many users there are, isolated ones included."""
        return len(self.user.edges)

    @property
    def num_items(self) -> int:
        """How many items there are, isolated ones included."""
        return len(self.item.edges)

    @property
    def num_edges(self) -> int:
        """How many edges there are."""
        return int(self.user.offsets[-1])

    @property
    def first_edge(self) -> np.ndarray:
        """[num_users + 1] int32, the offsets of all users' edges in (user, item) order."""
        return self.user.offsets

    def normalised(self, block: Block) -> np.ndarray:
        """The weights of edges in the graph, w / sqrt(d_u d_i): [n] float32.

        The degrees d are sums of weights (He et al. 2020, https://arxiv.org/abs/2002.02126, eq. 7).
        """
        products = self.user.degrees[block.user] * self.item.degrees[block.item]
        return (block.weight / np.sqrt(products)).astype(np.float32)


def totals_of(edges: Edges) -> Totals:
    """Adds the edges up, in one pass.

    Raises:
      ValueError: edges unsorted, repeated or out of range, weights not positive and finite, or
        more edges or nodes than int32 can number.
    """
    num_users, num_items = edges.num_users, edges.num_items
    if max(len(edges.user), num_users, num_items) > MAX_EDGES:
        raise ValueError(
            f"{len(edges.user):,} edges, {num_users:,} users, {num_items:,} songs: "
            f"at most {MAX_EDGES:,} of each can be numbered"
        )
    user, item = (Side(np.zeros(size, np.int64), np.zeros(size)) for size in (num_users, num_items))
    last = np.zeros(0, np.int64)  # the key of the edge before the block
    for block in edges.blocks():
        last = _checked(block, last, num_users=num_users, num_items=num_items)
        weight = block.weight.astype(np.float64)
        for side, rows in ((user, block.user), (item, block.item)):
            side.edges[:] += np.bincount(rows, minlength=len(side.edges))
            # Not the sums of blocks added up: those would round otherwise than one after another.
            np.add.at(side.degrees, rows, weight)
    return Totals(user, item)


def _checked(block: Block, last: np.ndarray, *, num_users: int, num_items: int) -> np.ndarray:
    """The key of a block's last edge; raises what `totals_of` does."""
    user, item, weight = block
    key = np.concatenate([last, user.astype(np.int64) * max(num_items, 1) + item])
    if np.any(key[1:] <= key[:-1]) or user.min() < 0 or user.max() >= num_users:
        raise ValueError("edges must be sorted by (user, item), distinct, with users in range")
    if item.min() < 0 or item.max() >= num_items:
        raise ValueError("edges must name songs in range")
    if not np.all((weight > 0) & np.isfinite(weight)):
        raise ValueError("edge weights must be positive and finite")
    return key[-1:]


class Rows:
    """Compressed rows into which edges are put in their order, a block after another.

    Args:
      starts: [rows] int, where each row's edges begin in the arrays that are filled.
      row_of: [num_nodes] int32, the row of each node, -1 for those whose edges are not wanted;
        None where row r is node r's.
    """

    def __init__(self, starts: np.ndarray, row_of: np.ndarray | None = None) -> None:
        self._next = starts.astype(np.int64)
        self._row_of = row_of

    def places(self, nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where a block's edges go.

        Args:
          nodes: [n] int, the node that each edge belongs to; n at most `BLOCK_EDGES`.

        Returns:
          [m] int64, which of the edges are wanted, and [m] int64, their places.
        """
        rows = nodes if self._row_of is None else self._row_of[nodes]
        # A row and an edge's number in one number: NumPy sorts these many times as fast as it
        # sorts rows alone and keeps their order.
        keys = rows.astype(np.int64) * BLOCK_EDGES + np.arange(len(rows))
        keys = np.sort(keys[rows >= 0])
        rows, edges = np.divmod(keys, BLOCK_EDGES)
        firsts = np.flatnonzero(np.diff(rows, prepend=-1))
        counts = np.diff(firsts, append=len(rows))
        own = rows[firsts]
        places = np.arange(len(rows)) + np.repeat(self._next[own] - firsts, counts)
        self._next[own] += counts
        return edges, places
