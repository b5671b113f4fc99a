"""An epoch's order: every edge once, in batches of edges or of users with all their edges."""

import dataclasses
import functools
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from jaxrec.gcn.edges import GraphSize
from jaxrec.gcn.graph import BipartiteGraph, own_edges
from jaxrec.gcn.shares import from_owner


class Batches(Protocol):
    """How the edges are cut into the batches of an epoch."""

    @property
    def num_steps(self) -> int:
        """Batches that one pass over all edges takes."""

    def order(self, key: jax.Array) -> jax.Array:
        """An epoch's batches by its `jax.random` key: [num_steps, n] int32, -1 for padding."""

    def edges_in(self, order: jax.Array) -> np.ndarray:
        """How many edges each batch of an order has: [num_steps] int64."""


@dataclasses.dataclass(frozen=True)
class EdgeBatches:
    """Batches of edge numbers: all edges shuffled, the last batch filled up with -1.

    Attributes:
      num_edges: how many edges there are, > 0.
      size: edges per batch, > 0.
    """

    num_edges: int
    size: int

    @property
    def num_steps(self) -> int:
        """Batches that one pass over all edges takes."""
        return -(-self.num_edges // self.size)

    def order(self, key: jax.Array) -> jax.Array:
        """[num_steps, size] int32."""
        return _edge_order(key, self.num_edges, self.size)

    def edges_in(self, order: jax.Array) -> np.ndarray:
        """The size, and what is left for the last batch."""
        return np.minimum(self.size, self.num_edges - self.size * np.arange(len(order)))


@functools.partial(jax.jit, static_argnums=(1, 2))
def _edge_order(key: jax.Array, num_edges: int, size: int) -> jax.Array:
    num_steps = -(-num_edges // size)
    order = jax.random.permutation(key, jnp.arange(num_edges, dtype=jnp.int32))
    padding = num_steps * size - num_edges
    return jnp.pad(order, (0, padding), constant_values=-1).reshape(num_steps, size)


@dataclasses.dataclass(frozen=True, eq=False)
class UserBatches:
    """Batches of users, each of whom brings all their edges: stratified by activity.

    Users are ranked by their number of edges and cut into strata of `num_steps`; an epoch deals
    one of each stratum to every batch, at random. So every batch has active and less active users
    alike, and its number of edges differs from another's by at most the greatest number of edges
    of one user: shapes can be static at hardly any padding.

    Attributes:
      strata: [users per batch, num_steps] int32, users by falling number of edges, -1 for padding.
      edges_of: [num_users] int64, how many edges each user has.
    """

    strata: np.ndarray
    edges_of: np.ndarray

    @classmethod
    def of(cls, graph: GraphSize, *, batch_size: int) -> "UserBatches":
        """Batches of about so many edges each."""
        edges_of = np.diff(np.asarray(graph.first_edge)).astype(np.int64)
        active = np.argsort(-edges_of, kind="stable")[: np.count_nonzero(edges_of)]
        num_steps = min(-(-graph.num_edges // batch_size), len(active))
        per_batch = -(-len(active) // num_steps)
        padding = per_batch * num_steps - len(active)
        strata = np.pad(active, (0, padding), constant_values=-1).reshape(per_batch, num_steps)
        return cls(strata=strata.astype(np.int32), edges_of=edges_of)

    @property
    def num_steps(self) -> int:
        """Batches that one pass over all edges takes."""
        return self.strata.shape[1]

    def max_edges(self, parts: int = 1) -> int:
        """The most edges that a batch can have, or one of its parts from `parted`."""
        most = np.where(self.strata >= 0, self.edges_of[self.strata], 0).max(axis=1)
        return int(max(most[part::parts].sum() for part in range(parts)))

    def order(self, key: jax.Array) -> jax.Array:
        """[num_steps, users per batch] int32."""
        return _user_order(key, self.strata)

    def edges_in(self, order: jax.Array) -> np.ndarray:
        """The sum of the edges of each batch's users."""
        users = np.asarray(order)
        return np.where(users >= 0, self.edges_of[users], 0).sum(axis=1)


@jax.jit
def _user_order(key: jax.Array, strata: jax.Array) -> jax.Array:
    return jax.vmap(jax.random.permutation)(jax.random.split(key, len(strata)), strata).T


def parted(batch: jax.Array, parts: int) -> jax.Array:
    """A batch of users cut into parts that have about as many edges each.

    Args:
      batch: [n] int32, a user of each stratum.
      parts: how many; each takes every `parts`-th stratum.

    Returns:
      [parts, n / parts] int32, -1 for padding.
    """
    filled = jnp.pad(batch, (0, -len(batch) % parts), constant_values=-1)
    return filled.reshape(-1, parts).T


class BatchInteractions(NamedTuple):
    """All edges of a batch of users, one user's after another's, then padding.

    Attributes:
      user: [n] int32, the users; padding among them is user 0, without edges.
      item: [max_edges] int32, each edge's item.
      row: [max_edges] int32, its user's place in the batch; never falls.
      weight: [max_edges] float32, its normalised weight; 0 for padding.
      is_edge: [max_edges] bool, False for padding.
    """

    user: jax.Array
    item: jax.Array
    row: jax.Array
    weight: jax.Array
    is_edge: jax.Array


def interactions_of(
    graph: BipartiteGraph, users: jax.Array, *, max_edges: int
) -> BatchInteractions:
    """All edges of some users.

    Args:
      graph: the graph.
      users: [n] int32, -1 for padding.
      max_edges: static; at least as many as the users have.
    """
    known = jnp.maximum(users, 0)
    start = graph.first_edge[known]
    degree = jnp.where(users >= 0, graph.first_edge[known + 1] - start, 0)
    ends = jnp.cumsum(degree)
    place = jnp.arange(max_edges, dtype=jnp.int32)
    row = jnp.searchsorted(ends, place, side="right").astype(jnp.int32)
    row = jnp.minimum(row, len(users) - 1)
    is_edge = place < ends[-1]
    edge = jnp.where(is_edge, start[row] + place - (ends - degree)[row], 0)
    here, mine = own_edges(graph, known[row], edge)
    item, weight = from_owner(mine, (graph.items[here], graph.to_users.weights[here]))
    return BatchInteractions(known, item, row, jnp.where(is_edge, weight, 0.0), is_edge)
