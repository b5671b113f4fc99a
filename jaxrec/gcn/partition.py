"""What a device has of a graph whose rows are dealt: its own edges, taken out of all of them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxrec.gcn.deal import Deal
from jaxrec.gcn.edges import Edges, Rows, Side, Totals
from jaxrec.gcn.graph import Adjacency
from jaxrec.gcn.training_graph import mass_before


class Share(NamedTuple):
    """A device's, of NumPy arrays; as long as any other's, filled up with zeros.

    Attributes:
      to_users: its users' edges, whose senders are places.
      to_items: its items' edges, likewise.
      items: [own edges] int32, as of `graph.Shares`.
      before: [own edges] int32, as of `ItemMass`; None without masses.
    """

    to_users: Adjacency
    to_items: Adjacency
    items: np.ndarray
    before: np.ndarray | None


def shares_of(
    edges: Edges,
    totals: Totals,
    user: Deal,
    item: Deal,
    devices: Sequence[int],
    cumulative: np.ndarray | None = None,
) -> list[Share]:
    """The shares of some devices, in one pass over the edges.

    What is held is these shares, a block of edges, and as much as there are rows.

    Args:
      edges: all of them.
      totals: what they add up to.
      user: where the users' rows are.
      item: where the items' rows are.
      devices: the numbers of those whose shares are wanted.
      cumulative: the items' masses, as of `ItemMass`; None without.
    """
    users = _Half(totals.user, user, devices)
    items = _Half(totals.item, item, devices)
    item_of = np.zeros(users.senders.shape, np.int32)
    for block in edges.blocks():
        weights = totals.normalised(block)
        chosen, places = users.put(block.user, weights, item.place[block.item])
        item_of.ravel()[places] = block.item[chosen]
        items.put(block.item, weights, user.place[block.user])
    before: list[np.ndarray | None] = [None] * len(devices)
    if cumulative is not None:
        known = zip(users.offsets, item_of, strict=True)
        before = [mass_before(offsets, own, cumulative) for offsets, own in known]
    return list(map(Share, users.halves(), items.halves(), item_of, before))


class _Half:
    """An orientation's part on some devices, which is filled block by block."""

    def __init__(self, side: Side, deal: Deal, devices: Sequence[int]) -> None:
        num_devices, num_rows = deal.origin.shape
        edges = [deal.rows_of(device, side.edges) for device in range(num_devices)]
        size = max(1, *(int(own.sum()) for own in edges))
        degrees = side.degrees.astype(np.float32)
        self._degrees = [deal.rows_of(device, degrees) for device in devices]
        self.offsets = np.zeros((len(devices), num_rows + 1), np.int32)
        row_of = np.full(len(deal.place), -1, np.int32)
        for number, device in enumerate(devices):
            np.cumsum(edges[device], out=self.offsets[number, 1:])
            there = np.flatnonzero(deal.origin[device] >= 0)
            row_of[deal.origin[device, there]] = number * num_rows + there
        starts = self.offsets[:, :-1] + size * np.arange(len(devices))[:, None]
        self._rows = Rows(starts.ravel(), row_of)
        self.senders = np.zeros((len(devices), size), np.int32)
        self._weights = np.zeros((len(devices), size), np.float32)

    def put(
        self, receivers: np.ndarray, weights: np.ndarray, senders: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Takes what these devices have of a block; what `Rows.places` says of it."""
        chosen, places = self._rows.places(receivers)
        self.senders.ravel()[places] = senders[chosen]
        self._weights.ravel()[places] = weights[chosen]
        return chosen, places

    def halves(self) -> list[Adjacency]:
        """The filled parts, one for each device."""
        arrays: Any = (self.offsets, self.senders, self._weights, self._degrees)
        return list(map(Adjacency, *arrays))
