"""Signals against: what a user skipped or disliked counts less, or is nothing to learn from."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from jaxrec.data.interactions import Interactions, Listens
from jaxrec.data.known import positions


def lowered(
    train: Interactions,
    against: Listens,
    *,
    plays: float,
    begins: np.ndarray | None,
) -> Interactions:
    """Train, each pair with fewer plays by the signals against it; without pairs that have none.

    All listens of a pair lose the same share, so that later and earlier ones stand as before.

    Args:
      train: what is learnt from.
      against: a row per signal, with its own numbering of the ids.
      plays: that each signal takes off its pair.
      begins: [num_users] int64, when what is held out of each user begins: later signals would tell
        of the future. None where no time parts them.
    """
    user = positions(against.users, train.users)[against.user]
    item = positions(against.items, train.items)[against.item]
    there = (user >= 0) & (item >= 0)
    if begins is not None and against.timestamp is not None:
        there &= against.timestamp < begins[user]
    keys = user[there].astype(np.int64) * max(train.num_items, 1) + item[there]
    signals, counts = np.unique(keys, return_counts=True)
    taken = np.zeros(len(train))
    place = np.searchsorted(train.keys(), signals)
    found = place < len(train)
    found[found] = train.keys()[place[found]] == signals[found]
    taken[place[found]] = plays * counts[found]
    share = np.maximum(1 - taken / train.plays, 0)
    events = train.events
    if events is not None:
        events = dataclasses.replace(events, plays=events.plays * share[events.pairs()])
    fewer = dataclasses.replace(train, plays=train.plays * share, events=events)
    return fewer.select(share > 0)


def held_out_begins(
    num_users: int, held_out: Sequence[Interactions | None], *, moment: int | None, by_user: bool
) -> np.ndarray | None:
    """When what is held out of each user begins: [num_users] int64; None where no time says so.

    Args:
      num_users: how many there are.
      held_out: validation and test, those that there are.
      moment: where the first of them begins for all; None where none parts them.
      by_user: whether they begin with each user's first interaction of them instead.
    """
    never = np.iinfo(np.int64).max
    if moment is not None:
        return np.full(num_users, moment, np.int64)
    if not by_user:
        return None
    begins = np.full(num_users, never)
    for part in held_out:
        if part is not None and part.timestamp is not None:
            np.minimum.at(begins, part.user, part.timestamp)
    return begins
