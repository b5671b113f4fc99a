"""The k-core of pairs on disk, a block of users at a time."""

from collections.abc import Callable, Iterator

import numpy as np

# A block's pairs: users [n] int and items [n] int, numbered over all.
Pairs = tuple[np.ndarray, np.ndarray]


def core_mask(
    blocks: Callable[[], Iterator[Pairs]], k: int, *, num_users: int, num_items: int
) -> list[np.ndarray]:
    """Which pairs are left where every user and every item has k: a mask for each block.

    As `interactions.k_core` over all of them.

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
