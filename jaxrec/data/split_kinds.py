"""The kinds of split, a function each: from a history to its parts, whether cold or not."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from jaxrec.data.core import k_core
from jaxrec.data.cuts import cut_by_time, last_rows, moment_leaving, random_rows, tied_users
from jaxrec.data.given_parts import with_common_ids
from jaxrec.data.interactions import Interactions, Listens, aggregate, compact
from jaxrec.data.options import SplitKind
from jaxrec.data.split_rules import HELD_OUT, Rules
from jaxrec.data.yambda import last_day, windows, within
from jaxrec.errors import UserError


@dataclasses.dataclass(frozen=True, eq=False)
class Parts:
    """A history that has been cut.

    Attributes:
      train: what the model learns from.
      validation: interactions to choose by, of any users and items; None where there are none.
      test: interactions to report on, likewise.
      left_out: the history's pairs that a filter dropped, with the history's own ids; None where
        nothing is filtered.
      protocol: what is to be told of the cut.
    """

    train: Interactions
    validation: Interactions | None = None
    test: Interactions | None = None
    left_out: Interactions | None = None
    protocol: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def cut(listens: Listens, given_test: Listens | None, rules: Rules) -> Parts:
    """Cuts a history by the rules.

    Args:
      listens: the history; for the kind `given` its train part.
      given_test: for `given` the test part, else None.
      rules: the kind and its settings.

    Raises:
      UserError: the kind needs times or a test file that there aren't, or filters leave nothing.
    """
    if rules.kind == "given":
        return _given(listens, given_test, rules)
    if given_test is not None:
        raise UserError(
            f"config.data.split is {rules.kind!r} but there is a test file; expected given"
        )
    return _OF_ONE[rules.kind](listens, rules)


def _whole(listens: Listens, rules: Rules) -> Parts:
    """Everything is train, but for what the filters drop."""
    whole = aggregate(listens)
    kept = whole.select(whole.plays >= rules.min_plays)
    kept = k_core(kept, rules.core) if rules.core else kept
    if not len(kept):
        raise UserError(
            f"config.data.min_plays is {rules.min_plays} and config.data.core is {rules.core}; "
            f"expected lower values: no interaction is left of {len(whole):,}"
        )
    left_out = whole.select(~whole.among(kept))
    (kept,) = compact(kept)
    return Parts(
        train=kept,
        left_out=left_out,
        protocol=_filters(rules) | {"pairs_filtered_out": len(left_out), "validation": None},
    )


def _at_random(listens: Listens, rules: Rules) -> Parts:
    """A share of each user's interactions is test, and of the rest validation."""
    parts = _whole(listens, rules)
    train, test = _cut(parts.train, random_rows(parts.train, rules.test_fraction, rules.seed))
    parts = dataclasses.replace(
        parts,
        train=train,
        test=test,
        protocol={**parts.protocol, "test_fraction": rules.test_fraction},
    )
    return _with_validation(parts, rules)


def _last(listens: Listens, rules: Rules) -> Parts:
    """Each user's last interactions are test, and those before them validation."""
    _times(listens, rules)
    parts = _whole(listens, rules)
    train, test = _cut(parts.train, last_rows(parts.train, rules.last_n, rules.seed))
    protocol = {
        **parts.protocol,
        "last_n": rules.last_n,
        "tied_users": tied_users(parts.train, rules.last_n),
    }
    validation = None
    if rules.validation_last_n:
        train, validation = _cut(train, last_rows(train, rules.validation_last_n, rules.seed))
        protocol["validation"] = {"kind": "last_n", "last_n": rules.validation_last_n}
    return Parts(train, validation, test, parts.left_out, protocol)


def _by_time(listens: Listens, rules: Rules) -> Parts:
    """Listens from a moment on are test, and those from an earlier one on validation."""
    times = _times(listens, rules)
    moment = rules.moment
    protocol = _filters(rules) | {"validation": None}
    if moment is None:
        moment = moment_leaving(times, rules.test_fraction)
        protocol["test_fraction"] = rules.test_fraction
    train_end = moment
    if rules.validation_fraction and (times < moment).any():
        train_end = moment_leaving(times[times < moment], rules.validation_fraction)
    whole = aggregate(listens)
    train = whole.before(train_end)
    train = train.select(train.plays >= rules.min_plays)
    train = k_core(train, rules.core) if rules.core else train
    validation, test, left_out = cut_by_time(
        whole, train, moment=moment, validation_moment=train_end, min_plays=rules.min_plays
    )
    train, validation, test = compact(train, validation, test)
    protocol |= {"moment": moment, "pairs_filtered_out": len(left_out)}
    if not rules.validation_fraction:
        return Parts(train, None, test, left_out, protocol)
    protocol |= {
        "validation_moment": train_end,
        "validation": {"kind": "time", "fraction": rules.validation_fraction},
    }
    return Parts(train, validation, test, left_out, protocol)


def _yambda(listens: Listens, rules: Rules) -> Parts:
    """The Yambda benchmark's windows; nothing is filtered."""
    times = _times(listens, rules)
    _refuse_filters(rules)
    moment = last_day(times) if rules.moment is None else rules.moment
    found = windows(moment, with_validation=rules.validation_fraction > 0)
    whole = aggregate(listens)
    parts = [
        within(whole, window) for window in (found.train, found.validation, found.test) if window
    ]
    train, *validation, test = compact(*parts)
    protocol = {"moment": moment, "windows": dataclasses.asdict(found), "validation": None}
    if found.validation is not None:
        protocol["validation_moment"] = found.validation[0]
        protocol["validation"] = {"kind": "yambda"}
    return Parts(train, validation[0] if validation else None, test, None, protocol)


def _given(listens: Listens, given_test: Listens | None, rules: Rules) -> Parts:
    """Both parts are there; a pair that train has is dropped from test."""
    if given_test is None:
        raise UserError(
            "config.data.split is 'given'; expected config.data.test_path to name the test file"
        )
    _refuse_filters(rules)
    train, test = with_common_ids(listens, given_test)
    repeated = test.among(train)
    train, test = compact(train, test.select(~repeated))
    protocol = {"test_pairs_already_in_train": int(repeated.sum()), "validation": None}
    return _with_validation(Parts(train, None, test, None, protocol), rules)


_OF_ONE: dict[SplitKind, Callable[[Listens, Rules], Parts]] = {
    "none": _whole,
    "random": _at_random,
    "last_n": _last,
    "time": _by_time,
    "yambda": _yambda,
}


def _with_validation(parts: Parts, rules: Rules) -> Parts:
    """The parts with some of train as validation, by `validation_rule`, where a share is asked."""
    if not rules.validation_fraction:
        return parts
    told: dict[str, Any] = {"kind": rules.validation_rule, "fraction": rules.validation_fraction}
    seed = rules.seed
    if rules.validation_seed is not None:
        told["seed"] = seed = rules.validation_seed
    rows = HELD_OUT[rules.validation_rule](parts.train, rules.validation_fraction, seed)
    train, validation = _cut(parts.train, rows)
    return dataclasses.replace(
        parts,
        train=train,
        validation=validation,
        protocol={**parts.protocol, "validation": told},
    )


def _filters(rules: Rules) -> dict[str, Any]:
    return {"min_plays": rules.min_plays, "core": rules.core}


def _refuse_filters(rules: Rules) -> None:
    if rules.min_plays > 1 or rules.core:
        raise UserError(
            f"config.data.min_plays is {rules.min_plays} and config.data.core is {rules.core}; "
            f"expected 1 and 0 with config.data.split={rules.kind}, whose parts are taken as they "
            "are"
        )


def _times(listens: Listens, rules: Rules) -> np.ndarray:
    if listens.timestamp is None:
        raise UserError(
            f"config.data.split is {rules.kind!r} but the listens have no times; expected "
            "config.data.columns.timestamp to name the column with them"
        )
    if rules.kind != "last_n" and not len(listens):
        raise UserError(
            f"config.data.split is {rules.kind!r} but the history is empty; expected listens"
        )
    return listens.timestamp


def _cut(whole: Interactions, rows: np.ndarray) -> tuple[Interactions, Interactions]:
    """The rows not marked, and those marked (`rows`: [n] bool)."""
    return whole.select(~rows), whole.select(rows)
