"""Prepared data cut into parts on disk, a block of users at a time; the same cut is made once."""

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from jaxrec.data.core import Pairs, core_mask
from jaxrec.data.events import Events
from jaxrec.data.id_files import read_ids, write_ids
from jaxrec.data.ids import IdMap
from jaxrec.data.interactions import Interactions
from jaxrec.data.prepared.arrays import open_array, writing
from jaxrec.data.prepared.cutting import Block, Cut, candidates, cut_block
from jaxrec.data.prepared.layout import ABOUT, Layout, read_about
from jaxrec.data.prepared.moments import moments
from jaxrec.data.prepared.opened import Prepared
from jaxrec.data.splits import Split, check_not_empty
from jaxrec.errors import UserError
from jaxrec.files import PARTIAL, is_another_process, write_json
from jaxrec.manifest import write_manifest

BLOCK_PAIRS = 1 << 22
_PAIRS = {"user": "<i4", "item": "<i4", "plays": "<f8"}
_EVENTS = {"event_offsets": "<i8", "event_timestamp": "<i8", "event_plays": "<f8"}


@dataclasses.dataclass(frozen=True, eq=False)
class _Used:
    """What numbers the parts use, as masks.

    Attributes:
      users: [users] bool: used in any part.
      items: [items] bool: likewise.
      train_users: [users] bool: used in train.
      train_items: [items] bool: likewise.
    """

    users: np.ndarray
    items: np.ndarray
    train_users: np.ndarray
    train_items: np.ndarray


def split_prepared(prepared: Prepared, cut: Cut) -> Split:
    """The parts, as `splits.split` cuts them: mapped into memory, written first where need be.

    Args:
      prepared: the history.
      cut: how; of a kind in `cutting.KINDS`.

    Raises:
      UserError: as `splits.split`, or the folder can't be written to.
    """
    if cut.kind in ("time", "last_n") and not prepared.with_times:
        raise UserError(
            f"config.data.split is {cut.kind!r} but the listens have no times; expected "
            "config.data.columns.timestamp to name the column with them, in `prepare`"
        )
    settings = cut.used()
    key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
    folder = prepared.layout.splits / key
    if not folder.exists():
        try:
            with _making(folder) as unfinished:
                _write(prepared, cut, Layout(unfinished), settings)
        except OSError as error:
            raise UserError(
                f"{folder}: {error.strerror or error}; expected room for the parts of the split in "
                "the folder of the prepared data"
            ) from error
    return open_split(folder, cut.seed)


@contextlib.contextmanager
def _making(folder: Path) -> Iterator[Path]:
    """Yields a folder that is renamed at the end of the block, unless it is there by then.

    Several processes, of several machines, may make the same one: the first to end counts.
    """
    own = f"{folder.name}.{socket.gethostname()}."
    for left in folder.parent.glob(f"{own}*{PARTIAL}"):
        if not is_another_process(left.name.removeprefix(own).removesuffix(PARTIAL)):
            shutil.rmtree(left)  # of a process that was killed
    unfinished = folder.with_name(f"{own}{os.getpid()}{PARTIAL}")
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        with contextlib.suppress(OSError):
            unfinished.rename(folder)
        if not folder.exists():
            raise OSError(f"{unfinished} can't be renamed")
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def open_split(folder: Path, seed: int) -> Split:
    """The parts that lie in a folder, mapped into memory.

    Args:
      folder: where they lie.
      seed: what the protocol is to tell, also where chance had no part in them.

    Raises:
      UserError: they are missing or damaged.
    """
    about, layout = read_about(folder), Layout(folder)
    about["protocol"]["seed"] = seed
    split = _assemble(layout, about)
    # A cached property, which takes a minute to work out where pairs are many.
    vars(split)["fingerprints"] = about["fingerprints"]
    return split


def _assemble(layout: Layout, about: dict[str, Any]) -> Split:
    users, items = read_ids(layout.ids("user")), read_ids(layout.ids("item"))
    parts = {name: _open_part(layout, name, about, users, items) for name in about["parts"]}
    return Split(
        parts["train"],
        parts.get("validation"),
        parts.get("test"),
        about["protocol"],
        known=parts.get("known"),
    )


def _open_part(
    layout: Layout, part: str, about: dict[str, Any], users: IdMap, items: IdMap
) -> Interactions:
    def array(name: str) -> np.ndarray:
        return open_array(layout.array(f"{part}_{name}"))

    events = None
    if about["with_times"] and part != "known":
        events = Events(
            offsets=array("event_offsets"),
            timestamp=array("event_timestamp"),
            plays=array("event_plays"),
            adds_up=about["adds_up"],
            until=about["until"][part],
        )
    return Interactions(
        user=array("user"),
        item=array("item"),
        plays=array("plays"),
        timestamp=array("timestamp") if about["with_times"] else None,
        users=users,
        items=items,
        events=events,
    )


def _write(prepared: Prepared, cut: Cut, layout: Layout, settings: dict[str, Any]) -> None:
    protocol: dict[str, Any] = {"kind": cut.kind, "seed": cut.seed}
    protocol |= {"min_plays": cut.min_plays, "core": cut.core, "validation": None}
    protocol |= _told(cut)
    if cut.kind == "time":
        moment, validation_moment = moments(
            prepared.layout,
            moment=cut.moment,
            test_fraction=cut.test_fraction,
            validation_fraction=cut.validation_fraction,
        )
        cut = dataclasses.replace(cut, moment=moment, validation_moment=validation_moment)
        protocol["moment"] = moment
        if cut.with_validation:
            protocol["validation_moment"] = validation_moment
    keep = _core(prepared, cut) if cut.core else None
    used = _find_used(prepared, cut, keep)
    if not used.train_users.any():
        raise UserError(
            f"config.data.min_plays is {cut.min_plays} and config.data.core is {cut.core}; "
            f"expected lower values: no interaction is left of {prepared.num_pairs:,}"
        )
    write_ids(layout.ids("user"), prepared.users.take(used.users))
    write_ids(layout.ids("item"), prepared.items.take(used.items))
    about = _write_parts(prepared, cut, keep, used, layout, protocol)
    split = _assemble(layout, about)
    check_not_empty(split)
    about |= {"settings": settings, "fingerprints": split.fingerprints}
    write_json(layout.about, about)
    files = [path.name for path in layout.root.iterdir() if path.suffix in (".npy", ".parquet")]
    write_manifest(layout.root, [ABOUT, *files])


def _told(cut: Cut) -> dict[str, Any]:
    """What the protocol says of the cut's own settings."""
    found: dict[str, Any] = {}
    if cut.kind == "last_n":
        found["last_n"] = cut.last_n
        if cut.with_validation:
            found["validation"] = {"kind": "last_n", "last_n": cut.validation_last_n}
        return found
    if cut.kind != "none" and cut.moment is None:
        found["test_fraction"] = cut.test_fraction
    if cut.with_validation:
        rule = "time" if cut.kind == "time" else "random"
        found["validation"] = {"kind": rule, "fraction": cut.validation_fraction}
        if cut.validation_seed is not None:
            found["validation"]["seed"] = cut.validation_seed
    return found


def _core(prepared: Prepared, cut: Cut) -> list[np.ndarray]:
    def pairs() -> Iterator[Pairs]:
        for first, last in prepared.blocks(BLOCK_PAIRS):
            block = prepared.block(first, last, with_events=cut.kind == "time")
            chosen = candidates(block, cut)
            yield chosen.user + first, chosen.item

    return core_mask(pairs, cut.core, num_users=len(prepared.users), num_items=len(prepared.items))


def _cut_blocks(
    prepared: Prepared, cut: Cut, keep: list[np.ndarray] | None, *, with_events: bool
) -> Iterator[tuple[int, Block]]:
    """The first user of each block, and the block when it has been cut."""
    for number, (first, last) in enumerate(prepared.blocks(BLOCK_PAIRS)):
        mask = None if keep is None else keep[number]
        block = prepared.block(first, last, with_events=with_events or cut.kind == "time")
        known = prepared.known(first, last)
        yield first, cut_block(block, known, mask, cut)


def _find_used(prepared: Prepared, cut: Cut, keep: list[np.ndarray] | None) -> _Used:
    users, items = (
        np.zeros((2, len(prepared.users)), bool),
        np.zeros((2, len(prepared.items)), bool),
    )
    for first, block in _cut_blocks(prepared, cut, keep, with_events=False):
        for name, part in block.parts.items():
            for row in (0, 1) if name == "train" else (0,):
                users[row, part.user + first] = True
                items[row, part.item] = True
    return _Used(users[0], items[0], users[1], items[1])


def _write_parts(
    prepared: Prepared,
    cut: Cut,
    keep: list[np.ndarray] | None,
    used: _Used,
    layout: Layout,
    protocol: dict[str, Any],
) -> dict[str, Any]:
    """Writes the arrays of every part, without cold pairs; what is to be said of them."""
    user_number = (np.cumsum(used.users) - 1).astype(np.int32)
    item_number = (np.cumsum(used.items) - 1).astype(np.int32)
    with_times = prepared.with_times
    cold = {name: _Cold(used) for name in cut.names if name != "train"}
    again = dict.fromkeys(cold, 0)
    counts = {"known_pairs": 0, "pairs_filtered_out": 0, "tied_users": 0}
    until: dict[str, int | None] = {}
    with contextlib.ExitStack() as stack:
        writers = {
            name: stack.enter_context(_writing_part(layout, name, with_times=with_times))
            for name in (*cut.names, "known")
        }
        for first, block in _cut_blocks(prepared, cut, keep, with_events=True):
            parts = block.parts | {
                name: part.select(cold[name].warm(first, part))
                for name, part in block.parts.items()
                if name != "train"
            }
            known = block.known
            if known is not None:
                known = known.select(used.users[known.user + first] & used.items[known.item])
                counts["known_pairs"] += len(known)
            counts["pairs_filtered_out"] += block.left_out
            counts["tied_users"] += block.tied
            if cut.kind == "time":
                _count_again(again, parts, known, protocol)
            for name, part in (parts | ({} if known is None else {"known": known})).items():
                if part.events is not None:
                    until[name] = part.events.until
                writers[name](part, user_number[part.user + first], item_number[part.item])
    if cut.kind != "last_n":
        del counts["tied_users"]
    protocol = protocol | counts | {"cold": {name: each.counts() for name, each in cold.items()}}
    if cut.kind == "time":
        protocol["again"] = again
    known_parts = ["known"] if counts["known_pairs"] else []
    return {
        "protocol": protocol,
        "parts": [*cut.names, *known_parts],
        "until": until,
        "with_times": with_times,
        "adds_up": prepared.about["adds_up"],
    }


class _Cold:
    """What of a part train doesn't know, counted."""

    def __init__(self, used: _Used) -> None:
        self._used = used
        self._users, self._items = np.zeros_like(used.users), np.zeros_like(used.items)
        self._pairs = 0

    def warm(self, first: int, part: Interactions) -> np.ndarray:
        """[n] bool: the pairs of a block's part of which train knows user and item."""
        user = part.user + first
        cold_user = ~self._used.train_users[user]
        cold_item = ~self._used.train_items[part.item]
        self._users[user[cold_user]] = True
        self._items[part.item[cold_item]] = True
        self._pairs += int((cold_user | cold_item).sum())
        return np.asarray(~(cold_user | cold_item))

    def counts(self) -> dict[str, int]:
        """As in a split's protocol."""
        return {
            "cold_users": int(self._users.sum()),
            "cold_items": int(self._items.sum()),
            "cold_interactions": self._pairs,
        }


def _count_again(
    again: dict[str, int],
    parts: dict[str, Interactions],
    known: Interactions | None,
    protocol: dict[str, Any],
) -> None:
    """Adds the pairs of a block's parts that were known before these."""
    block = Split(parts["train"], parts.get("validation"), parts.get("test"), protocol, known=known)
    for name in again:
        again[name] += int(parts[name].among(block.seen_before(name)).sum())


_Write = Callable[[Interactions, np.ndarray, np.ndarray], None]


@contextlib.contextmanager
def _writing_part(layout: Layout, part: str, *, with_times: bool) -> Iterator[_Write]:
    """Yields what writes a block of a part, with the numbers of its users and items."""
    dtypes = _PAIRS | ({"timestamp": "<i8"} if with_times else {})
    if with_times and part != "known":
        dtypes |= _EVENTS
    with contextlib.ExitStack() as stack:
        append = {
            name: stack.enter_context(writing(layout.array(f"{part}_{name}"), dtype))
            for name, dtype in dtypes.items()
        }
        written = 0
        if "event_offsets" in append:
            append["event_offsets"](np.zeros(1, np.int64))

        def write(block: Interactions, user: np.ndarray, item: np.ndarray) -> None:
            nonlocal written
            append["user"](user)
            append["item"](item)
            append["plays"](block.plays)
            if block.timestamp is not None:
                append["timestamp"](block.timestamp)
            if block.events is not None and "event_offsets" in append:
                append["event_offsets"](block.events.offsets[1:] + written)
                append["event_timestamp"](block.events.timestamp)
                append["event_plays"](block.events.plays)
                written += len(block.events)

        yield write
