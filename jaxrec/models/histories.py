"""Histories: what a model scores. Who listened to what, and how much, a row per user."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy import sparse

from jaxrec.data.interactions import Interactions
from jaxrec.data.options import Weight
from jaxrec.data.weighting import Weighting, edge_weight, weigh

BINARY = Weighting()
UNKNOWN = -1  # the user of a history whom the model was not fitted to


@dataclasses.dataclass(frozen=True, eq=False)
class Histories:
    """Rows of items with weights, in compressed form.

    Attributes:
      offsets: [n + 1] int64: history r has the entries `offsets[r]:offsets[r + 1]`.
      items: [num_entries] int32, increasing within a history.
      weights: [num_entries] float32, above 0.
      users: [n] int32, each history's user as the model knows it, or UNKNOWN.
      num_items: how many items there are.
      learnt: [num_entries] float32, the weights by which a model has learnt its users, where it is
        to rank by others; None where they are the same.
    """

    offsets: np.ndarray
    items: np.ndarray
    weights: np.ndarray
    users: np.ndarray
    num_items: int
    learnt: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.users)

    @classmethod
    def of_all(
        cls,
        train: Interactions,
        weight: Weighting | Weight,
        *,
        learnt: Weighting | None = None,
    ) -> "Histories":
        """Every user's history, in the order of the users.

        Args:
          train: the interactions.
          weight: an entry's weight, as of `weigh`; of plays alone, as of `edge_weight`.
          learnt: what the model has learnt by, None for the same. Where it is another, each
            history's weights add up to what was learnt: that sum is shared out anew, so that who
            has been away for long counts no less beside what a model knows of everyone.

        Raises:
          UserError: ages count and the history has no times.
        """
        weighting = weight if isinstance(weight, Weighting) else Weighting(weight)
        found = cls(
            offsets=train.user_offsets(),
            items=train.item,
            weights=weigh(train, weighting),
            users=np.arange(train.num_users, dtype=np.int32),
            num_items=train.num_items,
            learnt=None if learnt is None or learnt == weighting else weigh(train, learnt),
        )
        return found.shared_out()

    @classmethod
    def of_items(
        cls,
        rows: Sequence[np.ndarray],
        num_items: int,
        weight: Weighting = BINARY,
        *,
        learnt: Weighting | None = None,
    ) -> "Histories":
        """Histories of unknown users, each entry heard once, just now.

        Args:
          rows: the items of each; one that is named twice counts once.
          num_items: how many there are.
          weight: how an entry is weighed.
          learnt: as of `of_all`.
        """
        distinct = [np.unique(row).astype(np.int32) for row in rows]
        lengths = np.array([len(row) for row in distinct], np.int64)
        items = np.concatenate(distinct) if distinct else np.zeros(0, np.int32)
        once = np.ones(len(items))
        found = cls(
            offsets=np.r_[0, np.cumsum(lengths)].astype(np.int64),
            items=items,
            weights=edge_weight(once, weight.plays),
            users=np.full(len(distinct), UNKNOWN, np.int32),
            num_items=num_items,
            learnt=None if learnt is None or learnt == weight else edge_weight(once, learnt.plays),
        )
        return found.shared_out()

    def take(self, rows: np.ndarray) -> "Histories":
        """Some histories, by their places: any order, repeats allowed."""
        lengths = np.diff(self.offsets)[rows]
        offsets = np.r_[0, np.cumsum(lengths)].astype(np.int64)
        entries = np.repeat(self.offsets[:-1][rows] - offsets[:-1], lengths)
        entries += np.arange(offsets[-1])
        return dataclasses.replace(
            self,
            offsets=offsets,
            items=self.items[entries],
            weights=self.weights[entries],
            users=self.users[rows],
            learnt=None if self.learnt is None else self.learnt[entries],
        )

    def of_strangers(self) -> "Histories":
        """The same histories, of users whom the model doesn't know."""
        return dataclasses.replace(self, users=np.full(len(self), UNKNOWN, np.int32))

    def as_learnt(self) -> "Histories":
        """The same histories with the weights that the model has learnt by."""
        if self.learnt is None:
            return self
        return dataclasses.replace(self, weights=self.learnt, learnt=None)

    def entry_rows(self) -> np.ndarray:
        """[num_entries] int32, the history that each entry belongs to."""
        return np.repeat(np.arange(len(self), dtype=np.int32), np.diff(self.offsets))

    def entry_by_entry(self) -> "Histories":
        """A history for each entry, with this one entry; of unknown users."""
        return dataclasses.replace(
            self,
            offsets=np.arange(len(self.items) + 1, dtype=np.int64),
            users=np.full(len(self.items), UNKNOWN, np.int32),
        )

    def matrix(self) -> sparse.csr_array:
        """The histories as a sparse matrix [n, num_items] float32."""
        return sparse.csr_array(
            (self.weights, self.items, self.offsets), shape=(len(self), self.num_items)
        )

    def shared_out(self) -> "Histories":
        """The same histories, each with weights that add up to what was learnt."""
        if self.learnt is None or len(self.items) == 0:
            return self
        row, count = self.entry_rows(), len(self)
        sums = [
            np.bincount(row, each.astype(np.float64), count) for each in (self.weights, self.learnt)
        ]
        scale = sums[1] / np.where(sums[0] > 0, sums[0], 1.0)
        return dataclasses.replace(self, weights=np.asarray(self.weights * scale[row], np.float32))
