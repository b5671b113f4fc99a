"""How long a plan will take is told by what a little of its work takes, and by nothing else."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from jaxrec.models.matrix import Track
from jaxrec.models.slim import regressions
from jaxrec.search.auto import calibrate


def test_turning_a_matrix_around_is_not_taken_for_the_work_on_one_of_its_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is done once for all blocks; of 29 million edges it takes ten times as long as a block."""
    clock = [0.0]

    class SlowlyTurned(sparse.csr_array):
        @property
        def T(self) -> Any:
            clock[0] += 1000
            return super().T

    def strongest(rows: sparse.csr_array, count: int) -> sparse.csr_array:
        clock[0] += 2
        return rows

    monkeypatch.setattr(calibrate, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    monkeypatch.setattr(calibrate, "strongest", strongest)
    table = np.asarray([[1, 1, 0], [1, 1, 1]], np.float32)
    entries = 2 * 2 + 3 * 3
    matrix, columns = SlowlyTurned(table), sparse.csr_array(table.T)
    per_second, near = calibrate._entries_per_second(matrix, columns)
    assert per_second == entries / 2 and clock[0] == 2
    np.testing.assert_array_equal(near.toarray(), [[0, 2, 1], [2, 0, 1], [1, 1, 0]])


@pytest.mark.parametrize("timed", [2, 256])
def test_slim_is_timed_by_an_item_of_those_that_were_solved_for(
    timed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]

    def solved(
        columns: sparse.csr_array, near: sparse.csr_array, l2: np.ndarray, track: Track
    ) -> sparse.csr_array:
        clock[0] += 3 * (np.diff(near.indptr) > 0).sum()
        return regressions(columns, near, l2, track)

    monkeypatch.setattr(calibrate, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    monkeypatch.setattr(calibrate, "regressions", solved)
    monkeypatch.setattr(calibrate, "REGRESSIONS", timed)
    columns = sparse.csr_array(np.ones((5, 4), np.float32))
    near = sparse.csr_array(1 - np.eye(3, 5, dtype=np.float32))
    assert calibrate._seconds_per_regression(columns, near) == 3
    assert clock[0] == 3 * min(timed, 3)
