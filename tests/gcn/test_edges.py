"""Edges that are gone through block by block add up as all at once do, and are checked as well."""

import numpy as np
import pytest

from jaxrec.gcn import edges as edges_module
from jaxrec.gcn.edges import BLOCK_EDGES, Edges, Rows, totals_of
from jaxrec.gcn.graph import build_graph


def test_sums_over_blocks_have_the_bits_of_sums_over_all(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    user, item = np.nonzero(rng.random((40, 30)) < 0.5)
    weight = (10.0 ** rng.uniform(-6, 6, len(user))).astype(np.float32)
    block = 50
    monkeypatch.setattr(edges_module, "BLOCK_EDGES", block)
    totals = totals_of(Edges(user, item, lambda start, stop: weight[start:stop], 40, 30))
    for side, ends in ((totals.user, user), (totals.item, item)):
        np.testing.assert_array_equal(side.edges, np.bincount(ends))
        np.testing.assert_array_equal(side.degrees, np.bincount(ends, weights=weight))
    parts = [slice(start, start + block) for start in range(0, len(user), block)]
    added = sum(np.bincount(item[part], weights=weight[part], minlength=30) for part in parts)
    assert (added != totals.item.degrees).any()  # else these weights would show nothing


def test_the_order_is_checked_from_one_block_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edges_module, "BLOCK_EDGES", 2)
    for item in ([0, 1, 1], [0, 2, 1]):
        with pytest.raises(ValueError, match="sorted by"):
            build_graph(np.zeros(3, int), np.array(item), np.ones(3), num_users=1, num_items=3)


def test_edges_of_wanted_nodes_follow_each_other_in_their_order() -> None:
    nodes = np.random.default_rng(0).integers(0, 6, 100)
    row_of = np.array([-1, 2, -1, 0, 1, -1], np.int32)
    starts = np.array([5, 40, 80])
    rows = Rows(starts, row_of)
    filled = np.full(120, -1)
    for first in (0, 60):
        chosen, places = rows.places(nodes[first : first + 60])
        filled[places] = first + chosen
    for node, start in ((3, 5), (4, 40), (1, 80)):
        own = np.flatnonzero(nodes == node)
        np.testing.assert_array_equal(filled[start : start + len(own)], own)
    assert (filled >= 0).sum() == np.isin(nodes, [1, 3, 4]).sum()
    assert len(nodes) <= BLOCK_EDGES
