"""Prepared data mapped into memory."""

import dataclasses
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from jaxrec.data.events import Events
from jaxrec.data.id_files import read_ids
from jaxrec.data.ids import IdMap
from jaxrec.data.interactions import Interactions, Listens
from jaxrec.data.prepared.arrays import open_array, read_rows
from jaxrec.data.prepared.layout import Layout, read_about
from jaxrec.data.read_report import Portrait, ReadReport
from jaxrec.data.times import TimeColumn


@dataclasses.dataclass(frozen=True, eq=False)
class Prepared:
    """A history that has been prepared.

    Attributes:
      layout: where it lies.
      about: what `prepared.json` says.
      users: the users' ids.
      items: the items' ids.
    """

    layout: Layout
    about: dict[str, Any]
    users: IdMap
    items: IdMap

    @property
    def with_times(self) -> bool:
        """Whether listens have times."""
        return bool(self.about["with_times"])

    @functools.cached_property
    def user_offsets(self) -> np.ndarray:
        """[users + 1] int64: user u's pairs are `offsets[u]:offsets[u + 1]`."""
        return np.array(open_array(self.layout.array("user_offsets")))

    @property
    def num_pairs(self) -> int:
        """How many pairs of user and item there are."""
        return int(self.user_offsets[-1])

    def blocks(self, pairs: int) -> Iterator[tuple[int, int]]:
        """The first user of each block of about so many pairs, and the first after it."""
        first = 0
        while first < len(self.users):
            most = self.user_offsets[first] + pairs
            last = int(np.searchsorted(self.user_offsets, most, side="right")) - 1
            yield first, max(first + 1, last)
            first = max(first + 1, last)

    def block(self, first: int, last: int, *, with_events: bool = True) -> Interactions:
        """The pairs of the users from `first` up to `last`, numbered from 0, in memory.

        Args:
          first: the first user.
          last: the first user after them.
          with_events: whether with single listens, where these have times.
        """
        start, stop = int(self.user_offsets[first]), int(self.user_offsets[last])

        def rows(name: str) -> np.ndarray:
            return read_rows(self.layout.array(name), start, stop)

        return Interactions(
            user=rows("user") - np.int32(first),
            item=rows("item"),
            plays=rows("plays"),
            timestamp=rows("timestamp") if self.with_times else None,
            users=IdMap(self.users.ids[first:last]),
            items=self.items,
            events=self._events(start, stop) if self.with_times and with_events else None,
        )

    def known(self, first: int, last: int) -> Listens:
        """What the users from `first` up to `last`, numbered from 0, know besides."""
        user = open_array(self.layout.array("known_user"))
        start, stop = np.searchsorted(user, np.array([first, last], user.dtype)).tolist()

        def rows(name: str) -> np.ndarray:
            return read_rows(self.layout.array(f"known_{name}"), start, stop)

        return Listens(
            user=rows("user") - np.int32(first),
            item=rows("item"),
            plays=np.ones(stop - start),
            timestamp=rows("timestamp") if self.with_times else None,
            users=IdMap(self.users.ids[first:last]),
            items=self.items,
            adds_up=bool(self.about["adds_up"]),
        )

    def listens(self) -> Listens:
        """All of it in memory, as if it had been read from its files."""
        whole = self.block(0, len(self.users))
        known = self.known(0, len(self.users))
        user, item, plays, timestamp = whole.user, whole.item, whole.plays, None
        if whole.events is not None:
            pairs = whole.events.pairs()
            user, item = user[pairs], item[pairs]
            plays, timestamp = whole.events.plays, whole.events.timestamp
        return Listens(
            user=user,
            item=item,
            plays=plays,
            timestamp=timestamp,
            users=self.users,
            items=self.items,
            known=dataclasses.replace(known, users=self.users) if len(known) else None,
            adds_up=bool(self.about["adds_up"]),
        )

    def _events(self, start: int, stop: int) -> Events:
        offsets = read_rows(self.layout.array("event_offsets"), start, stop + 1)
        first, last = int(offsets[0]), int(offsets[-1])
        plays = np.ones(last - first)
        if self.layout.array("event_plays").exists():
            plays = read_rows(self.layout.array("event_plays"), first, last)
        return Events(
            offsets=offsets - first,
            timestamp=read_rows(self.layout.array("event_timestamp"), first, last),
            plays=plays,
            adds_up=bool(self.about["adds_up"]),
        )

    @property
    def report(self) -> ReadReport:
        """What became of the rows."""
        found = dict(self.about["report"])
        times = None if found["times"] is None else TimeColumn(**found["times"])
        examples, notes = tuple(found["examples"]), tuple(found["notes"])
        return ReadReport(**found | {"times": times, "examples": examples, "notes": notes})

    @property
    def times(self) -> TimeColumn | None:
        """What the column of times held, None without one."""
        return self.report.times

    @property
    def portrait(self) -> Portrait:
        """What the history looks like."""
        found = dict(self.about["portrait"])
        tops = {name: tuple(found[name]) for name in ("top_user", "top_item")}
        return Portrait(**found | tops | {"words": tuple(map(tuple, found["words"]))})


def open_prepared(path: str | Path) -> Prepared:
    """Opens prepared data; the pairs stay on the disk.

    Raises:
      UserError: they aren't finished, or a file is missing or damaged.
    """
    about, layout = read_about(path), Layout(Path(path))
    return Prepared(layout, about, read_ids(layout.ids("user")), read_ids(layout.ids("item")))
