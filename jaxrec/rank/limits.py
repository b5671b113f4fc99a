"""Lists in which no group of items is found too often; exact, as all of ranking is."""

import dataclasses
from typing import Any

import numpy as np

from jaxrec.data.names import first_of_each
from jaxrec.models.histories import Histories
from jaxrec.models.model import Model
from jaxrec.rank.seen import Seen
from jaxrec.rank.top_k import MEMORY_BUDGET_MB, top_k

FIRST_LOOK = 4  # times as many items as are wanted are looked through first
_BYTES = 80  # of each item that a list is looked for in: 8 that is found, 71 by which it is kept


@dataclasses.dataclass(frozen=True, eq=False)
class PerGroup:
    """At most so many items of each group in a list.

    Attributes:
      group: [num_items] int32, -1 for an item of none, which isn't limited.
      most: how many, at least 1.
    """

    group: np.ndarray
    most: int

    def kept(self, items: np.ndarray) -> np.ndarray:
        """Which of ranked items stay, going down each list: [n, k] bool.

        Args:
          items: [n, k] int32, best first, -1 where there is none, which doesn't stay.
        """
        there = items >= 0
        return there & first_of_each(np.where(there, self.group[items], -1), self.most)

    def reachable(self, seen: Seen, candidates: np.ndarray | None) -> np.ndarray:
        """How many items each list has at most, however long it may be: [n] int64.

        Args:
          seen: items to leave out of each of the n lists, or all that may be in it.
          candidates: [num_items] bool, the items that may be listed; None allows all.
        """
        count, groups = len(seen.offsets) - 1, int(self.group.max(initial=-1)) + 1
        allowed = np.ones(len(self.group), bool) if candidates is None else candidates
        row = np.repeat(np.arange(count), np.diff(seen.offsets))[allowed[seen.items]]
        group = self.group[seen.items[allowed[seen.items]]]
        free = np.bincount(row[group < 0], minlength=count)  # of none, which isn't limited
        keys = row[group >= 0].astype(np.int64) * groups + group[group >= 0]
        keys, heard = np.unique(keys, return_counts=True)
        row, group = np.divmod(keys, max(groups, 1))
        if seen.only:
            return free + _added(np.minimum(heard, self.most), row, count)
        sizes = np.bincount(self.group[allowed & (self.group >= 0)], minlength=groups)
        most = np.minimum(sizes, self.most)
        lost = most[group] - np.minimum(sizes[group] - heard, self.most)
        every = (allowed & (self.group < 0)).sum() + most.sum()
        return np.asarray(every - free - _added(lost, row, count))


def _added(values: np.ndarray, row: np.ndarray, count: int) -> np.ndarray:
    """The sums of whole numbers by their rows: [count] int64."""
    return np.bincount(row, weights=values, minlength=count).astype(np.int64)


def top_within(
    model: Model,
    histories: Histories,
    *,
    k: int,
    limit: PerGroup | None,
    seen: Seen,
    candidates: np.ndarray | None = None,
    memory_budget_mb: int = MEMORY_BUDGET_MB,
) -> tuple[np.ndarray, np.ndarray]:
    """As `top_k`, the best k items that a limit allows: each list goes down the ranking.

    A list that isn't as full as it can be is looked for again among twice as many items.

    Args:
      model: what scores them.
      histories: [n], whose lists are wanted.
      k: length of a list.
      limit: how often a group may be there; None for no limit.
      seen: items to leave out of each of the n lists, or all that may be in it.
      candidates: [num_items] bool, the items that may be listed; None allows all.
      memory_budget_mb: MiB of working memory beside the model, and once more as much of what is
        looked through, one list's at least; the result doesn't depend on it.
    """
    options: dict[str, Any] = {"candidates": candidates, "memory_budget_mb": memory_budget_mb}
    if limit is None:
        return top_k(model, histories, k=k, seen=seen, **options)
    goal = np.minimum(limit.reachable(seen, candidates), k)
    items = np.full((len(histories), k), -1, np.int32)
    scores = np.full((len(histories), k), -np.inf, np.float32)
    rows, width = np.arange(len(histories)), min(FIRST_LOOK * k, model.num_items)
    while len(rows):
        left, at_once = [], max(1, memory_budget_mb * 2**20 // (_BYTES * width))
        for start in range(0, len(rows), at_once):
            some = rows[start : start + at_once]
            found, own = top_k(
                model, histories.take(some), k=width, seen=seen.take(some), **options
            )
            kept = limit.kept(found)
            full = (kept.sum(axis=1) >= goal[some]) | (found[:, -1] < 0)
            full |= width == model.num_items
            place = np.cumsum(kept, axis=1) - 1
            row, column = np.nonzero(kept & (place < k) & full[:, None])
            to = some[row], place[row, column]
            items[to], scores[to] = found[row, column], own[row, column]
            left.append(some[~full])
        rows, width = np.concatenate(left), min(2 * width, model.num_items)
    return items, scores
