"""A pair of given parts: two histories with ids of their own, brought to common ones."""

import dataclasses

import numpy as np

from jaxrec.data.ids import IdMap
from jaxrec.data.interactions import Interactions, Listens, aggregate


def with_common_ids(first: Listens, second: Listens) -> tuple[Interactions, Interactions]:
    """The interactions of two histories, their ids numbered over both."""
    users, *user = _merge(first.users, second.users)
    items, *item = _merge(first.items, second.items)
    one, other = (
        aggregate(
            dataclasses.replace(
                part,
                user=user[place][part.user],
                item=item[place][part.item],
                users=users,
                items=items,
            )
        )
        for place, part in enumerate((first, second))
    )
    return one, other


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
