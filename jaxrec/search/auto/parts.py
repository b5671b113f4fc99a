"""What auto chooses by: parts of train held out as test may have been, of some users."""

import dataclasses
from typing import Any, Literal

import numpy as np

from jaxrec.data.cuts import alike_rows, last_rows, moment_leaving, random_rows
from jaxrec.data.interactions import Interactions
from jaxrec.data.options import SplitKind
from jaxrec.data.splits import Split
from jaxrec.data.yambda import DAY, GAP
from jaxrec.errors import UserError

ALIKE = 0.35  # of the users
FRACTION = 0.1  # of train, held out
LATEST = 0.1  # of its listens, where it is cut by time


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """Train and validation, and how each user's validation was cut.

    Attributes:
      split: both; there is no test.
      alike: [num_users] bool: whose items were held out together with those most alike them, and
        not at random. Settings are chosen by the others, as test is mostly cut at random. But a
        method that leans on near neighbours does well on such a part alone, and test need not be so
        kind (docs/lab/gowalla-validation.md): so a blend's members have to gain by both rules. One
        fit serves both.
    """

    split: Split
    alike: np.ndarray

    @property
    def at_random(self) -> Split:
        """The split with the validation of the users whose items were held out at random alone."""
        validation = self.split.validation
        assert validation is not None
        rows = ~self.alike[validation.user]
        if not rows.any():
            return self.split
        return dataclasses.replace(self.split, validation=validation.select(rows))


def validation_parts(
    train: Interactions, kind: SplitKind, count: int, *, seed: int, users: int
) -> list[Part]:
    """Cuts train so many times.

    Args:
      train: all that may be known.
      kind: how test was cut: after `time` or `last_n` the one part is the latest, and where it was
        cut at `random`, so is every user's validation.
      count: how many parts; the k-th, from 0, is cut with `seed` + k.
      seed: of the cuts and of the choice of users.
      users: of how many users, at most, a part has interactions.

    Raises:
      UserError: too little is known of everyone to hold anything out.
    """
    nobody = np.zeros(train.num_users, bool)
    if kind in ("time", "yambda", "last_n") and train.timestamp is not None:
        if kind == "yambda":
            moment = train.listens().moment - DAY
            cut = _of_some(
                train.before(moment - GAP), train.since(moment), seed, users, kind="yambda"
            )
        elif kind == "time" and train.events is not None:
            moment = moment_leaving(train.events.timestamp, LATEST)
            cut = _of_some(train.before(moment), train.since(moment), seed, users)
        else:
            cut = _split(train, _latest(train, kind, seed), seed, users)
        parts = [Part(cut, nobody)]
    else:
        parts = []
        for own in range(seed, seed + count):
            share = 0.0 if kind == "random" else ALIKE
            alike = np.random.default_rng(own).random(train.num_users) < share
            rows = np.where(
                alike[train.user],
                alike_rows(train, FRACTION, own),
                random_rows(train, FRACTION, own),
            )
            parts.append(Part(_split(train, rows, own, users), alike))
    if any(part.split.validation is None for part in parts):
        raise UserError(
            f"config.method is 'auto' with {len(train):,} interactions of {train.num_users:,} "
            "users: none can be held out to choose by; expected users with several songs each, or "
            "a method named by config.method, such as most_popular"
        )
    return parts


def _latest(train: Interactions, kind: SplitKind, seed: int) -> np.ndarray:
    """[n] bool: each user's last interaction, or the latest share of all."""
    assert train.timestamp is not None
    if kind == "last_n":
        return last_rows(train, 1, seed)
    return np.asarray(train.timestamp >= moment_leaving(train.timestamp, FRACTION))


def _split(whole: Interactions, held_out: np.ndarray, seed: int, users: int) -> Split:
    """Train without the rows held out, and of these what train knows, for some users."""
    return _of_some(whole.select(~held_out), whole.select(held_out), seed, users)


def _of_some(
    train: Interactions,
    validation: Interactions,
    seed: int,
    users: int,
    *,
    kind: Literal["auto", "yambda"] = "auto",
) -> Split:
    """Of validation what train knows, for some users; with `yambda` cold items stay."""
    known = np.isin(validation.user, train.user)
    if kind != "yambda":
        known &= np.isin(validation.item, train.item)
    validation = validation.select(known)
    everyone = np.unique(validation.user)
    if len(everyone) > users:
        chosen = np.random.default_rng(seed).choice(everyone, users, replace=False)
        validation = validation.select(np.isin(validation.user, chosen))
    protocol: dict[str, Any] = {"kind": kind, "seed": seed, "cold": {}}
    return Split(train, validation if len(validation) else None, None, protocol)
