"""A table that is dealt is read, and comes to the devices, some rows at a time and bit for bit."""

import jax
import numpy as np
import pytest
from jax.sharding import Mesh

from jaxrec.gcn import dealt_table
from jaxrec.gcn.deal import Deal
from jaxrec.gcn.dealt_table import Awaited, Dealt
from jaxrec.gcn.shares import AXIS

MESH = Mesh(np.array(jax.devices()[:1]), (AXIS,))
# On one device, in another order than the data's, and with places that have no row; several devices
# are in tests/train/eight_devices.py.
DEAL = Deal(np.array([4, 1, 6, 0, 3], np.int32), np.array([[3, 1, -1, 4, 0, -1, 2]], np.int32))
TABLE = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
TABLE[1, 2], TABLE[2, 0], TABLE[4, 1] = -0.0, np.nan, -np.inf


@pytest.fixture(params=[1, 30, 10**6])
def piece_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(dealt_table, "PIECE_BYTES", request.param)
    size: int = request.param
    return size


@pytest.mark.usefixtures("piece_bytes")
@pytest.mark.parametrize("is_here", [True, False])
@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_rows_come_in_the_datas_order_whatever_the_pieces(
    kind: type, is_here: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Dealt, "is_here", is_here)
    table = TABLE.view(np.int32).astype(kind) if kind is np.int32 else TABLE
    there = Dealt(jax.numpy.asarray(DEAL.rows_of(0, table)), DEAL, MESH)
    assert (there.shape, there.dtype) == (table.shape, table.dtype)
    for start, stop in [(0, 5), (1, 4), (2, 2), (4, 5)]:
        assert there.rows(start, stop).tobytes() == table[start:stop].tobytes()
        assert there.rows(start, stop, wanted=False).shape == (0, 3)
    assert np.asarray(there).tobytes() == table.tobytes()


def test_rows_that_are_put_are_those_that_are_read() -> None:
    awaited = Awaited(jax.ShapeDtypeStruct(TABLE.shape, TABLE.dtype), DEAL, MESH)
    for start, stop in [(3, 5), (0, 3)]:
        assert awaited.wants(start, stop)
        awaited.put(start, TABLE[start:stop])
    arrived = awaited.arrived()
    assert np.asarray(arrived).tobytes() == TABLE.tobytes()
    assert not np.asarray(arrived.table)[DEAL.origin[0] < 0].any()


def test_who_has_none_of_some_rows_does_not_want_them() -> None:
    """The second device is another process's."""
    deal = Deal.of(np.array([0, 0, 1, 1, 0], np.int32), 2, 3)
    awaited = Awaited(jax.ShapeDtypeStruct(TABLE.shape, TABLE.dtype), deal, MESH)
    assert [awaited.wants(row, row + 1) for row in range(5)] == [True, True, False, False, True]


@pytest.mark.parametrize(("bad", "finite"), [(0.0, True), (np.nan, False), (-np.inf, False)])
def test_a_number_that_is_not_finite_is_seen(bad: float, finite: bool) -> None:
    table = np.zeros((5, 3), np.float32)
    table[2, 1] = bad
    there = Dealt(jax.numpy.asarray(DEAL.rows_of(0, table)), DEAL, MESH)
    assert there.is_finite() is finite
