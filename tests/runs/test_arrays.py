"""A tree of arrays comes back from disk to the bit, however it was cut into parts."""

from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from jaxrec.errors import RunError
from jaxrec.runs import arrays

TREE = {
    "table": np.arange(60, dtype=np.float32).reshape(20, 3),
    "step": np.full((), 7, np.int32),
    "empty": np.zeros((0, 4), np.float32),
    "nested": {"long": np.arange(11), "mask": np.array([True, False])},
}


@pytest.mark.parametrize(("part_bytes", "parts"), [(1, 34), (100, 4), (10**9, 1)])
def test_a_tree_comes_back_whatever_the_parts(
    part_bytes: int, parts: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays, "PART_BYTES", part_bytes)
    arrays.write_arrays(tmp_path / "state", TREE)
    assert len(list((tmp_path / "state").iterdir())) == parts
    like = jax.tree.map(lambda each: jax.ShapeDtypeStruct(each.shape, each.dtype), TREE)
    found = arrays.read_arrays(tmp_path / "state", like)
    jax.tree.map(np.testing.assert_array_equal, found, TREE)
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
        arrays.write_arrays(tmp_path / "state", TREE)
