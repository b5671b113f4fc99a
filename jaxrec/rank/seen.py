"""What users know already: left out of their lists, or all that is in them."""

import dataclasses

import numpy as np

from jaxrec.data.interactions import Interactions
from jaxrec.models.histories import Histories


@dataclasses.dataclass(frozen=True, eq=False)
class Seen:
    """The items to leave out of each list, or the only ones to be in it, in compressed rows.

    Attributes:
      offsets: [n + 1] int64: the r-th list leaves out `items[offsets[r]:offsets[r + 1]]`.
      items: [num_entries] int32, increasing within a list.
      only: whether these are the only ones that the list may have.
    """

    offsets: np.ndarray
    items: np.ndarray
    only: bool = False

    @classmethod
    def of_users(
        cls, interactions: Interactions, users: np.ndarray, *, only: bool = False
    ) -> "Seen":
        """What each of some users has an interaction with."""
        rows = Histories.of_all(interactions, "binary").take(users)
        return cls(rows.offsets, rows.items, only)

    def take(self, rows: np.ndarray) -> "Seen":
        """Some of the lists' rows, by their places."""
        lengths = np.diff(self.offsets)[rows]
        offsets = np.r_[0, np.cumsum(lengths)].astype(np.int64)
        places = np.repeat(self.offsets[:-1][rows] - offsets[:-1], lengths)
        return Seen(offsets, self.items[places + np.arange(offsets[-1])], self.only)
