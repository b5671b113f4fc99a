"""What users know though nothing is learnt from it: masked in lists, and in an evaluation if early.

An item that a user skipped, disliked or heard before the time window is no recommendation. An
evaluation may mask it only where the user knew it before what is held out: later, it would tell
of the future.
"""

from collections.abc import Sequence

import numpy as np

from jaxrec.data.ids import IdMap
from jaxrec.data.interactions import Interactions, Listens, aggregate


def find_known(
    listens: Listens, left_out: Interactions | None, parts: Sequence[Interactions | None]
) -> Interactions | None:
    """The pairs that are known and not learnt from, with the ids of the parts; None if none are.

    Args:
      listens: the history, for the pairs that its filters left out; those that are in a part
        nevertheless are to be learnt from or found, so they aren't among these.
      left_out: its pairs that were dropped, such as those too seldom heard, None where none could
        be; its ids are those of `listens`.
      parts: train, validation and test, those that there are.
    """
    train = parts[0]
    assert train is not None
    candidates = [] if listens.known is None else [aggregate(listens.known)]
    if left_out is not None and len(left_out):
        candidates.append(left_out)
    if not candidates:
        return None
    first = candidates[0]
    # From the history's numbers to those of the parts, which left out ids without interactions.
    user = positions(first.users, train.users)
    item = positions(first.items, train.items)
    users = np.concatenate([user[each.user] for each in candidates])
    items = np.concatenate([item[each.item] for each in candidates])
    times = None
    if train.timestamp is not None:
        times = np.concatenate(
            [each.timestamp for each in candidates if each.timestamp is not None]
        )
    dropped = np.repeat([each is left_out for each in candidates], list(map(len, candidates)))
    there = (users >= 0) & (items >= 0)
    # A pair that is both skipped and seldom heard is known from the earlier time.
    found = aggregate(
        Listens(
            user=users[there],
            item=items[there],
            plays=np.ones(int(there.sum())),
            timestamp=None if times is None else times[there],
            users=train.users,
            items=train.items,
        )
    )
    in_parts = np.concatenate([part.keys() for part in parts if part is not None])
    pairs = users.astype(np.int64) * train.num_items + items
    # What was dropped of the past may be heard again in a later part.
    stays = np.isin(found.keys(), pairs[there & dropped]) | ~np.isin(found.keys(), in_parts)
    found = found.select(stays)
    return found if len(found) else None


def positions(ids: IdMap, among: IdMap) -> np.ndarray:
    """Where each of the ids is among others: [len(ids)] int32, -1 where it isn't."""
    if ids.ids is among.ids:
        return np.arange(len(ids), dtype=np.int32)
    if ids.ids.dtype != among.ids.dtype:
        return among.index_of(ids.ids)
    place = np.minimum(np.searchsorted(among.ids, ids.ids), len(among) - 1)
    return np.where(among.ids[place] == ids.ids, place, -1).astype(np.int32)


def before_cut(
    known: Interactions, held_out: Interactions, *, moment: int | None, by_user: bool
) -> Interactions:
    """The known pairs from before what is held out.

    Args:
      known: the pairs.
      held_out: the part that is measured on.
      moment: where the part begins, seconds since 1970; None where no moment parts it.
      by_user: whether it begins with each user's first interaction of it instead.
    """
    if known.timestamp is None or held_out.timestamp is None:
        return known
    if by_user:
        begins = np.full(known.num_users, np.iinfo(np.int64).min)
        has_any = np.isin(np.arange(known.num_users), held_out.user)
        begins[has_any] = np.iinfo(np.int64).max
        np.minimum.at(begins, held_out.user, held_out.timestamp)
        return known.select(known.timestamp < begins[known.user])
    return known if moment is None else known.select(known.timestamp < moment)
