"""Lists in which no group of items is found too often; exact, as all of ranking is."""

import dataclasses
from typing import Any

import numpy as np

from jaxrec.data.names import first_of_each
from jaxrec.models.histories import Histories
from jaxrec.models.model import Model
from jaxrec.rank.top_k import Seen, top_k

FIRST_LOOK = 4  # times as many items as are wanted are looked through first


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


def top_within(
    model: Model,
    histories: Histories,
    *,
    k: int,
    limit: PerGroup | None,
    seen: Seen,
    **options: Any,
) -> tuple[np.ndarray, np.ndarray]:
    """As `top_k`, the best k items that a limit allows: each list goes down the ranking.

    A list that isn't full is looked for again among twice as many items.

    Args:
      model: what scores them.
      histories: [n], whose lists are wanted.
      k: length of a list.
      limit: how often a group may be there; None for no limit.
      seen: items to leave out of each of the n lists, or all that may be in it.
      **options: the rest of `top_k`'s.
    """
    if limit is None:
        return top_k(model, histories, k=k, seen=seen, **options)
    items = np.full((len(histories), k), -1, np.int32)
    scores = np.full((len(histories), k), -np.inf, np.float32)
    rows, width = np.arange(len(histories)), min(FIRST_LOOK * k, model.num_items)
    while len(rows):
        found, own = top_k(model, histories.take(rows), k=width, seen=seen.take(rows), **options)
        kept = limit.kept(found)
        full = (kept.sum(axis=1) >= k) | (found[:, -1] < 0) | (width == model.num_items)
        place = np.cumsum(kept, axis=1) - 1
        row, column = np.nonzero(kept & (place < k) & full[:, None])
        to = rows[row], place[row, column]
        items[to], scores[to] = found[row, column], own[row, column]
        rows, width = rows[~full], min(2 * width, model.num_items)
    return items, scores
