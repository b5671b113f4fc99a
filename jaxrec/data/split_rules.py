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
    """How a history is cut; `splits.split` has what each field means.

    Raises:
      UserError: a value out of range.
    """

    kind: SplitKind
    seed: int
    test_fraction: float
    last_n: int
    moment: int | None
    validation_fraction: float
    validation_rule: ValidationRule
    validation_last_n: int
    validation_seed: int | None
    min_plays: float
    core: int
    against_plays: float

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
