"""A training graph and states whose rows are dealt to the devices of a mesh."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, cast

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxrec.gcn.deal import Deal, deal_rows
from jaxrec.gcn.embeddings import Embeddings
from jaxrec.gcn.graph import Adjacency, BipartiteGraph, Shares
from jaxrec.gcn.shares import AXIS
from jaxrec.gcn.training_graph import ItemMass, TrainingGraph

OWN, ALIKE = PartitionSpec(AXIS), PartitionSpec()


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
    def of(cls, graph: BipartiteGraph, mesh: Mesh) -> "Dealing":
        """Deals the rows of a graph of NumPy arrays."""
        halves = (graph.to_users, graph.to_items)
        user, item = (deal_rows(np.diff(half.offsets), mesh.size) for half in halves)
        num_users, num_items = (max(2, int(np.bincount(of).max())) for of in (user, item))
        # Where both tables have one shape, XLA shares what both are divided by, and multiplies by
        # its inverse: so they have one shape here if they had on one device.
        if graph.num_users == graph.num_items:
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
          state: a tree of arrays, in which a table of users' or items' rows is in `Embeddings`.
        """

        def place(node: Any) -> Any:
            if not isinstance(node, Embeddings):
                return self.alike(node)
            return Embeddings(
                self._of_rows(self.user, node.user), self._of_rows(self.item, node.item)
            )

        return jax.tree.map(place, state, is_leaf=_is_embeddings)

    def in_order(self, state: Any) -> Any:
        """The tree that `placed` made this one of, as NumPy arrays; called by all processes."""

        def order(node: Any) -> Any:
            if not isinstance(node, Embeddings):
                return np.asarray(node)
            user: Any = self.rows_in_order(self.user, node.user)
            item: Any = self.rows_in_order(self.item, node.item)
            return Embeddings(user, item)

        return jax.tree.map(order, state, is_leaf=_is_embeddings)

    @staticmethod
    def rows_in_order(deal: Deal, table: jax.Array) -> np.ndarray:
        """A table [rows of all devices, dim] in the data's order: [num_rows, dim]."""
        whole = table
        if not table.is_fully_addressable:
            whole = multihost_utils.process_allgather(table, tiled=True)
        return np.asarray(whole)[deal.place]

    def data(self, data: TrainingGraph) -> TrainingGraph:
        """The training graph as the devices have it, of one of NumPy arrays.

        Its arrays are those of all devices, one after another; `specs` says which a device has
        its share of.
        """
        graph, mass = data.graph, data.mass
        halves = ((graph.to_users, self.user, self.item), (graph.to_items, self.item, self.user))
        to_users, to_items = (self._half(*half) for half in halves)
        shares = Shares(
            user=self.alike(self.user.place),
            item=self.alike(self.item.place),
            first_edge=self.alike(graph.to_users.offsets),
            items=self._of_edges(graph.to_users, self.user, graph.to_users.senders),
        )
        if mass is not None:
            before = self._of_edges(graph.to_users, self.user, np.asarray(mass.before))
            mass = ItemMass(self.alike(mass.cumulative), before)
        return TrainingGraph(BipartiteGraph(to_users, to_items, shares), mass)

    def _half(self, half: Adjacency, receivers: Deal, senders: Deal) -> Adjacency:
        lengths = np.diff(half.offsets)

        def offsets(device: int) -> np.ndarray:
            own = receivers.rows_of(device, lengths)
            return np.concatenate([[0], np.cumsum(own)]).astype(np.int32)

        return Adjacency(
            offsets=self._of_shares(offsets),
            senders=self._of_edges(half, receivers, half.senders, senders.place),
            weights=self._of_edges(half, receivers, half.weights),
            degrees=self._of_rows(receivers, half.degrees),
        )

    def _of_rows(self, deal: Deal, table: Any) -> jax.Array:
        """A table, or a column, [num_rows, ...] as the devices have it."""
        return self._of_shares(functools.partial(deal.rows_of, table=np.asarray(table)))

    def _of_edges(
        self,
        half: Adjacency,
        receivers: Deal,
        values: Any,
        lookup: np.ndarray | None = None,
    ) -> jax.Array:
        """Each device's edges' values, or what these are numbers of, filled up with 0."""
        lengths = np.diff(half.offsets)
        counts = [receivers.rows_of(device, lengths).sum() for device in range(self.mesh.size)]
        size = max(1, *(int(count) for count in counts))

        def share(device: int) -> np.ndarray:
            own = receivers.origin[device]
            own = own[own >= 0]
            ends = np.cumsum(lengths[own])
            first = np.repeat(half.offsets[own] - (ends - lengths[own]), lengths[own])
            found = np.asarray(values)[first + np.arange(len(first))]
            found = found if lookup is None else lookup[found]
            return np.pad(found, (0, size - len(found)))

        return self._of_shares(share)

    def _of_shares(self, share: Callable[[int], np.ndarray]) -> jax.Array:
        """The array of which each device has a share, made where this process has the device."""
        devices = self.mesh.devices.flat
        here = [
            jax.device_put(share(number), device)
            for number, device in enumerate(devices)
            if device.process_index == jax.process_index()
        ]
        shape = (here[0].shape[0] * self.mesh.size, *here[0].shape[1:])
        return jax.make_array_from_single_device_arrays(shape, NamedSharding(self.mesh, OWN), here)


def _is_embeddings(node: Any) -> bool:
    return isinstance(node, Embeddings)


def specs(data: TrainingGraph) -> Any:
    """Which arrays of a training graph each device has its share of, for `jax.shard_map`."""
    shares: Any = Shares(*(cast(Any, each) for each in (ALIKE, ALIKE, ALIKE, OWN)))
    mass: Any = None if data.mass is None else ItemMass(cast(Any, ALIKE), cast(Any, OWN))
    return TrainingGraph(BipartiteGraph(cast(Any, OWN), cast(Any, OWN), shares), mass)
