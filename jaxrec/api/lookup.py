"""From the ids of a caller's data to a model's indices; what isn't known is named."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxrec.data.ids import IdMap
from jaxrec.data.splits import Split
from jaxrec.errors import UserError
from jaxrec.runs.trained import known_items


def user_indices(split: Split, users: Sequence[Any] | None) -> np.ndarray:
    """The users' places in the model: [n] int; those of all whom train knows by None.

    Raises:
      UserError: an unknown user.
    """
    train = split.train
    if users is None:
        return np.unique(train.user)
    if isinstance(users, str | bytes):
        raise UserError(f"users is {users!r}; expected a list of ids")
    users = list(users)
    index = train.users.index_of(users)
    degree = np.diff(train.user_offsets())
    for user, position in zip(users, index, strict=True):
        if position < 0 or degree[position] == 0:
            raise UserError(f"user {user!r}: {_unknown(train.users, position, 'user')}")
    return np.asarray(index)


def item_index(split: Split, item: Any) -> int:
    """An item's place in the model.

    Raises:
      UserError: an item that the model doesn't know.
    """
    items = split.train.items
    index = int(items.index_of([item])[0])
    if index < 0 or not known_items(split)[index]:
        raise UserError(f"item {item!r}: {_unknown(items, index, 'item')}")
    return index


def known_rows(split: Split, histories: Sequence[Sequence[Any]]) -> list[np.ndarray]:
    """The indices of each history's items; those that the model doesn't know are left out and told.

    Raises:
      UserError: a history is empty, or nothing of it is known.
    """
    known, rows, unknown, total = known_items(split), [], 0, 0
    for place, history in enumerate(histories):
        index = split.train.items.index_of(history)
        index = index[index >= 0]
        index = index[known[index]]
        if len(history) == 0:
            raise UserError(f"history {place} is empty; expected some of model.items")
        if len(index) == 0:
            raise UserError(
                f"history {place} has no item that the model knows; expected some of model.items"
            )
        unknown, total = unknown + len(history) - len(index), total + len(history)
        rows.append(index)
    if unknown:
        warnings.warn(
            f"{unknown:,} of {total:,} items in the histories are not known and left out",
            stacklevel=4,
        )
    return rows


def _unknown(ids: IdMap, index: int, what: str) -> str:
    if index >= 0:
        return f"this {what} has no training listens, so there is nothing to go by"
    example = ", ".join(map(str, ids.ids[:3].tolist()))
    return f"the model knows no such {what}; expected an id such as {example}"
