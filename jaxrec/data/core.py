"""The k-core of pairs: where every user and every item has so many of them.

Seidman 1983, https://doi.org/10.1016/0378-8733(83)90028-X.
"""

from collections.abc import Callable, Iterator

import numpy as np

from jaxrec.data.interactions import Interactions

# A block's pairs: users [n] int and items [n] int, numbered over all.
Pairs = tuple[np.ndarray, np.ndarray]


def k_core(interactions: Interactions, k: int) -> Interactions:
    """The largest part in which every user and every item has at least k interactions.

    Ids are kept; `interactions.compact` drops those left without interactions.
    """
    (mask,) = core_mask(
        lambda: iter([(interactions.user, interactions.item)]),
        k,
        num_users=interactions.num_users,
        num_items=interactions.num_items,
    )
    return interactions.select(mask)


def core_mask(
    blocks: Callable[[], Iterator[Pairs]], k: int, *, num_users: int, num_items: int
) -> list[np.ndarray]:
    """Which pairs are left where every user and every item has k: a mask for each block.

    Removing a user may leave an item with too few, and so on: repeated until nothing changes.

    Args:
      blocks: the pairs, that can be gone through again.
      k: the fewest pairs.
      num_users: how many users there are.
      num_items: how many items there are.
    """
    keep = [np.ones(len(user), bool) for user, _ in blocks()]
    while True:
        user_degree, item_degree = np.zeros(num_users, np.int64), np.zeros(num_items, np.int64)
        for mask, (user, item) in zip(keep, blocks(), strict=True):
            user_degree += np.bincount(user[mask], minlength=num_users)
            item_degree += np.bincount(item[mask], minlength=num_items)
        dropped = 0
        for mask, (user, item) in zip(keep, blocks(), strict=True):
            enough = (user_degree[user] >= k) & (item_degree[item] >= k)
            dropped += int((mask & ~enough).sum())
            mask &= enough
        if not dropped:
            return keep
