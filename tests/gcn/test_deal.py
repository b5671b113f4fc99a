"""Rows are dealt so that devices have as many edges, and each row lies in one place."""

import numpy as np
import pytest

from jaxrec.gcn.deal import Deal, deal_rows

SIZES = {
    "a few that have most": lambda rng: rng.zipf(1.7, 5_000).clip(0, 3_000),
    "like ones": lambda rng: rng.integers(0, 4, 1_000),
    "all alike": lambda rng: np.full(64, 7),
    "without edges": lambda rng: np.zeros(10, int),
    "fewer than devices": lambda rng: np.array([3, 1]),
    "one that has more than its share": lambda rng: np.r_[10_000, np.ones(500, int)],
    "none": lambda rng: np.zeros(0, int),
}


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("devices", [1, 2, 3, 8])
def test_no_device_has_more_than_its_share_and_one_edge_or_one_row(name: str, devices: int) -> None:
    edges = SIZES[name](np.random.default_rng(0))
    device = deal_rows(edges, devices)
    load = np.bincount(device, weights=edges, minlength=devices)
    fair = edges.sum() / devices
    least = edges[edges > 0].min(initial=edges.max(initial=0))  # what could still be moved
    assert load.max() <= max(1.01 * fair, fair + least, edges.max(initial=0))
    if edges.max(initial=0) <= fair:
        assert np.ptp(np.bincount(device, minlength=devices)) <= 0.05 * len(edges) + 1


def test_rows_without_edges_level_the_numbers_of_rows() -> None:
    edges = np.r_[5, np.ones(5, int), np.zeros(30, int)]
    device = deal_rows(edges, 2)
    np.testing.assert_array_equal(np.bincount(device, weights=edges), [5, 5])
    np.testing.assert_array_equal(np.bincount(device), [18, 18])


def test_a_table_that_is_dealt_can_be_put_together_again() -> None:
    rng = np.random.default_rng(0)
    device = deal_rows(rng.integers(0, 9, 50), 3)
    deal = Deal.of(device, 3, 20)
    table = rng.random((50, 4))
    shares = np.concatenate([deal.rows_of(each, table) for each in range(3)])
    np.testing.assert_array_equal(shares[deal.place], table)
    assert not shares[deal.origin.ravel() < 0].any()
    for origin in deal.origin:  # in the data's order, so that a row's edges are added in theirs
        assert (np.diff(origin[origin >= 0]) > 0).all()
