"""How long a plan will take is told by what a little of its work takes, and by nothing else."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import sparse

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
    assert calibrate._entries_per_second(SlowlyTurned(table)) == entries / 2
    assert clock[0] == 1002
