"""Fourth stage: each partition's rows added up to pairs, and all pairs put into one array each."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from jaxrec.data.ids import IdMap
from jaxrec.data.interactions import Interactions, Listens, aggregate
from jaxrec.data.prepared.arrays import open_array, write_array
from jaxrec.data.prepared.journal import Journal
from jaxrec.data.prepared.layout import Layout
from jaxrec.data.prepared.partitions import read_partition
from jaxrec.data.read_report import Tally, tally, without_identical

# The arrays of pairs by name, with their types; those of `events` where there are times.
PAIRS = {"user": "<i4", "item": "<i4", "plays": "<f8"}
TIMES = {"timestamp": "<i8", "event_counts": "<i4", "event_timestamp": "<i8", "event_plays": "<f8"}
KNOWN = {"known_user": "<i4", "known_item": "<i4"}
KNOWN_TIMES = {"known_timestamp": "<i8"}
# In two arrays of each partition: the ids that there are, and their counts.
COUNTED = ("of_user", "of_item")


@dataclasses.dataclass(frozen=True)
class Meaning:
    """What of the rows counts, and how.

    Attributes:
      num_users: how many users there are.
      num_items: how many items there are.
      with_times: whether rows have times.
      adds_up: whether rows of a pair add up.
      drop_identical: whether rows of the same user, item and time count once.
    """

    num_users: int
    num_items: int
    with_times: bool
    adds_up: bool
    drop_identical: bool

    @property
    def arrays(self) -> dict[str, str]:
        """All arrays that there are to write, by name, with their types."""
        return PAIRS | KNOWN | (TIMES | KNOWN_TIMES if self.with_times else {})

    def listens(self, columns: dict[str, np.ndarray]) -> Listens:
        """The rows of a partition; ids are numbers."""
        return Listens(
            user=columns["user"],
            item=columns["item"],
            plays=columns["plays"],
            timestamp=columns["timestamp"] if self.with_times else None,
            users=IdMap(np.arange(self.num_users)),
            items=IdMap(np.arange(self.num_items)),
            adds_up=self.adds_up,
        )


def add_up(
    layout: Layout,
    chunks: Sequence[str],
    num_partitions: int,
    meaning: Meaning,
    journal: Journal,
) -> Iterator[int]:
    """Adds the rows of each partition up, and notes what was counted; yields the partition."""
    for number in range(num_partitions):
        if journal.found(f"pairs-{number:05d}") is None:
            listens = meaning.listens(read_partition(layout.work, chunks, "listens", number))
            before = len(listens)
            if meaning.drop_identical:
                listens = without_identical(listens)
            counted = tally(listens)
            whole = aggregate(listens)
            known = read_partition(layout.work, chunks, "known", number)
            arrays = _arrays(whole) | _known_arrays(meaning, known)
            for name in COUNTED:
                counts = getattr(counted, name)
                there = np.flatnonzero(counts)
                write_array(_piece(layout.work, f"{name}_ids", number), [there], "<i4")
                write_array(_piece(layout.work, name, number), [counts[there]], "<i8")
            for name, dtype in meaning.arrays.items():
                write_array(_piece(layout.work, name, number), [arrays[name]], dtype)
            small = {
                name: value
                for name, value in vars(counted).items()
                if not isinstance(value, np.ndarray)
            }
            journal.done(
                f"pairs-{number:05d}",
                {
                    "tally": small,
                    "identical": before - len(listens),
                    "once": bool((listens.plays == 1).all()),
                },
            )
        yield number


def _arrays(whole: Interactions) -> dict[str, np.ndarray]:
    found = {"user": whole.user, "item": whole.item, "plays": whole.plays}
    if whole.events is not None and whole.timestamp is not None:
        found |= {
            "timestamp": whole.timestamp,
            "event_counts": np.diff(whole.events.offsets),
            "event_timestamp": whole.events.timestamp,
            "event_plays": whole.events.plays,
        }
    return found


def _known_arrays(meaning: Meaning, columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The pairs that are known, each once, from the first time that it was known."""
    known = aggregate(meaning.listens(columns))
    found = {"known_user": known.user, "known_item": known.item}
    return found if known.timestamp is None else found | {"known_timestamp": known.timestamp}


def _piece(work: Path, name: str, number: int) -> Path:
    return work / f"{name}-{number:05d}.npy"


def count_all(
    layout: Layout, num_partitions: int, meaning: Meaning, journal: Journal
) -> tuple[Tally, int]:
    """What was counted of all rows, and how many repeated others and were dropped."""
    of_user, of_item = np.zeros(meaning.num_users, np.int64), np.zeros(meaning.num_items, np.int64)
    nothing = np.zeros(0, np.int64)
    whole = Tally(nothing, nothing, None, None, 0, 0, 0)
    dropped = 0
    for number in range(num_partitions):
        found = journal.found(f"pairs-{number:05d}")
        assert found is not None
        for name, count in zip(COUNTED, (of_user, of_item), strict=True):
            there = open_array(_piece(layout.work, f"{name}_ids", number))
            count[there] += open_array(_piece(layout.work, name, number))
        whole += Tally(nothing, nothing, **found["tally"])
        dropped += found["identical"]
    return dataclasses.replace(whole, of_user=of_user, of_item=of_item), dropped


def join_pieces(
    layout: Layout, num_partitions: int, meaning: Meaning, journal: Journal
) -> Iterator[str]:
    """Puts the partitions' arrays one after another; yields the name of each array.

    The counts of listens become offsets. Where each listen is one play, that is not written down.
    """
    for name, dtype in meaning.arrays.items():
        if journal.found(f"joined-{name}") is None:
            pieces = (
                open_array(_piece(layout.work, name, number)) for number in range(num_partitions)
            )
            if name == "event_counts":
                write_array(layout.array("event_offsets"), _offsets(pieces), "<i8")
            elif name != "event_plays" or not _all_once(num_partitions, journal):
                write_array(layout.array(name), pieces, dtype)
            journal.done(f"joined-{name}", {})
        for number in range(num_partitions):
            _piece(layout.work, name, number).unlink(missing_ok=True)
        yield name


def _offsets(counts: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    yield np.zeros(1, np.int64)
    before = 0
    for piece in counts:
        yield before + np.cumsum(piece, dtype=np.int64)
        before += int(piece.sum())


def _all_once(num_partitions: int, journal: Journal) -> bool:
    found = [journal.found(f"pairs-{number:05d}") for number in range(num_partitions)]
    return all(each is not None and each["once"] for each in found)
