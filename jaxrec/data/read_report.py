"""What became of a history's rows, and what is odd about those that are left."""

import dataclasses

import numpy as np

from jaxrec.data.ids import IdMap
from jaxrec.data.interactions import Listens
from jaxrec.data.listen_checks import WORDS_FOR_NOTHING
from jaxrec.data.times import TimeColumn


@dataclasses.dataclass(frozen=True)
class ReadReport:
    """What became of the rows.

    Attributes:
      rows: rows read, the skipped ones included; in an edge list one per edge.
      skipped: bad rows left out, those of the names file included.
      examples: what is wrong with the first ten of them, `file:line: reason, expected ...`.
      zero_plays: rows dropped because they say that nothing was played.
      no_item: rows that stand for no item, such as podcasts.
      defects: rows that the publisher is known to have damaged.
      filtered: rows left out by the conditions `keep` and `drop`, or of files of dislikes.
      against: rows that speak against their item (`against`).
      too_short: rows left out because of `min_ms_played`.
      low_rating: rows left out because of `min_rating`.
      before_window: rows left out because of `time_from`.
      after_window: rows dropped because of `time_until`.
      identical: rows dropped because they repeat user, item and time of another.
      unmatched: rows without an item's id whose artist and title no row with an id has; None where
        items are not matched by name.
      several_artists: items whose rows name several artists.
      notes: what was found out that nobody has said, such as a delimiter.
      times: what the column of times holds, None without one.
    """

    rows: int = 0
    skipped: int = 0
    examples: tuple[str, ...] = ()
    zero_plays: int = 0
    no_item: int = 0
    defects: int = 0
    filtered: int = 0
    against: int = 0
    too_short: int = 0
    low_rating: int = 0
    before_window: int = 0
    after_window: int = 0
    identical: int = 0
    unmatched: int | None = None
    several_artists: int = 0
    notes: tuple[str, ...] = ()
    times: TimeColumn | None = None

    def __str__(self) -> str:
        """A line for the error that no row is left."""
        counts = {
            "bad and skipped": self.skipped,
            "with 0 plays": self.zero_plays,
            "without an item": self.no_item,
            "with known defects": self.defects,
            "left out by keep and drop": self.filtered,
            "against their item": self.against,
            "too short": self.too_short,
            "rated too low": self.low_rating,
            "outside the time window": self.before_window + self.after_window,
        }
        told = ", ".join(f"{count:,} {why}" for why, count in counts.items() if count)
        return f"{self.rows:,} rows{': ' if told else ''}{told}"


@dataclasses.dataclass(frozen=True)
class Portrait:
    """What a history looks like, so that a person can see whether it was read right.

    Attributes:
      listens: rows.
      users: users with a row.
      items: items with a row.
      first: the first time, seconds since 1970, None without times.
      last: the last time.
      at_zero: rows at time 0.
      tied_share: the share of rows that have another of the same user at the same time; such times
        are no order.
      identical: rows that repeat user, item and time of another; 0 without times.
      top_user: the most frequent user, and its share of the rows.
      top_item: the most frequent item, and its share of the rows.
      words: ids of users and items that are words for nothing such as `null`, and their rows.
    """

    listens: int
    users: int
    items: int
    first: int | None
    last: int | None
    at_zero: int
    tied_share: float
    identical: int
    top_user: tuple[str, float]
    top_item: tuple[str, float]
    words: tuple[tuple[str, str, int], ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Tally:
    """What is counted of a history's rows; of several users' histories it can be added up.

    Attributes:
      of_user: [users] int64, the rows of each.
      of_item: [items] int64, the rows of each.
      first: the first time, seconds since 1970, None without times.
      last: the last time.
      at_zero: rows at time 0.
      identical: rows that repeat user, item and time of another.
      tied: rows that have another of the same user at the same time.
    """

    of_user: np.ndarray
    of_item: np.ndarray
    first: int | None
    last: int | None
    at_zero: int
    identical: int
    tied: int

    def __add__(self, other: "Tally") -> "Tally":
        """Both together; no user has rows in both."""
        firsts = [each for each in (self.first, other.first) if each is not None]
        lasts = [each for each in (self.last, other.last) if each is not None]
        return Tally(
            of_user=self.of_user + other.of_user,
            of_item=self.of_item + other.of_item,
            first=min(firsts, default=None),
            last=max(lasts, default=None),
            at_zero=self.at_zero + other.at_zero,
            identical=self.identical + other.identical,
            tied=self.tied + other.tied,
        )


def tally(listens: Listens) -> Tally:
    """Counts a history's rows."""
    time = listens.timestamp if len(listens) else None
    identical, tied = _repeats(listens)
    return Tally(
        of_user=np.bincount(listens.user, minlength=len(listens.users)),
        of_item=np.bincount(listens.item, minlength=len(listens.items)),
        first=None if time is None else int(time.min()),
        last=None if time is None else int(time.max()),
        at_zero=0 if time is None else int((time == 0).sum()),
        identical=identical,
        tied=tied,
    )


def portray(listens: Listens) -> Portrait:
    """Looks at a history of at least one row."""
    return portrait_of(tally(listens), listens.users, listens.items)


def portrait_of(counted: Tally, users: IdMap, items: IdMap) -> Portrait:
    """What a history of at least one row looks like, by what was counted."""
    listens = int(counted.of_user.sum())
    words = [
        (role, str(word), int(counts[index]))
        for role, ids, counts in (
            ("user", users, counted.of_user),
            ("item", items, counted.of_item),
        )
        for word, index in zip(WORDS_FOR_NOTHING, _where(ids), strict=True)
        if index >= 0 and counts[index]
    ]
    return Portrait(
        listens=listens,
        users=int((counted.of_user > 0).sum()),
        items=int((counted.of_item > 0).sum()),
        first=counted.first,
        last=counted.last,
        at_zero=counted.at_zero,
        tied_share=counted.tied / listens,
        identical=counted.identical,
        top_user=_most(users, counted.of_user),
        top_item=_most(items, counted.of_item),
        words=tuple(words),
    )


def _where(ids: IdMap) -> np.ndarray:
    if ids.ids.dtype == np.int64:  # words are none
        return np.full(len(WORDS_FOR_NOTHING), -1)
    return ids.index_of(WORDS_FOR_NOTHING)


def _most(ids: IdMap, counts: np.ndarray) -> tuple[str, float]:
    index = int(counts.argmax())
    return ids.label(index), float(counts[index] / counts.sum())


def _repeats(listens: Listens) -> tuple[int, int]:
    """Rows that repeat user, item and time of another, and rows at a time that the user has twice.

    Without times neither.
    """
    if listens.timestamp is None:
        return 0, 0
    tied = _repeated(listens, with_item=False)[1]
    return _repeated(listens, with_item=True)[0] if tied else 0, tied


def _repeated(listens: Listens, *, with_item: bool) -> tuple[int, int]:
    """Rows that repeat another's user and time (and item): without the first ones, and with them.

    Rows are told apart by 64-bit numbers that are nearly surely different where rows are: of 50
    million rows the chance that any two are mixed up is below one in ten thousand.
    """
    time = listens.timestamp
    assert time is not None
    key = time.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    key ^= key >> np.uint64(29)
    key += listens.user.astype(np.uint64) * np.uint64(0xBF58476D1CE4E5B9)
    if with_item:
        key ^= key >> np.uint64(32)
        key += listens.item.astype(np.uint64) * np.uint64(0x94D049BB133111EB)
    key.sort()
    same = key[1:] == key[:-1]
    repeats = int(same.sum())
    groups = int((same & ~np.r_[False, same[:-1]]).sum()) if len(same) else 0
    return repeats, repeats + groups


def without_identical(listens: Listens) -> Listens:
    """The history with the first of each rows of the same user, item and time.

    Without times nothing is dropped: plays that have no time are told apart by nothing.
    """
    if listens.timestamp is None:
        return listens
    order = np.lexsort((listens.timestamp, listens.item, listens.user))
    columns = [listens.user[order], listens.item[order], listens.timestamp[order]]
    same = np.all([column[1:] == column[:-1] for column in columns], axis=0)
    keep = np.ones(len(listens), bool)
    keep[order[1:][same]] = False
    return dataclasses.replace(
        listens,
        user=listens.user[keep],
        item=listens.item[keep],
        plays=listens.plays[keep],
        timestamp=listens.timestamp[keep],
    )
