"""Listens, and the interactions they add up to.

A `Listens` has a row per event in the history; `aggregate` turns it into `Interactions`, a row
per (user, item) pair, which is what splits, graph and metrics work on.
"""

import dataclasses
import hashlib
import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jaxrec.data.events import Events
from jaxrec.data.ids import IdMap
from jaxrec.errors import UserError

_NOTHING = pa.scalar("", pa.large_string())  # between texts that are joined
_PAIRS_AT_ONCE = 1 << 20  # where parts are gone through in blocks; bounds the memory


@dataclasses.dataclass(frozen=True, eq=False)
class Listens:
    """A listening history, a row per event, in no particular order.

    Attributes:
      user: [n] int32, index into `users`.
      item: [n] int32, index into `items`.
      plays: [n] float64, how many plays the event stands for, > 0.
      timestamp: [n] int64, seconds since 1970-01-01 UTC, or None where the history has no times.
      users: the users' ids.
      items: the items' ids.
      known: pairs that a filter has left out of the history though their users know the items
        (skipped, rated low, disliked, or heard before the time window), each once, with the first
        time; None where there are none. Its ids are those of the history.
      against: a row for each time that a user skipped or disliked an item, likewise; its pairs are
        known, too.
      adds_up: whether rows of a pair add up; ratings don't.
    """

    user: np.ndarray
    item: np.ndarray
    plays: np.ndarray
    timestamp: np.ndarray | None
    users: IdMap
    items: IdMap
    known: "Listens | None" = None
    against: "Listens | None" = None
    adds_up: bool = True

    def __len__(self) -> int:
        return len(self.user)

    def __repr__(self) -> str:
        return (
            f"<Listens: {len(self):,} rows, {len(self.users):,} users, {len(self.items):,} items>"
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Interactions:
    """Who listened to what: one row per (user, item) pair, sorted by user, then item.

    Attributes:
      user: [n] int32, index into `users`.
      item: [n] int32, index into `items`.
      plays: [n] float64, the pair's number of plays.
      timestamp: [n] int64, seconds since 1970-01-01 UTC of the pair's first listen, or None.
      users: the users' ids; some may have no interaction here.
      items: the items' ids; some may have no interaction here.
      known: pairs that the users know besides, which are masked in every list; only of a split's
        train part, and None where there are none.
      events: the pairs' single listens, or None where the history has no times.
    """

    user: np.ndarray
    item: np.ndarray
    plays: np.ndarray
    timestamp: np.ndarray | None
    users: IdMap
    items: IdMap
    known: "Interactions | None" = None
    events: Events | None = None

    def __len__(self) -> int:
        return len(self.user)

    def __repr__(self) -> str:
        return (
            f"<Interactions: {len(self):,} pairs, {self.num_users:,} users, "
            f"{self.num_items:,} items>"
        )

    @property
    def num_users(self) -> int:
        """How many ids `users` holds, with or without interactions."""
        return len(self.users)

    @property
    def num_items(self) -> int:
        """How many ids `items` holds, with or without interactions."""
        return len(self.items)

    def select(self, keep: np.ndarray) -> "Interactions":
        """The rows chosen by a mask or by increasing indices; the ids stay as they are."""
        return dataclasses.replace(
            self,
            user=self.user[keep],
            item=self.item[keep],
            plays=self.plays[keep],
            timestamp=None if self.timestamp is None else self.timestamp[keep],
            events=None if self.events is None else self.events.select(keep),
        )

    def before(self, moment: int) -> "Interactions":
        """The pairs with listens before a moment, as they were known then.

        Raises:
          UserError: there are no times.
        """
        return self.where(self.listens().timestamp < moment, until=moment)

    def since(self, moment: int) -> "Interactions":
        """The pairs with listens at or after a moment; only these listens count.

        Raises:
          UserError: there are no times.
        """
        return self.where(self.listens().timestamp >= moment, until=self.listens().until)

    def listens(self) -> Events:
        """The single listens.

        Raises:
          UserError: the history has no times.
        """
        if self.events is None:
            raise UserError(
                "the times of listens are needed and the history has none; expected "
                "config.data.columns.timestamp to name the column with them"
            )
        return self.events

    def where(self, keep: np.ndarray, *, until: int | None) -> "Interactions":
        """The pairs with some of the listens; only these count.

        Args:
          keep: [listens] bool.
          until: as of `Events`.

        Raises:
          UserError: there are no times.
        """
        kept, events = self.listens().where(keep)
        return dataclasses.replace(
            self,
            user=self.user[kept],
            item=self.item[kept],
            plays=events.total(events.plays),
            timestamp=events.first(),
            events=dataclasses.replace(events, until=until),
        )

    def user_offsets(self) -> np.ndarray:
        """[num_users + 1] int64: user u's rows are `offsets[u]:offsets[u + 1]`."""
        # Of the type of the users, so that no copy of them is made in another.
        wanted = np.arange(self.num_users + 1, dtype=self.user.dtype)
        return np.searchsorted(self.user, wanted).astype(np.int64)

    def present(self) -> tuple[np.ndarray, np.ndarray]:
        """Who has interactions: [num_users] bool and [num_items] bool."""
        users, items = np.zeros(self.num_users, bool), np.zeros(self.num_items, bool)
        for start in range(0, len(self), _PAIRS_AT_ONCE):
            rows = slice(start, start + _PAIRS_AT_ONCE)
            users[self.user[rows]] = True
            items[self.item[rows]] = True
        return users, items

    def keys(self) -> np.ndarray:
        """[n] int64, `user * num_items + item`: increasing, one number per pair."""
        return np.asarray(self.user.astype(np.int64) * max(self.num_items, 1) + self.item)

    def among(self, others: "Interactions") -> np.ndarray:
        """[n] bool: which of the pairs others, of the same ids, have too."""
        return np.concatenate(list(self.among_any([others])))

    def among_any(self, others: Sequence["Interactions"]) -> Iterator[np.ndarray]:
        """Which of the pairs any of some others, of the same ids, have too.

        Yields:
          [pairs of some users] bool, a block of users after another.
        """
        for own, *theirs in _blocks_of_users([self, *others]):
            wanted, keys = own.keys(), theirs[0].keys()
            if len(theirs) > 1:
                keys = np.unique(np.concatenate([part.keys() for part in theirs]))
            # Both increase, so that a search stays in the cache, where np.isin would not.
            place = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
            yield keys[place] == wanted if len(keys) else np.zeros(len(wanted), bool)

    def fingerprint(self) -> str:
        """SHA-256 over the sorted pairs in external ids, so that file order doesn't matter.

        The text hashed is `user<TAB>item<LF>` per pair, in the order of the rows; tabs, line
        feeds and backslashes inside ids are escaped.
        """
        users, items = _lines(self.users, "\t"), _lines(self.items, "\n")
        digest = hashlib.sha256()
        block = 1 << 16
        for start in range(0, len(self), block):
            rows = slice(start, start + block)
            user, item = pa.array(self.user[rows]), pa.array(self.item[rows])
            text = pc.binary_join_element_wise(users.take(user), items.take(item), _NOTHING)
            _, offsets, characters = text.buffers()
            digest.update(memoryview(characters)[: np.frombuffer(offsets, np.int64)[len(text)]])
        return digest.hexdigest()


def _lines(id_map: IdMap, end: str) -> pa.Array:
    """Each id as text, escaped, with what ends it."""
    text = pa.array(id_map.ids).cast(pa.large_string())
    for character, escaped in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n")):
        text = pc.replace_substring(text, character, escaped)
    return pc.binary_join_element_wise(text, pa.scalar(end, pa.large_string()), _NOTHING)


def aggregate(listens: Listens) -> Interactions:
    """Adds repeated listens up to one interaction per (user, item) pair.

    Where they don't add up (`Listens.adds_up`), the largest counts.
    """
    key = listens.user.astype(np.int64) * max(len(listens.items), 1) + listens.item
    if listens.timestamp is None:
        order = np.argsort(key, kind="stable")
    elif len(key) and np.ptp(listens.plays) == 0:
        order = np.lexsort((listens.timestamp, key))
    else:  # sums must not depend on the order of the rows
        order = np.lexsort((listens.plays, listens.timestamp, key))
    key = key[order]
    first = np.flatnonzero(np.r_[True, key[1:] != key[:-1]]) if len(key) else np.zeros(0, np.int64)
    plays = listens.plays[order]
    events = timestamp = None
    if listens.timestamp is not None:
        offsets = np.r_[first, len(key)].astype(np.int64)
        events = Events(offsets, listens.timestamp[order], plays, listens.adds_up)
        timestamp = events.first()
    add = np.add if listens.adds_up else np.maximum
    return Interactions(
        user=listens.user[order][first],
        item=listens.item[order][first],
        plays=add.reduceat(plays, first) if len(first) else plays,
        timestamp=timestamp,
        users=listens.users,
        items=listens.items,
        events=events,
    )


def union(parts: Sequence[Interactions]) -> Interactions:
    """The pairs that are in any of some parts of one split, in order, each once.

    Their plays are those of the first part that has them, and they have no times.
    """
    first = parts[0]
    if len(parts) == 1:
        return Interactions(first.user, first.item, first.plays, None, first.users, first.items)
    most = sum(map(len, parts))
    columns = {
        name: np.empty(most, getattr(first, name).dtype) for name in ("user", "item", "plays")
    }
    count = 0
    for block in _blocks_of_users(parts):
        keys = np.concatenate([part.keys() for part in block])
        _, rows = np.unique(keys, return_index=True)
        for name, column in columns.items():
            column[count : count + len(rows)] = np.concatenate(
                [getattr(part, name) for part in block]
            )[rows]
        count += len(rows)
    user, item, plays = (column[:count] for column in columns.values())
    return Interactions(user, item, plays, None, first.users, first.items)


def _blocks_of_users(parts: Sequence[Interactions]) -> Iterator[list[Interactions]]:
    """The pairs of some users after another, of each part, so that few are handled at once.

    Without times; their ids are those of the parts.
    """
    offsets = [part.user_offsets() for part in parts]
    ends = np.sum(offsets, axis=0) // _PAIRS_AT_ONCE
    cuts = np.flatnonzero(np.diff(ends, prepend=0))
    for start, stop in itertools.pairwise([0, *cuts.tolist(), len(ends) - 1]):
        rows = [slice(offset[start], offset[stop]) for offset in offsets]
        yield [
            Interactions(
                part.user[row], part.item[row], part.plays[row], None, part.users, part.items
            )
            for part, row in zip(parts, rows, strict=True)
        ]


def together(first: Listens, second: Listens) -> Listens:
    """The rows of two histories that share their ids."""
    times = None
    if first.timestamp is not None and second.timestamp is not None:
        times = np.concatenate([first.timestamp, second.timestamp])

    def both(one: Listens | None, other: Listens | None) -> Listens | None:
        if one is None or other is None:
            return other if one is None else one
        return together(one, other)

    return dataclasses.replace(
        first,
        user=np.concatenate([first.user, second.user]),
        item=np.concatenate([first.item, second.item]),
        plays=np.concatenate([first.plays, second.plays]),
        timestamp=times,
        known=both(first.known, second.known),
        against=both(first.against, second.against),
    )


def compact(*parts: Interactions) -> tuple[Interactions, ...]:
    """Drops ids that no part uses and renumbers the rest, the same in every part, order kept."""
    used_users = np.unique(np.concatenate([part.user for part in parts]))
    used_items = np.unique(np.concatenate([part.item for part in parts]))
    users, items = parts[0].users.take(used_users), parts[0].items.take(used_items)
    return tuple(
        dataclasses.replace(
            part,
            user=np.searchsorted(used_users, part.user).astype(np.int32),
            item=np.searchsorted(used_items, part.item).astype(np.int32),
            users=users,
            items=items,
        )
        for part in parts
    )
