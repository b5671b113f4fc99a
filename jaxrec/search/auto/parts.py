"""What auto chooses by: parts of train held out as test may have been, of some users."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from jaxrec.data.cuts import alike_rows, last_rows, moment_leaving, random_rows
from jaxrec.data.interactions import Interactions
from jaxrec.data.options import SplitKind
from jaxrec.data.splits import Split
from jaxrec.data.yambda import DAY, GAP
from jaxrec.errors import UserError

ALIKE = 0.35  # of the users, in a part that is cut both ways
FRACTION = 0.1  # of train, held out
LATEST = 0.1  # of its listens, where it is cut by time
LATER = ("time", "yambda", "last_n")  # kinds of which test is later than train


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """Train and validation, and how each user's validation was cut.

    Attributes:
      split: both; there is no test.
      alike: [num_users] bool: whose items were held out together with those most alike them, and
        not at random. A method that leans on near neighbours does well where items are held out
        at random, and test need not be so kind (docs/lab/gowalla-validation.md): so a blend's
        members have to gain by both rules, and one fit serves both.
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


@dataclasses.dataclass(frozen=True, eq=False)
class Parts:
    """What is chosen by which parts (docs/lab/auto-parts.md, docs/lab/auto-blends.md).

    Attributes:
      network: those that choose the network's settings and what counts at ranking, cut at random
        alone: what goes together, taken out of train, makes walks look worse than they are.
      fresh: those for the blend, cut both ways; the very list of `network` where there are none.
      closed_forms: how many there are, at most, to choose the closed forms' settings.
      cut_closed_forms: cuts those, both ways: what goes together is then gone from train, and so
        methods that lean on near neighbours, though scored by users cut at random, aren't tuned to
        it. They are cut when asked for: of large data they need not be kept.

    Where test is later than train so are all of them: `fresh` holds those of `network`, which the
    closed forms choose by, too.
    """

    network: Sequence[Part]
    fresh: Sequence[Part]
    closed_forms: int
    cut_closed_forms: Callable[[], Sequence[Part]]


def validation_parts(
    train: Interactions,
    kind: SplitKind,
    count: int,
    *,
    seed: int,
    users: int,
    both_ways: bool = False,
) -> list[Part]:
    """Cuts train so many times.

    Args:
      train: all that may be known.
      kind: how test was cut: after one of `LATER` the first part is the latest, the second the
        latest of what is before it, and so on.
      count: how many parts, at most; the k-th, from 0, is cut with `seed` + k, and left out where
        it holds nothing out.
      seed: of the cuts and of the choice of users.
      users: of how many users, at most, a part has interactions.
      both_ways: whether some users' items are held out together with those most alike them; unless
        test was cut at `random`, or is later.

    Raises:
      UserError: too little is known of everyone to hold anything out.
    """
    if kind in LATER and train.timestamp is not None:
        parts = _one_before_the_other(train, kind, count, seed, users)
    else:
        parts = []
        for own in range(seed, seed + count):
            rows = random_rows(train, FRACTION, own)
            rng = np.random.default_rng(own)
            share = ALIKE if both_ways and kind != "random" else 0.0
            alike = rng.random(train.num_users) < share
            # Of many users few are measured, and only theirs are worth looking for.
            measured = np.zeros(train.num_users, bool)
            able = np.unique(train.user[rows])
            measured[able if len(able) <= users else rng.choice(able, users, replace=False)] = True
            alike &= measured
            if alike.any():
                together = alike_rows(train, FRACTION, own, alike)
                rows = np.where(alike[train.user], together, rows)
            held_out = train.select(rows & measured[train.user])
            found = _of_some(train.select(~rows), held_out, own, users)
            parts.append(Part(found, alike))
    parts = [part for part in parts if part.split.validation is not None]
    if not parts:
        raise UserError(
            f"config.method is 'auto' with {len(train):,} interactions of {train.num_users:,} "
            "users: none can be held out to choose by; expected users with several songs each, or "
            "a method named by config.method, such as most_popular"
        )
    return parts


def _one_before_the_other(
    train: Interactions, kind: SplitKind, count: int, seed: int, users: int
) -> list[Part]:
    """The latest part, then what is the latest before it, and so on; fewer where train ends."""
    parts: list[Part] = []
    for own in range(seed, seed + count):
        earlier, later = _latest(train, kind, seed)
        found = _of_some(earlier, later, own, users, kind="yambda" if kind == "yambda" else "auto")
        if found.validation is None:
            break
        parts.append(Part(found, np.zeros(train.num_users, bool)))
        train = earlier
    return parts


def _latest(train: Interactions, kind: SplitKind, seed: int) -> tuple[Interactions, Interactions]:
    """Train without its latest part, and that: each user's last item, the last day or a share."""
    if kind == "yambda":
        moment = train.listens().moment - DAY
        return train.before(moment - GAP), train.since(moment)
    if kind == "time" and train.events is not None:
        moment = moment_leaving(train.events.timestamp, LATEST)
        return train.before(moment), train.since(moment)
    assert train.timestamp is not None
    if kind == "last_n":
        rows = last_rows(train, 1, seed)
    else:
        rows = np.asarray(train.timestamp >= moment_leaving(train.timestamp, FRACTION))
    return train.select(~rows), train.select(rows)


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
