"""A tree of arrays comes back from disk to the bit, however it was cut, whoever wrote the parts."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from jax.sharding import Mesh

from jaxrec.errors import RunError, UserError
from jaxrec.gcn.deal import Deal
from jaxrec.gcn.dealt_table import Awaited, Dealt
from jaxrec.gcn.shares import AXIS
from jaxrec.runs import arrays

TABLE = np.arange(60, dtype=np.float32).reshape(20, 3)
TABLE[3, 1], TABLE[4, 2] = -0.0, np.nan
TREE = {
    "table": TABLE,
    "step": np.full((), 7, np.int32),
    "empty": np.zeros((0, 4), np.float32),
    "nested": {"long": np.arange(11), "mask": np.array([True, False])},
}
LIKE = jax.tree.map(lambda each: jax.ShapeDtypeStruct(each.shape, each.dtype), TREE)
# On one device, in another order than the data's, and with a place that has no row.
MESH = Mesh(np.array(jax.devices()[:1]), (AXIS,))
DEAL = Deal(np.arange(20, dtype=np.int32)[::-1], np.r_[19:-1:-1, -1].astype(np.int32)[None])


def dealt(tree: dict[str, Any]) -> dict[str, Any]:
    table = jax.numpy.asarray(DEAL.rows_of(0, tree["table"]))
    return tree | {"table": Dealt(table, DEAL, MESH)}


def written(path: Path, tree: Any, part_bytes: int, processes: int = 1) -> list[str]:
    """Writes a tree as so many processes do, one after another; what its parts hold."""
    path.mkdir()
    found: dict[int, str] = {}
    for process in range(processes):
        parts = arrays.own_parts(tree, part_bytes, process=process, processes=processes)
        own = {number: arrays.write_part(path / str(number), part) for number, part in parts}
        assert not own.keys() & found.keys()
        found |= own
    assert found.keys() == set(range(len(found)))
    return [found[number] for number in range(len(found))]


@pytest.mark.parametrize(("part_bytes", "parts"), [(1, 34), (100, 4), (10**9, 1)])
def test_a_tree_comes_back_whatever_the_parts(part_bytes: int, parts: int, tmp_path: Path) -> None:
    digests = written(tmp_path / "state", TREE, part_bytes)
    assert len(list((tmp_path / "state").iterdir())) == len(digests) == parts
    found = arrays.read_arrays(tmp_path / "state", LIKE, digests, part_bytes)
    assert arrays.tree_digest(found) == arrays.tree_digest(TREE)


def test_whoever_writes_the_parts_and_reads_them_they_hold_the_same(tmp_path: Path) -> None:
    alone = written(tmp_path / "alone", TREE, 50)
    awaited = LIKE | {"table": Awaited(LIKE["table"], DEAL, MESH)}
    for processes in (1, 2, 3):
        path = tmp_path / str(processes)
        assert written(path, dealt(TREE), 50, processes) == alone
        whole = arrays.read_arrays(path, LIKE, alone, 50)
        assert arrays.tree_digest(whole) == arrays.tree_digest(TREE)
    found = arrays.read_arrays(tmp_path / "3", awaited, alone, 50)
    assert isinstance(found["table"], Dealt)
    assert arrays.tree_digest(found) == arrays.tree_digest(TREE)


def test_what_is_not_dealt_is_kept_as_process_0_has_it() -> None:
    assert not list(arrays.own_parts(TREE, 50, process=1, processes=2))


def test_parts_that_hold_nothing_for_a_process_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = written(tmp_path / "state", TABLE, 120)
    # Ten rows a device, of which the second one is another process's.
    deal = Deal.of(np.repeat(np.arange(2), 10), 2, 10)
    awaited = Awaited(LIKE["table"], deal, MESH)
    shutil.rmtree(tmp_path / "state" / "1")
    monkeypatch.setattr(awaited, "arrived", lambda: awaited._shares[0])
    found = arrays.read_arrays(tmp_path / "state", awaited, digests, 120)
    np.testing.assert_array_equal(found, TABLE[:10])


def take_anothers(part: Path) -> None:
    shutil.rmtree(part)
    shutil.copytree(part.parent.with_name("other") / part.name, part)


@pytest.mark.parametrize("damage", [shutil.rmtree, take_anothers])
def test_a_part_that_is_missing_or_of_another_save_is_never_taken(
    damage: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "state"
    digests = written(path, TREE, 100)
    other = jax.tree.map(lambda each: np.array(each == 0, each.dtype), TREE)
    written(tmp_path / "other", other, 100)
    shutil.copytree(path, tmp_path / "kept")
    for number in range(len(digests)):
        damage(path / str(number))
        with pytest.raises(UserError, match=f"state/{number}: "):
            arrays.read_arrays(path, LIKE, digests, 100)
        shutil.rmtree(path / str(number), ignore_errors=True)
        shutil.copytree(tmp_path / "kept" / str(number), path / str(number))
    found = arrays.read_arrays(path, LIKE, digests, 100)
    assert arrays.tree_digest(found) == arrays.tree_digest(TREE)


def test_what_is_read_back_differently_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    restore = ocp.Checkpointer.restore

    def altered(self: ocp.Checkpointer, *args: object, **kwargs: object) -> dict[str, np.ndarray]:
        found: dict[str, np.ndarray] = restore(self, *args, **kwargs)
        return {name: each + (each.ndim > 1) for name, each in found.items()}

    monkeypatch.setattr(ocp.Checkpointer, "restore", altered)
    with pytest.raises(RunError, match="read back, it was not what had been saved"):
        written(tmp_path / "state", TREE, 10**9)
