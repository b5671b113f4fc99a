"""A block of users cut into train, validation and test, as `splits.split` cuts a whole history.

Every kind of cut here is made user by user, but for what `Cut` says: the moments, and which pairs
the filters keep, depend on everybody and are found out first.
"""

import dataclasses
from typing import Any

import numpy as np

from jaxrec.data.cuts import cut_by_time, last_rows, random_rows, tied_users
from jaxrec.data.interactions import Interactions, Listens
from jaxrec.data.known import find_known
from jaxrec.data.split_rules import Rules

# By each kind of split that is cut here, the settings that it uses beside the filters.
_USED: dict[str, tuple[str, ...]] = {
    "none": (),
    "random": ("seed", "test_fraction", "validation_fraction", "validation_seed"),
    "last_n": ("seed", "last_n", "validation_last_n"),
    "time": ("moment", "test_fraction", "validation_fraction"),
}
KINDS = tuple(_USED)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cut(Rules):
    """How a history is cut, by what depends on everybody, too.

    Attributes:
      validation_moment: for `time`, where validation begins; test begins at `moment`.
    """

    validation_moment: int | None = None

    @property
    def with_validation(self) -> bool:
        """Whether there is a validation part."""
        if self.kind == "last_n":
            return self.validation_last_n > 0
        return self.kind != "none" and self.validation_fraction > 0

    def used(self) -> dict[str, Any]:
        """The settings on which the parts depend, ready for JSON."""
        names = ["kind", "min_plays", "core", *_USED[self.kind]]
        if self.kind == "time" and self.moment is not None:
            names.remove("test_fraction")
        return {name: getattr(self, name) for name in names}

    @property
    def names(self) -> tuple[str, ...]:
        """Of the parts that there are."""
        validation = ("validation",) if self.with_validation else ()
        return ("train", *validation, *(() if self.kind == "none" else ("test",)))


@dataclasses.dataclass(frozen=True, eq=False)
class Block:
    """A block that has been cut.

    Attributes:
      parts: by name, whether cold or not.
      known: what its users know besides; None where they know nothing.
      left_out: how many pairs no part has because of the filters.
      tied: how many users have equal times where `last_n` cuts.
    """

    parts: dict[str, Interactions]
    known: Interactions | None
    left_out: int
    tied: int


def candidates(block: Interactions, cut: Cut) -> Interactions:
    """The pairs of a block that `core` chooses among."""
    if cut.kind == "time":
        assert cut.validation_moment is not None
        block = block.before(cut.validation_moment)
    return block.select(block.plays >= cut.min_plays)


def cut_block(block: Interactions, known: Listens, keep: np.ndarray | None, cut: Cut) -> Block:
    """Cuts the pairs of some users.

    Args:
      block: the pairs.
      known: what the users know besides.
      keep: which of `candidates` stay, a mask; None for all.
      cut: how.
    """
    chosen = candidates(block, cut)
    chosen = chosen if keep is None else chosen.select(keep)
    tied = 0
    if cut.kind == "time":
        parts, left_out = _by_time(block, chosen, cut)
    else:
        dropped = np.zeros(0, np.int64)
        if len(chosen) < len(block):
            dropped = np.flatnonzero(~block.among(chosen))
        parts, left_out = {"train": chosen}, block.select(dropped)
        if cut.kind == "random":
            parts = _hold_out(parts, "test", random_rows(chosen, cut.test_fraction, cut.seed))
        elif cut.kind == "last_n":
            tied = tied_users(chosen, cut.last_n)
            parts = _hold_out(parts, "test", last_rows(chosen, cut.last_n, cut.seed))
        if cut.with_validation:
            parts = _hold_out(parts, "validation", _validation_rows(parts["train"], cut))
    listens = dataclasses.replace(known, known=known if len(known) else None)
    ordered = [parts.get(name) for name in ("train", "validation", "test")]
    return Block(parts, find_known(listens, left_out, ordered), len(left_out), tied)


def _hold_out(
    parts: dict[str, Interactions], name: str, rows: np.ndarray
) -> dict[str, Interactions]:
    """The parts with the marked rows of train as a part of their own."""
    train = parts["train"]
    return parts | {"train": train.select(~rows), name: train.select(rows)}


def _validation_rows(train: Interactions, cut: Cut) -> np.ndarray:
    if cut.kind == "last_n":
        return last_rows(train, cut.validation_last_n, cut.seed)
    seed = cut.seed if cut.validation_seed is None else cut.validation_seed
    return random_rows(train, cut.validation_fraction, seed)


def _by_time(
    block: Interactions, train: Interactions, cut: Cut
) -> tuple[dict[str, Interactions], Interactions]:
    """The parts by when the listens were, and the pairs that none of them has."""
    assert cut.moment is not None and cut.validation_moment is not None
    validation, test, left_out = cut_by_time(
        block,
        train,
        moment=cut.moment,
        validation_moment=cut.validation_moment,
        min_plays=cut.min_plays,
    )
    parts = {"train": train}
    if cut.with_validation:
        parts["validation"] = validation
    return parts | {"test": test}, left_out
