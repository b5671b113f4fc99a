"""How long a plan will take is told by what a little of its work takes, and by nothing else."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from jaxrec.config import RunConfig
from jaxrec.models import slim
from jaxrec.models.matrix import Track
from jaxrec.models.method import unseen
from jaxrec.report.console import Console
from jaxrec.search.auto import calibrate, chosen
from jaxrec.search.auto.plan import Plan
from jaxrec.search.auto.searches import Search
from tests.models.problems import as_interactions, random_plays


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
    monkeypatch.setattr(calibrate, "threads", lambda: 1)
    table = np.asarray([[1, 1, 0], [1, 1, 1]], np.float32)
    entries = 2 * 2 + 3 * 3
    matrix, columns = SlowlyTurned(table), sparse.csr_array(table.T)
    assert calibrate._entries_per_second(matrix, columns) == entries / 2
    assert clock[0] == 2


@pytest.mark.parametrize("whole", [0, 8192])
@pytest.mark.parametrize("timed", [2, 256])
def test_slim_is_timed_by_items_of_all_kinds_with_the_nearest_by_cosine(
    timed: int, whole: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Items that nobody has, the first ones here, are not among them."""
    clock, seen = [0.0], []

    def solved(
        products: slim.Products, near: sparse.csr_array, l2: np.ndarray, track: Track
    ) -> sparse.csr_array:
        seen.append(near.copy())
        clock[0] += 3 * (np.diff(near.indptr) > 0).sum()
        return regressions(products, near, l2, track)

    regressions = slim.regressions
    monkeypatch.setattr(calibrate, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    monkeypatch.setattr(slim, "regressions", solved)
    monkeypatch.setattr(slim, "WHOLE", whole)
    monkeypatch.setattr(calibrate, "REGRESSIONS", timed)
    monkeypatch.setattr(calibrate, "FEWEST", 1)
    monkeypatch.setattr(calibrate, "NEIGHBOURS", 2)
    # Item 3 has a listener in common with item 2, two with item 4, which everybody has.
    table = np.zeros((9, 5), np.float32)
    table[:2, 3], table[1:3, 2], table[:, 4] = 1, 1, 1
    matrix = sparse.csr_array(table)
    assert calibrate._seconds_per_regression(matrix, matrix.T.tocsr()) == 3
    (near,) = seen
    assert clock[0] == 3 * min(timed, 3)
    assert list(np.flatnonzero(np.diff(near.indptr))) == ([2, 4] if timed == 2 else [2, 3, 4])
    assert set(near[[2]].indices) == {2, 3}  # by numbers of listeners it would be 2 and 4


def test_longer_vectors_that_may_be_chosen_are_told_to_take_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(calibrate, "_seconds_per_step", lambda *_: 2.0)
    monkeypatch.setattr(
        calibrate, "fitting_of", lambda *_: SimpleNamespace(epochs=10, steps_per_epoch=3)
    )
    split: Any = SimpleNamespace(train=as_interactions(random_plays(0, users=9, items=7)))

    def told(**of_search: Any) -> float:
        search = Search("gcn", {"epochs": 10}, [], 10, "steps", **of_search)
        planned = Plan(fresh=0, searches=(search,), walks=False)
        return calibrate.expected_seconds(planned, RunConfig(), split, unseen)

    a_fit = calibrate.OTHER * calibrate.EPOCHS * 10 * 3 * 2.0
    assert told() == pytest.approx(8 * a_fit, abs=0.1)  # of ten settings seven, and one anew
    # Two that take four times as long, and the one anew in three of four cases.
    assert told(slowest=4.0) == pytest.approx((8 + 3 * 2.75) * a_fit, abs=0.1)


@pytest.mark.parametrize("fixed", [{"epochs"}, {"model.dim"}, set()])
def test_what_is_fixed_takes_no_time_to_search_for(
    fixed: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Search] = []

    def expected(plan: Plan, *_: Any) -> float:
        told.extend(plan.searches)
        return 60.0

    monkeypatch.setattr(chosen, "expected_seconds", expected)
    monkeypatch.setattr(chosen, "SMALL", 0)
    start, dear = {"epochs": 10, "model.dim": 64}, {"model.dim": {256: 1.01}}
    search = Search("gcn", start, [], 9, "steps", {"epochs": 30}, dear=dear, slowest=4.0)
    part: Any = SimpleNamespace(split=SimpleNamespace(train=[0]))
    planned = Plan(fresh=0, searches=(search,), walks=False)
    chosen._expected(planned, RunConfig(), frozenset(fixed), part, Console(quiet=True))
    (asked,) = told
    assert bool(asked.longer) == ("epochs" not in fixed)
    assert asked.slowest == (1.0 if "model.dim" in fixed else 4.0)
