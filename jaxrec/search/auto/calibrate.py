"""How long a plan will take here: a little of each kind of work, timed, times how much it is."""

import contextlib
import time
from collections import defaultdict

import numpy as np
from scipy import sparse

from jaxrec.config import RunConfig
from jaxrec.data.splits import Split
from jaxrec.models.ease import multiplications
from jaxrec.models.histories import Histories
from jaxrec.models.matrix import item_blocks, strongest, untracked, without_diagonal
from jaxrec.models.method import Fitting, Hooks, Show
from jaxrec.models.slim import regressions
from jaxrec.runs.methods import fitting_of
from jaxrec.search.auto.plan import Plan
from jaxrec.search.auto.searches import Cost, Size

SIDE = 1024  # of the matrices whose product is timed
ENTRIES, NEIGHBOURS = 2e6, 100  # at least so many of the items' products, and the best of each item
REGRESSIONS = 256  # timed
STEPS = 3  # timed of the network, after one that is compiled
TRIED = 0.7  # of the settings that may be tried, as many usually are
EPOCHS = 0.8  # and of the epochs
EPOCHS_IF_LONGER = 0.5  # and of those that the best settings may get
SUMS = 0.05  # a fit of filters, of one by products
OTHER = 1.3  # scoring, choosing, measuring, beside fitting


def expected_seconds(plan: Plan, config: RunConfig, split: Split, show: Show) -> float:
    """What the plan's fits, and the final ones, will take.

    Args:
      plan: what is tried.
      config: the network's first settings.
      split: one of the parts.
      show: shows how far a piece of work is.
    """
    size = Size.of(split.train)
    matrix = Histories.of_all(split.train, config.learnt_weights).matrix()
    fits: dict[Cost, float] = defaultdict(float)
    for search in plan.searches:
        chosen_by = search.parts if search.chooses or not plan.fresh else 0
        tried, again = max(1, round(TRIED * search.most)) * chosen_by, plan.fresh + 1.0
        if search.longer:
            times = search.longer["epochs"] / search.start["epochs"]
            again = (again + chosen_by) * times * EPOCHS_IF_LONGER / EPOCHS
        fits[search.cost] += tried + again
    seconds = 0.0
    if fits["inverse"]:
        each = multiplications(size.users, size.items, size.edges)
        seconds += fits["inverse"] * each / _multiplications_per_second()
    products = fits["products"] + fits["regressions"] + SUMS * fits["sums"]
    columns = matrix.T.tocsr()  # once for all blocks: of many edges it takes longer than one
    entries_per_second, near = _entries_per_second(matrix, columns)
    seconds += products * size.pairs / entries_per_second
    if fits["regressions"]:
        seconds += fits["regressions"] * size.items * _seconds_per_regression(columns, near)
    if fits["steps"]:
        fitting = fitting_of(config, split.train)
        steps = EPOCHS * fitting.epochs * fitting.steps_per_epoch
        seconds += fits["steps"] * steps * _seconds_per_step(fitting, show)
    return OTHER * seconds


def _multiplications_per_second() -> float:
    ones = np.ones((SIDE, SIDE), np.float32)
    ones @ ones
    begin = time.perf_counter()
    ones @ ones
    return SIDE**3 / (time.perf_counter() - begin)


def _entries_per_second(
    matrix: sparse.csr_array, columns: sparse.csr_array
) -> tuple[float, sparse.csr_array]:
    """Of the product of the items with each other, the choice of the best among them included.

    Returns:
      Entries per second, and the best of the items that it was measured with.
    """
    degrees = np.diff(matrix.indptr)
    rows = np.bincount(matrix.indices, np.repeat(degrees, degrees), matrix.shape[1])
    enough = int(np.searchsorted(np.cumsum(rows), ENTRIES)) + 1
    block = slice(0, min(enough, item_blocks(matrix)[0].stop))
    begin = time.perf_counter()
    best = strongest(without_diagonal((columns[block] @ matrix).tocsr(), 0), NEIGHBOURS)
    return float(rows[block].sum()) / (time.perf_counter() - begin), best


def _seconds_per_regression(columns: sparse.csr_array, near: sparse.csr_array) -> float:
    """Of SLIM, for an item with such neighbours.

    Args:
      columns: the matrix of interactions, by item.
      near: the first items' neighbours, of one at least.
    """
    timed = near[:REGRESSIONS]
    count = timed.shape[0]
    timed.resize(columns.shape[0], columns.shape[0])
    l2_of_each = np.ones(columns.shape[0], np.float32)
    begin = time.perf_counter()
    regressions(columns, timed, l2_of_each, untracked)
    return (time.perf_counter() - begin) / count


class _Enough(Exception):
    """Some steps have been timed."""


def _seconds_per_step(fitting: Fitting, show: Show) -> float:
    times: list[float] = []

    def on_pause(state: object, loss_sum: float) -> None:
        times.append(time.perf_counter())
        if len(times) > STEPS:
            raise _Enough

    # Within so short a time no dispatch is of more than a step.
    hooks = Hooks(show, longest_seconds=1e-9, pause_at=lambda step: True, on_pause=on_pause)
    begin = time.perf_counter()
    with contextlib.suppress(_Enough):
        fitting.advance(fitting.fresh(), 0, hooks)
    if len(times) < 2:
        return (time.perf_counter() - begin) / fitting.steps_per_epoch
    return (times[-1] - times[0]) / (len(times) - 1)
