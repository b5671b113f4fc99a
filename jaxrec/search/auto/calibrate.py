"""How long a plan will take here: a little of each kind of work, timed, times how much it is."""

import contextlib
import itertools
import time
from collections import defaultdict

import numpy as np
from scipy import sparse

from jaxrec.config import RunConfig
from jaxrec.data.splits import Split
from jaxrec.models import slim
from jaxrec.models.ease import multiplications
from jaxrec.models.histories import Histories
from jaxrec.models.matrix import (
    entries_of_products,
    in_threads,
    squared_lengths,
    strongest,
    threads,
    untracked,
)
from jaxrec.models.method import Fitting, Hooks, Show
from jaxrec.runs.methods import fitting_of
from jaxrec.search.auto.plan import Plan
from jaxrec.search.auto.searches import Cost, Size

SIDE = 1024  # of the matrices whose product is timed
ENTRIES = 2e6  # at least so many of the items' products
NEIGHBOURS = 100  # of an item
# Items that are solved for from their neighbours, which are found among so many entries at most.
FEWEST, REGRESSIONS, MOST_ENTRIES = 16, 256, 2e7
STEPS = 3  # timed of the network, after one that is compiled
SHORT_EPOCH = 1.0  # seconds; of a shorter one all steps are timed
TRIED = 0.7  # of the settings that may be tried, as many usually are
EPOCHS = 0.6  # and of the epochs
SLOW_FITS, SLOWEST_CHOSEN = 2, 0.75  # with the slowest settings; and how often they are chosen
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
        slow = (search.slowest - 1) * (SLOW_FITS * chosen_by + SLOWEST_CHOSEN * again)
        if search.longer:
            times = search.longer["epochs"] / search.start["epochs"]
            again = (again + chosen_by) * times * EPOCHS_IF_LONGER / EPOCHS
        fits[search.cost] += tried + again + slow
    seconds = 0.0
    if fits["inverse"]:
        each = multiplications(size.users, size.items, size.edges)
        seconds += fits["inverse"] * each / _multiplications_per_second()
    columns = matrix.T.tocsr()  # once for all blocks: of many edges it takes longer than one
    entries = (fits["products"] + SUMS * fits["sums"]) * size.pairs
    if fits["regressions"]:
        products = 2 if columns.shape[0] <= slim.WHOLE else 1  # to find the nearest is one
        entries += fits["regressions"] * products * size.pairs
        seconds += fits["regressions"] * size.items * _seconds_per_regression(matrix, columns)
    seconds += entries / _entries_per_second(matrix, columns)
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


def _entries_per_second(matrix: sparse.csr_array, columns: sparse.csr_array) -> float:
    """Of the product of the items with each other, the choice of the best among them included."""
    entries = np.cumsum(entries_of_products(matrix))
    enough = min(len(entries), int(np.searchsorted(entries, ENTRIES)) + 1)
    shares = np.linspace(0, entries[enough - 1], threads() + 1)[1:-1]
    cuts = [0, *np.searchsorted(entries[:enough], shares), enough]
    begin = time.perf_counter()
    in_threads(
        lambda cut: strongest((columns[slice(*cut)] @ matrix).tocsr(), NEIGHBOURS),
        list(itertools.pairwise(cuts)),
    )
    return float(entries[enough - 1]) / (time.perf_counter() - begin)


def _seconds_per_regression(matrix: sparse.csr_array, columns: sparse.csr_array) -> float:
    """Of SLIM, for an item: the mean over some of all kinds."""
    known = np.flatnonzero(np.diff(columns.indptr))
    each = np.square(np.diff(matrix.indptr), dtype=np.int64).sum() / len(known)  # of its products
    count = min(len(known), max(FEWEST, min(REGRESSIONS, int(MOST_ENTRIES / each))))
    items = known[np.linspace(0, len(known) - 1, count).astype(int)]
    lengths = np.sqrt(squared_lengths(matrix))
    alike = (columns[items] @ matrix).tocsr()
    alike.data /= lengths[alike.indices].astype(np.float32)
    best = strongest(alike, NEIGHBOURS)
    counts = np.zeros(columns.shape[0], int)
    counts[items] = np.diff(best.indptr)
    near = sparse.csr_array(
        (best.data, best.indices, np.r_[0, counts.cumsum()]), shape=(len(counts), len(counts))
    )
    products = slim.products(matrix, untracked) if len(counts) > slim.WHOLE else _nothing_alike
    begin = time.perf_counter()
    slim.regressions(products, near, np.ones(len(counts), np.float32), untracked)
    return (time.perf_counter() - begin) / len(items)


def _nothing_alike(items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """In place of the products of all items, which are made once."""
    chosen, places = np.unique(items, return_inverse=True)
    return np.eye(len(chosen)), places.reshape(items.shape)


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
    seconds = (times[-1] - times[0]) / (len(times) - 1)
    if seconds * fitting.steps_per_epoch > SHORT_EPOCH:
        return seconds
    # Short steps are dispatched several at once, and one alone takes longer.
    state, _ = fitting.advance(fitting.fresh(), 0, Hooks(show))
    begin = time.perf_counter()
    fitting.advance(state, 1, Hooks(show))
    return (time.perf_counter() - begin) / fitting.steps_per_epoch
