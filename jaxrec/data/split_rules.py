"""What a split's parts are cut by: its kind and the kind's settings, checked in one place."""

import dataclasses
from collections.abc import Callable
from typing import get_args

import numpy as np

from jaxrec.data.cuts import alike_rows, random_rows
from jaxrec.data.interactions import Interactions
from jaxrec.data.options import SplitKind, ValidationRule
from jaxrec.errors import UserError

KINDS = get_args(SplitKind)
# By `validation_rule`: marks a share of each user's rows, by interactions, share and seed.
HELD_OUT: dict[str, Callable[[Interactions, float, int], np.ndarray]] = {
    "random": random_rows,
    "alike": alike_rows,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rules:
    """How a history is cut.

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
      yambda: as `time`, but in the Yambda benchmark's windows (`data.yambda`): test is the day
        from `moment` on, else the last one; validation, where a fraction is given, whichever, the
        day before; nothing is filtered, and what is heard of cold items stays.
      given: `listens` is train and `given_test` is test, unfiltered. A pair of test that train
        has already is dropped from test, and counted in the protocol.

    Attributes:
      kind: one of `KINDS`.
      seed: seed of the random choices, >= 0.
      test_fraction: share of test, between 0 and 1; for `time` the share of the listens at or
        after the moment, where no moment is given.
      last_n: for `last_n`, interactions per user in test, >= 1.
      moment: for `time` and `yambda`, seconds since 1970-01-01 UTC.
      validation_fraction: share of the train part that becomes validation, 0 for none. For
        `random` and `given` it is cut by `validation_rule`; for `time` at a second, earlier
        moment, and train has only the listens before that one. `last_n` and `none` ignore it.
      validation_rule: for `random` and `given`, `random` as the kind `random` does, or `alike`,
        the user's items that go together (`cuts.alike_rows`); the other kinds ignore it.
      validation_last_n: for `last_n`, interactions per user in validation, 0 for none; the other
        kinds ignore it.
      validation_seed: for `random` and `given`, the seed of the validation part alone; None for
        that of all.
      min_plays: pairs with fewer plays are dropped (with `time`: fewer within their part).
      core: users and items with fewer interactions are dropped until none is left, 0 for no
        such filter. With `time` this is done to train only.
      against_plays: plays that each signal against an item (`Listens.against`) takes off its pair
        in train, when all is cut; with none left nothing is learnt of it. With `time`, `yambda` and
        `last_n` only signals from before what is held out count.

    Raises:
      UserError: a value out of range.
    """

    kind: SplitKind
    seed: int
    test_fraction: float = 0.2
    last_n: int = 1
    moment: int | None = None
    validation_fraction: float = 0.0
    validation_rule: ValidationRule = "random"
    validation_last_n: int = 0
    validation_seed: int | None = None
    min_plays: float = 1
    core: int = 0
    against_plays: float = 1

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UserError(
                f"config.data.split is {self.kind!r}; expected one of {', '.join(KINDS)}"
            )
        if self.validation_rule not in HELD_OUT:
            raise UserError(
                f"config.data.validation_rule is {self.validation_rule!r}; expected one of "
                f"{', '.join(HELD_OUT)}"
            )
        allowed: dict[str, tuple[bool, str]] = {
            "seed": (self.seed >= 0, "0 or more"),
            "test_fraction": (0 < self.test_fraction < 1, "a number between 0 and 1"),
            "last_n": (self.last_n >= 1, "1 or more"),
            "validation_fraction": (0 <= self.validation_fraction < 1, "0 up to below 1"),
            "validation_last_n": (self.validation_last_n >= 0, "0 or more"),
            "min_plays": (self.min_plays >= 0, "0 or more"),
            "core": (self.core >= 0, "0 or more"),
            "against_plays": (self.against_plays > 0, "a number above 0"),
        }
        for field, (good, expected) in allowed.items():
            if not good:
                name = field if field == "seed" else f"data.{field}"
                raise UserError(f"config.{name} is {getattr(self, field)}; expected {expected}")
