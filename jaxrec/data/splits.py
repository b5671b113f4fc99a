"""Cuts a listening history into train, validation and test: none, random, last_n, time, given.

First the filters (fewest plays, k-core), then ids without any interaction vanish, then the cut.
Validation is always cut from train, by the same rule or a given one, so test has no say in it.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, get_args

import numpy as np

from jaxrec.data.cuts import alike_rows, last_rows, moment_leaving, random_rows, tied_users
from jaxrec.data.interactions import (
    IdMap,
    Interactions,
    Listens,
    aggregate,
    compact,
    k_core,
    union,
)
from jaxrec.data.known import before_cut, find_known
from jaxrec.data.options import SplitKind, ValidationRule
from jaxrec.errors import UserError

KINDS = get_args(SplitKind)
_ROWS: dict[str, Callable[[Interactions, float, int], np.ndarray]] = {
    "random": random_rows,
    "alike": alike_rows,
}


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """The parts of a history, which share ids.

    No (user, item) pair is in two of them, but for the kind `time`: a pair that is heard again
    later is in each part in whose time it was.

    Attributes:
      train: what the model learns from. An id of the maps may have no row here: it is *cold*.
      validation: interactions to choose by, None where none were asked for. Those of cold users
        and items are left out, and counted in `protocol["cold"]`.
      test: interactions to report on, None for the kind `none`. Without cold ones, as above.
      protocol: how the cut was made, ready for JSON: `kind`, `seed`, the fractions, n or moments,
        the filters, and `cold`: for validation and test the users, items and interactions that
        were left out because train doesn't know the user or the item. `known_pairs` counts
        `known`, and `again` the pairs of validation and test that were known before, where there
        are any.
      known: pairs that are masked in every list though nothing is learnt from them: skipped, rated
        low, disliked or left out by another filter (`Listens.known`), or heard too seldom
        (`min_plays`). None of them is in a part, but it may be heard again in a later one. Their
        `timestamp` is when the user came to know the item, None where the history has no times;
        `known_before_cut` has those that an evaluation may mask. None where nothing was left out.
    """

    train: Interactions
    validation: Interactions | None
    test: Interactions | None
    protocol: dict[str, Any]
    known: Interactions | None = None

    def __repr__(self) -> str:
        parts = ("train", "validation", "test")
        sizes = [f"{name} {len(part):,}" for name in parts if (part := getattr(self, name))]
        return f"<Split: {self.protocol.get('kind')}, {', '.join(sizes)}>"

    def known_before_cut(self, part: str) -> Interactions | None:
        """The pairs of `known` that are masked in an evaluation on `validation` or `test`.

        Those from before the cut: with the kind `time` from before the moment at which the part
        begins, with `last_n` from before the user's first interaction of the part (none of a user
        without one), else all, as no time parts those kinds.
        """
        held_out = getattr(self, part)
        if self.known is None or held_out is None:
            return None
        moment = None
        if self.protocol["kind"] == "time":
            validation = part == "validation" and "validation_moment" in self.protocol
            moment = self.protocol["validation_moment" if validation else "moment"]
        return before_cut(
            self.known, held_out, moment=moment, by_user=self.protocol["kind"] == "last_n"
        )

    def seen_before(self, part: str) -> Interactions:
        """All pairs that are known when a part begins, whether or not they are learnt from."""
        parts = [self.train]
        if part == "test" and self.validation is not None:
            parts.append(self.validation)
        if (known := self.known_before_cut(part)) is not None:
            parts.append(known)
        return union(parts)

    @functools.cached_property
    def fingerprints(self) -> dict[str, str | None]:
        """Each part's fingerprint by its name, None where there is no such part."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        return {n: None if part is None else part.fingerprint() for n, part in parts.items()}

    def counts(self) -> dict[str, dict[str, int]]:
        """Per part: users, items, interactions, and the cold ones left out, ready for JSON.

        `users` and `items` are those with an interaction in the part; `cold_users` and
        `cold_items` those of the part before the cold were left out that train doesn't know;
        `cold_interactions` the interactions left out with them.
        """
        table = {}
        for name in ("train", "validation", "test"):
            part = getattr(self, name)
            if part is not None:
                table[name] = {
                    "users": len(np.unique(part.user)),
                    "items": len(np.unique(part.item)),
                    "interactions": len(part),
                    **self.protocol["cold"].get(name, _cold_counts(0, 0, 0)),
                }
        return table


def split(
    listens: Listens,
    *,
    kind: SplitKind,
    seed: int,
    test_fraction: float = 0.2,
    last_n: int = 1,
    moment: int | None = None,
    validation_fraction: float = 0.0,
    validation_rule: ValidationRule = "random",
    validation_last_n: int = 0,
    validation_seed: int | None = None,
    given_test: Listens | None = None,
    min_plays: float = 1,
    core: int = 0,
) -> Split:
    """Splits a history. The result depends on the arguments alone, not on the order of the rows.

    Kinds:
      none: everything is train; there is no validation either.
      random: each user gives `test_fraction` of its interactions to test, rounded half up, and
        keeps at least one. Which ones depends on the seed, the user's id and the items' ids
        alone, so other users coming or going change nothing.
      last_n: each user gives the `last_n` items it first heard last; equal times are no order, so
        which of them are later is drawn with the seed, and `protocol["tied_users"]` says for how
        many users. A user with no more than `last_n` keeps them all in train.
      time: listens before `moment` are train, the others test. A pair that was heard before and
        is again is in both parts, each of which counts its own plays; the filters see no more of
        train than that, so nothing leaks from the future. `Split.seen_before` tells what was known.
      given: `listens` is train and `given_test` is test, unfiltered. A pair of test that train
        has already is dropped from test, and counted in the protocol.

    Args:
      listens: the history; for `given` its train part.
      kind: one of `KINDS`.
      seed: seed of the random choices, >= 0.
      test_fraction: share of test, between 0 and 1; for `time` the share of the listens at or
        after the moment, where no moment is given.
      last_n: for `last_n`, interactions per user in test, >= 1.
      moment: for `time`, seconds since 1970-01-01 UTC.
      validation_fraction: share of the train part that becomes validation, 0 for none. For
        `random` and `given` it is cut by `validation_rule`; for `time` at a second, earlier
        moment, and train has only the listens before that one. `last_n` and `none` ignore it.
      validation_rule: for `random` and `given`, `random` as the kind `random` does, or `alike`,
        the user's items that go together (`cuts.alike_rows`); the other kinds ignore it.
      validation_last_n: for `last_n`, interactions per user in validation, 0 for none; the other
        kinds ignore it.
      validation_seed: for `random` and `given`, the seed of the validation part alone; None for
        that of all.
      given_test: for `given`, the test part; its ids need not be numbered as those of `listens`.
      min_plays: pairs with fewer plays are dropped (with `time`: fewer within their part).
      core: users and items with fewer interactions are dropped until none is left, 0 for no
        such filter. With `time` this is done to train only.

    Raises:
      UserError: a value out of range, a kind that needs timestamps on a history without, filters
        or a cut that leave train, or a part asked for, empty.
    """
    _check(
        kind,
        validation_rule,
        seed=seed,
        test_fraction=test_fraction,
        last_n=last_n,
        validation_fraction=validation_fraction,
        validation_last_n=validation_last_n,
        min_plays=min_plays,
        core=core,
    )
    protocol: dict[str, Any] = {"kind": kind, "seed": seed}
    left_out: Interactions | None = None
    if kind != "given":
        protocol |= {"min_plays": min_plays, "core": core}
    validation = test = None
    if kind == "given":
        train, test, overlap = _given(listens, given_test, min_plays, core)
        protocol["test_pairs_already_in_train"] = overlap
    elif given_test is not None:
        raise UserError(f"config.data.split is {kind!r} but there is a test file; expected given")
    elif kind == "time":
        left_out, train, validation, test, found = _by_time(
            listens, test_fraction, moment, validation_fraction, min_plays, core
        )
        protocol |= found | ({"test_fraction": test_fraction} if moment is None else {})
    else:
        if kind == "last_n":
            _times(listens, kind)
        whole = aggregate(listens)
        train = _filter(whole, min_plays, core)
        left_out = whole.select(~np.isin(whole.keys(), train.keys()))
        protocol["pairs_filtered_out"] = len(left_out)
        (train,) = compact(train)
        if kind == "random":
            protocol["test_fraction"] = test_fraction
            train, test = _cut(train, random_rows(train, test_fraction, seed))
        elif kind == "last_n":
            protocol["last_n"] = last_n
            protocol["tied_users"] = tied_users(train, last_n)
            train, test = _cut(train, last_rows(train, last_n, seed))
    protocol["validation"] = None
    if kind == "last_n" and validation_last_n:
        train, validation = _cut(train, last_rows(train, validation_last_n, seed))
        protocol["validation"] = {"kind": "last_n", "last_n": validation_last_n}
    elif kind not in ("last_n", "none") and validation_fraction:
        rule = "time" if kind == "time" else validation_rule
        protocol["validation"] = {"kind": rule, "fraction": validation_fraction}
        if rule in _ROWS:
            if validation_seed is not None:
                protocol["validation"]["seed"] = validation_seed
            own_seed = seed if validation_seed is None else validation_seed
            train, validation = _cut(train, _ROWS[rule](train, validation_fraction, own_seed))
    known = find_known(listens, left_out, [train, validation, test])
    protocol["known_pairs"] = 0 if known is None else len(known)
    protocol["cold"] = {}
    if validation is not None:
        validation, protocol["cold"]["validation"] = _leave_out_cold(validation, train)
    if test is not None:
        test, protocol["cold"]["test"] = _leave_out_cold(test, train)
    result = Split(train=train, validation=validation, test=test, protocol=protocol, known=known)
    _check_not_empty(result)
    if kind == "time":
        protocol["again"] = {
            name: int(np.isin(part.keys(), result.seen_before(name).keys()).sum())
            for name, part in (("validation", validation), ("test", test))
            if part is not None
        }
    return result


def _check(kind: str, validation_rule: str, **options: float) -> None:
    allowed: dict[str, tuple[bool, str]] = {
        "seed": (options["seed"] >= 0, "0 or more"),
        "test_fraction": (0 < options["test_fraction"] < 1, "a number between 0 and 1"),
        "last_n": (options["last_n"] >= 1, "1 or more"),
        "validation_fraction": (0 <= options["validation_fraction"] < 1, "0 up to below 1"),
        "validation_last_n": (options["validation_last_n"] >= 0, "0 or more"),
        "min_plays": (options["min_plays"] >= 0, "0 or more"),
        "core": (options["core"] >= 0, "0 or more"),
    }
    if kind not in KINDS:
        raise UserError(f"config.data.split is {kind!r}; expected one of {', '.join(KINDS)}")
    if validation_rule not in _ROWS:
        raise UserError(
            f"config.data.validation_rule is {validation_rule!r}; expected one of "
            f"{', '.join(_ROWS)}"
        )
    for field, (good, expected) in allowed.items():
        if not good:
            name = field if field == "seed" else f"data.{field}"
            raise UserError(f"config.{name} is {options[field]}; expected {expected}")


def _times(listens: Listens, kind: str) -> np.ndarray:
    if listens.timestamp is None:
        raise UserError(
            f"config.data.split is {kind!r} but the listens have no times; expected "
            "config.data.columns.timestamp to name the column with them"
        )
    return listens.timestamp


def _filter(interactions: Interactions, min_plays: float, core: int) -> Interactions:
    kept = interactions.select(interactions.plays >= min_plays)
    kept = k_core(kept, core) if core else kept
    if not len(kept):
        raise UserError(
            f"config.data.min_plays is {min_plays} and config.data.core is {core}; expected "
            f"lower values: no interaction is left of {len(interactions):,}"
        )
    return kept


def _cut(whole: Interactions, rows: np.ndarray) -> tuple[Interactions, Interactions]:
    """The rows not marked, and those marked (`rows`: [n] bool)."""
    return whole.select(~rows), whole.select(rows)


def _by_time(
    listens: Listens,
    test_fraction: float,
    moment: int | None,
    validation_fraction: float,
    min_plays: float,
    core: int,
) -> tuple[Interactions, Interactions, Interactions | None, Interactions, dict[str, Any]]:
    """The pairs left out, those of train, validation and test, and what the protocol says."""
    times = _times(listens, "time")
    if not len(times):
        raise UserError("config.data.split is 'time' but the history is empty; expected listens")
    if moment is None:
        moment = moment_leaving(times, test_fraction)
    train_end = moment
    train_end = moment
    if validation_fraction and (times < moment).any():
        train_end = moment_leaving(times[times < moment], validation_fraction)
    whole = aggregate(listens)
    past = whole.before(moment)
    # By when the listens were, so that a pair that is heard again is in several parts.
    parts = [past.before(train_end), past.since(train_end), whole.since(moment)]
    train, validation, test = (part.select(part.plays >= min_plays) for part in parts)
    train = k_core(train, core) if core else train
    first_heard = whole.timestamp
    assert first_heard is not None  # `_times` has seen to it
    kept = np.isin(whole.keys(), train.keys())
    kept |= (first_heard >= train_end) & np.isin(whole.keys(), validation.keys())
    kept |= (first_heard >= moment) & np.isin(whole.keys(), test.keys())
    left_out = whole.select(~kept)
    train, validation, test = compact(train, validation, test)
    found: dict[str, Any] = {"moment": moment, "pairs_filtered_out": len(left_out)}
    if not validation_fraction:
        return left_out, train, None, test, found
    return left_out, train, validation, test, found | {"validation_moment": train_end}


def _given(
    listens: Listens, given_test: Listens | None, min_plays: float, core: int
) -> tuple[Interactions, Interactions, int]:
    if given_test is None:
        raise UserError(
            "config.data.split is 'given'; expected config.data.test_path to name the test file"
        )
    if min_plays > 1 or core:
        raise UserError(
            f"config.data.min_plays is {min_plays} and config.data.core is {core}; expected 1 and "
            "0 with config.data.split=given, whose parts are taken as they are"
        )
    users, train_user, test_user = _merge(listens.users, given_test.users)
    items, train_item, test_item = _merge(listens.items, given_test.items)

    def renumbered(part: Listens, user: np.ndarray, item: np.ndarray) -> Interactions:
        part = dataclasses.replace(
            part, user=user[part.user], item=item[part.item], users=users, items=items
        )
        return aggregate(part)

    train = renumbered(listens, train_user, train_item)
    test = renumbered(given_test, test_user, test_item)
    repeated = np.isin(test.keys(), train.keys())
    train, test = compact(train, test.select(~repeated))
    return train, test, int(repeated.sum())


def _merge(first: IdMap, second: IdMap) -> tuple[IdMap, np.ndarray, np.ndarray]:
    """One map holding the ids of both, and the new index of each of their indices."""
    ids = [first.ids, second.ids]
    if first.ids.dtype != second.ids.dtype:  # whole numbers on one side, text on the other
        ids = [np.array([str(value) for value in part.tolist()], object) for part in ids]
    merged = np.unique(np.concatenate(ids))
    index = [np.searchsorted(merged, part).astype(np.int32) for part in ids]
    names = None
    if first.names is not None or second.names is not None:
        names = np.full(len(merged), "", object)
        for where, part in ((index[1], second), (index[0], first)):
            if part.names is not None:
                known = part.names != ""
                names[where[known]] = part.names[known]
    return IdMap(merged, names), index[0], index[1]


def _cold_counts(users: int, items: int, interactions: int) -> dict[str, int]:
    return {"cold_users": users, "cold_items": items, "cold_interactions": interactions}


def _leave_out_cold(part: Interactions, train: Interactions) -> tuple[Interactions, dict[str, int]]:
    cold_user = ~np.isin(part.user, train.user)
    cold_item = ~np.isin(part.item, train.item)
    cold = cold_user | cold_item
    users, items = np.unique(part.user[cold_user]), np.unique(part.item[cold_item])
    return part.select(~cold), _cold_counts(len(users), len(items), int(cold.sum()))


def _check_not_empty(result: Split) -> None:
    kind = result.protocol["kind"]
    for name in ("train", "validation", "test"):
        part = getattr(result, name)
        if part is not None and not len(part):
            cold = result.protocol["cold"].get(name, {}).get("cold_interactions", 0)
            why = f" but for {cold:,} of users or items that train doesn't know" if cold else ""
            raise UserError(
                f"config.data.split is {kind!r}: the {name} part is empty{why}; expected at least "
                "one interaction in each part"
            )
