"""A training graph and states whose rows are dealt to the devices of a mesh."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, cast

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding

from jaxrec.gcn.deal import Deal, deal_rows
from jaxrec.gcn.dealt_table import Awaited, Dealt
from jaxrec.gcn.edges import Edges, Totals
from jaxrec.gcn.embeddings import Embeddings
from jaxrec.gcn.graph import BipartiteGraph, Shares
from jaxrec.gcn.mesh import ALIKE, OWN, joined, own_devices
from jaxrec.gcn.partition import shares_of
from jaxrec.gcn.training_graph import ItemMass, TrainingGraph


@dataclasses.dataclass(frozen=True, eq=False)
class Dealing:
    """The rows of a graph on a mesh.

    Attributes:
      mesh: with one axis, `shares.AXIS`.
      user: where the users' rows are.
      item: where the items' rows are.
    """

    mesh: Mesh
    user: Deal
    item: Deal

    @classmethod
    def of(cls, totals: Totals, mesh: Mesh) -> "Dealing":
        """Deals the rows of a graph by how many edges each has."""
        sides = (totals.user, totals.item)
        user, item = (deal_rows(side.edges, mesh.size) for side in sides)
        num_users, num_items = (max(2, int(np.bincount(of).max())) for of in (user, item))
        # Where both tables have one shape, XLA shares what both are divided by, and multiplies by
        # its inverse: so they have one shape here if they had on one device.
        if totals.num_users == totals.num_items:
            num_users = num_items = max(num_users, num_items)
        elif num_users == num_items:
            num_items += 1
        return cls(mesh, Deal.of(user, mesh.size, num_users), Deal.of(item, mesh.size, num_items))

    def alike(self, array: np.ndarray | jax.Array) -> jax.Array:
        """An array that every device has the whole of."""
        host = np.asarray(array)
        return jax.make_array_from_callback(
            host.shape, NamedSharding(self.mesh, ALIKE), host.__getitem__
        )

    def placed(self, state: Any) -> Any:
        """A tree as the devices have it: tables by their places, all else on each device.

        Args:
          state: a tree of arrays, in which a table of users' or items' rows is in `Embeddings`;
            one that is `Dealt` already stays where it is.
        """

        def place(node: Any) -> Any:
            if not isinstance(node, Embeddings):
                return self.alike(node)
            return self._tables(
                node,
                lambda table, deal: (
                    table.table if isinstance(table, Dealt) else self._of_rows(deal, table)
                ),
            )

        return jax.tree.map(place, state, is_leaf=_is_embeddings)

    def dealt(self, state: Any) -> Any:
        """The tree that `placed` made this one of, its tables readable by some rows at a time."""

        def of(node: Any) -> Any:
            if not isinstance(node, Embeddings):
                return node
            return self._tables(node, lambda table, deal: Dealt(table, deal, self.mesh))

        return jax.tree.map(of, state, is_leaf=_is_embeddings)

    def in_order(self, state: Any) -> Any:
        """The tree that `placed` made this one of, as NumPy arrays; called by all processes."""
        return jax.tree.map(np.asarray, self.dealt(state))

    def awaited(self, shapes: Any) -> Any:
        """Of a tree of shapes and types, its tables as what their rows can be put into."""

        def wait_for(node: Any) -> Any:
            if not isinstance(node, Embeddings):
                return node
            return self._tables(node, lambda table, deal: Awaited(table, deal, self.mesh))

        return jax.tree.map(wait_for, shapes, is_leaf=_is_embeddings)

    def _tables(self, tables: Embeddings, function: Callable[[Any, Deal], Any]) -> Embeddings:
        user, item = function(tables.user, self.user), function(tables.item, self.item)
        return Embeddings(user, item)

    def data(
        self, edges: Edges, totals: Totals, cumulative: np.ndarray | None = None
    ) -> TrainingGraph:
        """The training graph as the devices have it; each process holds what its own have.

        Its arrays are those of all devices, one after another; `specs` says which a device has
        its share of.

        Args:
          edges: all of them, through which each process goes.
          totals: what they add up to.
          cumulative: the items' masses, as of `ItemMass`; None for uniform negatives.
        """
        here = own_devices(self.mesh)
        own = shares_of(edges, totals, self.user, self.item, here, cumulative)

        def all_of_them(*parts: np.ndarray) -> jax.Array:
            return joined(self.mesh, dict(zip(here, parts, strict=True)).__getitem__)

        all_of: Any = jax.tree.map(all_of_them, *own)
        shares = Shares(
            user=self.alike(self.user.place),
            item=self.alike(self.item.place),
            first_edge=self.alike(totals.first_edge),
            items=all_of.items,
        )
        mass = None if cumulative is None else ItemMass(self.alike(cumulative), all_of.before)
        return TrainingGraph(BipartiteGraph(all_of.to_users, all_of.to_items, shares), mass)

    def _of_rows(self, deal: Deal, table: Any) -> jax.Array:
        """A table, or a column, [num_rows, ...] as the devices have it."""
        return joined(self.mesh, functools.partial(deal.rows_of, table=np.asarray(table)))


def _is_embeddings(node: Any) -> bool:
    return isinstance(node, Embeddings)


def specs(data: TrainingGraph) -> Any:
    """Which arrays of a training graph each device has its share of, for `jax.shard_map`."""
    shares: Any = Shares(*(cast(Any, each) for each in (ALIKE, ALIKE, ALIKE, OWN)))
    mass: Any = None if data.mass is None else ItemMass(cast(Any, ALIKE), cast(Any, OWN))
    return TrainingGraph(BipartiteGraph(cast(Any, OWN), cast(Any, OWN), shares), mass)
