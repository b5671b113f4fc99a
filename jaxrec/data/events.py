"""The single listens behind each pair of user and item: when they were, and how many plays."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Events:
    """Every pair's listens in compressed rows, the earliest first.

    Attributes:
      offsets: [pairs + 1] int64: pair p has the listens `offsets[p]:offsets[p + 1]`, at least one.
      timestamp: [listens] int64, seconds since 1970-01-01 UTC.
      plays: [listens] float64, how many plays each stands for, > 0.
      adds_up: whether the plays of a pair add up; ratings don't, of which the largest counts.
      until: the moment up to which these are all that there are, from which ages count: seconds
        since 1970. None: they are all of the history, whose last listen is taken instead.
    """

    offsets: np.ndarray
    timestamp: np.ndarray
    plays: np.ndarray
    adds_up: bool = True
    until: int | None = None

    def __len__(self) -> int:
        return len(self.timestamp)

    @property
    def moment(self) -> int:
        """From where ages count; 0 where there are no listens."""
        if self.until is not None:
            return self.until
        return int(self.timestamp.max()) if len(self) else 0

    def pairs(self) -> np.ndarray:
        """[listens] int64, the pair that each listen is of."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def first(self) -> np.ndarray:
        """[pairs] int64, when each pair's first listen was."""
        return self.timestamp[self.offsets[:-1]]

    def last(self) -> np.ndarray:
        """[pairs] int64, when each pair's last listen was."""
        return self.timestamp[self.offsets[1:] - 1]

    def total(self, values: np.ndarray) -> np.ndarray:
        """[pairs] float64, values of the listens added up by pair, or the largest of them."""
        add = np.add if self.adds_up else np.maximum
        return add.reduceat(values, self.offsets[:-1]) if len(self) else values

    def select(self, pairs: np.ndarray) -> "Events":
        """The listens of some pairs, chosen by a mask or by indices."""
        chosen = np.flatnonzero(pairs) if pairs.dtype == bool else pairs
        lengths = np.diff(self.offsets)[chosen]
        offsets = np.r_[0, np.cumsum(lengths)].astype(np.int64)
        rows = np.repeat(self.offsets[:-1][chosen] - offsets[:-1], lengths) + np.arange(offsets[-1])
        return dataclasses.replace(
            self, offsets=offsets, timestamp=self.timestamp[rows], plays=self.plays[rows]
        )

    def between(self, start: int, stop: int) -> "Events":
        """The listens of the pairs from one number up to another, without copying them."""
        offsets = np.asarray(self.offsets[start : stop + 1])
        rows = slice(int(offsets[0]), int(offsets[-1]))
        return dataclasses.replace(
            self,
            offsets=offsets - offsets[0],
            timestamp=self.timestamp[rows],
            plays=self.plays[rows],
        )

    def where(self, keep: np.ndarray) -> tuple[np.ndarray, "Events"]:
        """Some of the listens.

        Args:
          keep: [listens] bool.

        Returns:
          [pairs] bool, which pairs still have any, and the listens of these.
        """
        counts = np.bincount(self.pairs()[keep], minlength=len(self.offsets) - 1)
        kept = counts > 0
        return kept, dataclasses.replace(
            self,
            offsets=np.r_[0, np.cumsum(counts[kept])].astype(np.int64),
            timestamp=self.timestamp[keep],
            plays=self.plays[keep],
        )
