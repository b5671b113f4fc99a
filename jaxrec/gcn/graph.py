"""The user-item graph: normalised edges in both orientations, made on the host."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxrec.gcn.edges import Edges, Rows, Side, Totals, totals_of
from jaxrec.gcn.shares import from_owner, own_rows


@struct.dataclass
class Adjacency:
    """One orientation of the graph as a sparse matrix in CSR order: row r gathers its senders.

    Attributes:
      offsets: [num_rows + 1] int32; row r's edges are `offsets[r]:offsets[r + 1]`.
      senders: [num_edges] int32, each edge's column; increasing within a row. Of rows that are
        dealt to devices, the sender's place, in the same order.
      weights: [num_edges] float32, each edge's normalised weight.
      degrees: [num_rows] float32, each row's sum of weights before normalisation.
    """

    offsets: jax.Array
    senders: jax.Array
    weights: jax.Array
    degrees: jax.Array

    @property
    def num_rows(self) -> int:
        """How many nodes receive."""
        return self.offsets.shape[0] - 1

    @property
    def num_edges(self) -> int:
        """How many edges there are; an edge's number is its place in `senders`."""
        return self.senders.shape[0]


@struct.dataclass
class Shares:
    """What a device must know of a graph of whose rows it has its share alone.

    Attributes:
      user: [num_users] int32, each user's place: device * rows per device + row there.
      item: [num_items] int32, each item's place.
      first_edge: [num_users + 1] int32, the offsets of all users' edges in (user, item) order.
      items: [own edges] int32, the items of the edges of this device's users, whose `senders` are
        places.
    """

    user: jax.Array
    item: jax.Array
    first_edge: jax.Array
    items: jax.Array


@struct.dataclass
class BipartiteGraph:
    """Both halves of the symmetric adjacency A = D^-1/2 [[0, R], [R^T, 0]] D^-1/2.

    Attributes:
      to_users: users receive from items; its edge order is (user, item).
      to_items: items receive from users; its edge order is (item, user).
      shares: where the rows are that this device doesn't have; None where it has all.
    """

    to_users: Adjacency
    to_items: Adjacency
    shares: Shares | None = None

    @property
    def num_users(self) -> int:
        """How many users the graph has, isolated ones included."""
        return self.to_users.num_rows if self.shares is None else len(self.shares.user)

    @property
    def num_items(self) -> int:
        """How many items the graph has, isolated ones included."""
        return self.to_items.num_rows if self.shares is None else len(self.shares.item)

    @property
    def num_edges(self) -> int:
        """How many (user, item) edges this device has, each counted once."""
        return self.to_users.num_edges

    @property
    def user_places(self) -> jax.Array | None:
        """As of `shares.own_rows`."""
        return None if self.shares is None else self.shares.user

    @property
    def item_places(self) -> jax.Array | None:
        """As of `shares.own_rows`."""
        return None if self.shares is None else self.shares.item

    @property
    def first_edge(self) -> jax.Array:
        """[num_users + 1] int32, the offsets of all users' edges in (user, item) order."""
        return self.to_users.offsets if self.shares is None else self.shares.first_edge

    @property
    def items(self) -> jax.Array:
        """[num_edges] int32, the item of each edge that this device has; rises within a user."""
        return self.to_users.senders if self.shares is None else self.shares.items


def build_graph(
    user: np.ndarray,
    item: np.ndarray,
    weight: np.ndarray,
    *,
    num_users: int,
    num_items: int,
) -> BipartiteGraph:
    """Builds the normalised graph on the device: an edge (u, i) of weight w gets w / sqrt(d_u d_i).

    A node without edges stays isolated: nothing is gathered into it.

    Args:
      user: [num_edges] int, sorted.
      item: [num_edges] int, increasing within each user.
      weight: [num_edges] float, > 0.
      num_users: how many users there are.
      num_items: how many items there are.

    Raises:
      ValueError: as of `totals_of`.
    """
    edges = Edges(user, item, lambda start, stop: weight[start:stop], num_users, num_items)
    return jax.tree.map(jnp.asarray, host_graph(edges, totals_of(edges)))


def host_graph(edges: Edges, totals: Totals) -> BipartiteGraph:
    """The normalised graph of all edges, of NumPy arrays."""
    halves = [_empty(side) for side in (totals.user, totals.item)]
    rows = [Rows(side.offsets[:-1]) for side in (totals.user, totals.item)]
    for block in edges.blocks():
        weights = totals.normalised(block)
        ends = (block.user, block.item)
        for half, own, receivers, senders in zip(halves, rows, ends, ends[::-1], strict=True):
            chosen, places = own.places(receivers)
            half.senders[places] = senders[chosen]
            half.weights[places] = weights[chosen]
    return BipartiteGraph(*halves)


def _empty(side: Side) -> Any:
    """An orientation whose edges are still to come."""
    num_edges = int(side.offsets[-1])
    arrays: dict[str, Any] = {
        "offsets": side.offsets,
        "senders": np.empty(num_edges, np.int32),
        "weights": np.empty(num_edges, np.float32),
        "degrees": side.degrees.astype(np.float32),
    }
    return Adjacency(**arrays)


def edge_endpoints(graph: BipartiteGraph, edge: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The users and items of edges given by number in (user, item) order.

    The user is found in the offsets by binary search, which spares an array over all edges.

    Args:
      graph: the graph.
      edge: [n] int32 in [0, num_edges).

    Returns:
      users [n] int32, items [n] int32.
    """
    users = jnp.searchsorted(graph.first_edge, edge, side="right").astype(jnp.int32) - 1
    here, mine = own_edges(graph, users, edge)
    return users, from_owner(mine, graph.items[here])


def own_edges(
    graph: BipartiteGraph, users: jax.Array, edge: jax.Array
) -> tuple[jax.Array, jax.Array | None]:
    """Where some edges are on this device, if they are of its own users.

    Args:
      graph: the graph.
      users: [n] int32, each edge's user.
      edge: [n] int32, the edges by number in (user, item) order.

    Returns:
      [n] int32, the edge's number here; and [n] bool, whether it is here, None where all are.
    """
    if graph.shares is None:
        return edge, None
    row, mine = own_rows(graph.user_places, users, graph.to_users.num_rows)
    here = graph.to_users.offsets[row] + edge - graph.first_edge[users]
    return jnp.clip(here, 0, graph.num_edges - 1), mine
