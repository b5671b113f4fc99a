"""Histories ranked a chunk at a time: columns, what is hidden in them, and what comes back."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple, Self

import jax
import numpy as np

from jaxrec.errors import RunError
from jaxrec.rank.best_columns import HIDDEN_PER_STEP, ITEMS_PER_BLOCK, USERS_PER_BLOCK
from jaxrec.rank.best_of_few import ADVICE
from jaxrec.rank.seen import Seen


@dataclasses.dataclass(frozen=True, eq=False)
class Columns:
    """The columns that items are scored in.

    Attributes:
      items: [num_scored] int32, which are scored, by column.
      of_item: [num_items] int32, each item's column; -1 for none.
      listed: [width] bool, which columns may be listed; the width is whole blocks.
    """

    items: np.ndarray
    of_item: np.ndarray
    listed: np.ndarray

    @classmethod
    def of(cls, candidates: np.ndarray, items: np.ndarray) -> Self:
        """Of the items that are scored, those that are candidates may be listed."""
        of_item = np.full(len(candidates), -1, np.int32)
        of_item[items] = np.arange(len(items), dtype=np.int32)
        listed = np.zeros(-(-len(items) // ITEMS_PER_BLOCK) * ITEMS_PER_BLOCK, bool)
        listed[: len(items)] = candidates[items]
        return cls(items, of_item, listed)

    def table(self, vectors: np.ndarray) -> np.ndarray:
        """The items' vectors by column: [width, dim] float32."""
        table = np.zeros((len(self.listed), vectors.shape[1]), np.float32)
        table[: len(self.items)] = vectors[self.items]
        return table


class Found(NamedTuple):
    """A chunk's best columns, on its way from the device."""

    rows: np.ndarray  # the histories' places, without those that fill the chunk up
    finite: jax.Array
    columns: jax.Array
    scores: jax.Array


@dataclasses.dataclass(frozen=True, eq=False)
class Lists:
    """The lists found so far.

    Attributes:
      items: [n, k] int32, -1 where there is none.
      scores: [n, k] float32, -inf where there is none.
      rows: what they are made of, for errors.
      on_histories: told how many lists were found.
    """

    items: np.ndarray
    scores: np.ndarray
    rows: str
    on_histories: Callable[[int], None]

    @classmethod
    def of(cls, count: int, k: int, rows: str, on_histories: Callable[[int], None]) -> Self:
        """Empty ones."""
        items, scores = np.full((count, k), -1, np.int32), np.full((count, k), -np.inf, np.float32)
        return cls(items, scores, rows, on_histories)

    def keep(self, found: Found, columns: Columns) -> None:
        """Fetches a chunk's lists.

        Raises:
          RunError: a vector or a score isn't finite.
        """
        if not found.finite:
            raise RunError(f"{self.rows} hold a NaN or an infinity; {ADVICE}")
        size, longest = len(found.rows), min(self.items.shape[1], len(columns.listed))
        scores = np.asarray(found.scores).reshape(-1, longest)[:size]
        if np.isposinf(scores).any() or np.isnan(scores).any():
            raise RunError(f"the scores hold a NaN or an infinity; {ADVICE}")
        place = np.asarray(found.columns).reshape(-1, longest)[:size]
        left = scores > -np.inf
        self.scores[found.rows, :longest] = scores
        self.items[found.rows, :longest] = np.where(
            left, columns.items[np.where(left, place, 0)], -1
        )
        self.on_histories(size)


@dataclasses.dataclass(frozen=True, eq=False)
class Hidden:
    """Where the seen items lie in the score matrices of a chunk's blocks.

    Attributes:
      seen: the items.
      columns: that they are scored in.
      share: users that one device ranks of a chunk.
      size: of a share's positions, at least as many as any has.
    """

    seen: Seen
    columns: Columns
    share: int
    size: int

    @classmethod
    def of(cls, seen: Seen, columns: Columns, share: int) -> Self:
        """One size for every share, and seldom another one in the next call: few compilations."""
        counts = np.diff(seen.offsets)
        most = int(np.add.reduceat(counts, np.arange(0, len(counts), share)).max())
        return cls(seen, columns, share, (1 << most.bit_length()) + HIDDEN_PER_STEP)

    def positions(self, users: np.ndarray, chunk: int) -> tuple[np.ndarray, np.ndarray]:
        """Of a chunk's users, share by share.

        Returns:
          positions [shares * size] int32, `row * width + column`, one past the matrix where nothing
          is to be hidden; and offsets of each block's, [share / USERS_PER_BLOCK + 1] int32 for
          each share.
        """
        shares = [self._of_share(users[at : at + self.share]) for at in range(0, chunk, self.share)]
        positions, offsets = (np.concatenate(each) for each in zip(*shares, strict=True))
        return positions, offsets

    def _of_share(self, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        seen, width = self.seen, len(self.columns.listed)
        counts = np.zeros(self.share, np.int64)
        counts[: len(users)] = seen.offsets[users + 1] - seen.offsets[users]
        ends = np.concatenate([[0], np.cumsum(counts)])
        total = ends[-1]
        source = np.repeat(seen.offsets[users] - ends[: len(users)], counts[: len(users)])
        column = self.columns.of_item[seen.items[source + np.arange(total)]]
        row = np.repeat(np.arange(self.share) % USERS_PER_BLOCK, counts)
        outside = USERS_PER_BLOCK * width
        positions = np.full(self.size, outside, np.int32)
        positions[:total] = np.where(column >= 0, row * width + column, outside)
        return positions, ends[::USERS_PER_BLOCK].astype(np.int32)
