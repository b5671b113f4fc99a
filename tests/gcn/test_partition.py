"""A device's share is the whole graph's, bit for bit, and a process holds no more than its own."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from jaxrec.gcn import edges as edges_module
from jaxrec.gcn import training_graph
from jaxrec.gcn.deal import Deal, deal_rows
from jaxrec.gcn.edges import Edges, totals_of
from jaxrec.gcn.graph import Adjacency, host_graph
from jaxrec.gcn.partition import Share, shares_of
from jaxrec.gcn.training_graph import cumulative_mass

ALPHA = 0.75


def _random(users: int, items: int, share: float) -> np.ndarray:
    """Weights whose sums depend on the order in which they are added up."""
    rng = np.random.default_rng(users)
    ratings = 10.0 ** rng.uniform(-6, 6, (users, items)) * (rng.random((users, items)) < share)
    ratings[users // 2] = 0  # a user without items
    ratings[:, items // 2] = 0  # an item without users
    return ratings.astype(np.float32)


def _with_a_full_user() -> np.ndarray:
    ratings = _random(9, 12, 0.3)
    ratings[4] = 0.1
    return ratings


GRAPHS: dict[str, Callable[[], np.ndarray]] = {
    "odd weights": lambda: _random(40, 31, 0.3),
    "as many users as items": lambda: _random(20, 20, 0.2),
    "fewer rows than devices": lambda: _random(3, 4, 0.7),
    "a user with every item": _with_a_full_user,
    "most devices without an edge": lambda: np.eye(5, 9, dtype=np.float32) * (np.arange(9) == 2),
}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So small that rows go over their ends."""
    for module in (edges_module, training_graph):
        monkeypatch.setattr(module, "BLOCK_EDGES", 7)


def edges_of(ratings: np.ndarray) -> Edges:
    user, item = np.nonzero(ratings)
    weight = ratings[user, item]
    return Edges(user, item, lambda start, stop: weight[start:stop], *ratings.shape)


def whole(ratings: np.ndarray) -> dict[str, np.ndarray]:
    """The graph and the masses, made of all edges at once."""
    user, item = np.nonzero(ratings)
    weight = ratings[user, item]
    degrees = [
        np.bincount(ends, weights=weight, minlength=size)
        for ends, size in zip((user, item), ratings.shape, strict=True)
    ]
    weights = np.zeros(ratings.shape, np.float32)
    weights[user, item] = weight / np.sqrt(degrees[0][user] * degrees[1][item])
    cumulative = cumulative_mass((ratings > 0).sum(axis=0), alpha=ALPHA)
    unheard = np.where(ratings > 0, 0, np.diff(cumulative))
    return {
        "weights": weights,
        "user degrees": degrees[0].astype(np.float32),
        "item degrees": degrees[1].astype(np.float32),
        "before": np.cumsum(unheard, axis=1) - unheard,
        "cumulative": cumulative,
    }


def filled(values: list[np.ndarray], size: int, dtype: type) -> np.ndarray:
    joined = np.concatenate([*values, np.zeros(0)])
    return np.pad(joined, (0, size - len(joined))).astype(dtype)


def cut(ratings: np.ndarray, user: Deal, item: Deal, device: int) -> Share:
    """A device's share, row by row out of dense tables."""
    found = whole(ratings)
    both = found["weights"]
    to_users, items = half(both, found["user degrees"], user, item, device)
    to_items, _ = half(both.T, found["item degrees"], item, user, device)
    own = user.origin[device]
    before = [found["before"][row, ratings[row] > 0] for row in own[own >= 0]]
    return Share(to_users, to_items, items, filled(before, len(items), np.int32))


def half(
    weights: np.ndarray, degrees: np.ndarray, receivers: Deal, senders: Deal, device: int
) -> tuple[Adjacency, np.ndarray]:
    """An orientation's part on a device, of [receivers, senders]; and its senders themselves."""
    edge = weights > 0
    size = max(1, *(int(edge[rows[rows >= 0]].sum()) for rows in receivers.origin))
    rows = receivers.origin[device]
    own = rows[rows >= 0]
    lengths = np.where(rows >= 0, edge.sum(axis=1)[rows], 0)
    arrays: Any = {
        "offsets": np.r_[0, np.cumsum(lengths)].astype(np.int32),
        "senders": filled([senders.place[edge[row]] for row in own], size, np.int32),
        "weights": filled([weights[row, edge[row]] for row in own], size, np.float32),
        "degrees": np.where(rows >= 0, degrees[rows], 0).astype(np.float32),
    }
    names = filled([np.flatnonzero(edge[row]) for row in own], size, np.int32)
    return Adjacency(**arrays), names


def assert_same(found: Share, expected: Share) -> None:
    for own, wanted in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(own, wanted)
        assert own.dtype == wanted.dtype


@pytest.mark.parametrize("devices", [[0], [1, 2], [0, 1, 2, 3, 4, 5, 6, 7]])
@pytest.mark.parametrize("name", GRAPHS)
def test_shares_are_those_cut_from_the_whole_graph(name: str, devices: list[int]) -> None:
    """Of some devices, as one of several processes has them, and of all."""
    ratings = GRAPHS[name]()
    edges = edges_of(ratings)
    totals = totals_of(edges)
    for num_devices in {max(devices) + 1, 8}:
        user, item = (
            Deal.of(device, num_devices, max(2, int(np.bincount(device).max())))
            for device in (
                deal_rows(side.edges, num_devices) for side in (totals.user, totals.item)
            )
        )
        masses = cumulative_mass(totals.item.edges, alpha=ALPHA)
        shares = shares_of(edges, totals, user, item, devices, masses)
        for device, share in zip(devices, shares, strict=True):
            assert_same(share, cut(ratings, user, item, device))
        plain = shares_of(edges, totals, user, item, devices)
        assert all(share.before is None for share in plain)


def size_of(tree: Any) -> int:
    return sum(leaf.nbytes for leaf in jax.tree.leaves(tree))


def test_a_process_holds_its_own_share_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And 100 bytes a row, 80 an edge of a block, where the edges are mapped from the disk.

    The whole graph would be more than three times as much.
    """
    block, rows, num_devices = 1 << 13, (1500, 1000), 8
    for module in (edges_module, training_graph):
        monkeypatch.setattr(module, "BLOCK_EDGES", block)
    user, item = np.nonzero(np.random.default_rng(0).random(rows) < 0.5)
    for name, values in (("user", user.astype(np.int32)), ("item", item.astype(np.int32))):
        np.save(tmp_path / f"{name}.npy", values, allow_pickle=False)
    mapped = [
        np.load(tmp_path / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        for name in ("user", "item")
    ]
    edges = Edges(*mapped, lambda start, stop: np.ones(stop - start, np.float32), *rows)

    tracemalloc.start()
    try:
        totals = totals_of(edges)
        deals = [deal_rows(side.edges, num_devices) for side in (totals.user, totals.item)]
        user_deal, item_deal = (
            Deal.of(device, num_devices, int(np.bincount(device).max())) for device in deals
        )
        masses = cumulative_mass(totals.item.edges, alpha=ALPHA)
        (share,) = shares_of(edges, totals, user_deal, item_deal, [3], masses)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    own = size_of(share)
    bound = own + 100 * sum(rows) + 80 * block
    assert own > 0.9 * 24 * len(user) / num_devices  # what each edge takes, in both orientations
    assert (
        peak < bound < sum(leaf.nbytes for leaf in jax.tree.leaves(host_graph(edges, totals))) / 3
    )
