"""What is held out of users and items that train doesn't know."""

import numpy as np

from jaxrec.data.interactions import Interactions


def cold_counts(users: int, items: int, interactions: int) -> dict[str, int]:
    """How much there is, by the names that a protocol has."""
    return {"cold_users": users, "cold_items": items, "cold_interactions": interactions}


def leave_out_cold(
    part: Interactions, train: Interactions, *, items_too: bool
) -> tuple[Interactions, dict[str, int]]:
    """The part without cold users and, if so, cold items; and how many these are."""
    cold_user = ~np.isin(part.user, train.user)
    cold_item = ~np.isin(part.item, train.item)
    cold = np.logical_or(cold_user, cold_item & items_too)
    users, items = np.unique(part.user[cold_user]), np.unique(part.item[cold_item])
    return part.select(~cold), cold_counts(len(users), len(items), int(cold.sum()))


def of_newcomers(part: Interactions, train: Interactions) -> Interactions | None:
    """What of a part users have whom train doesn't know, of items that it knows; None for nothing.

    Args:
      part: of a cut by time, so that these users came after the moment.
      train: what was known then.
    """
    newcomers = part.select(~np.isin(part.user, train.user) & np.isin(part.item, train.item))
    return newcomers if len(newcomers) else None


def first_of_each_user(interactions: Interactions, share: float) -> np.ndarray:
    """Each user's first pairs in the order of their first listens, of equal times the lower item.

    Args:
      interactions: with times.
      share: of each user's pairs, rounded half up, but at least one and not the last one left.

    Returns:
      [n] bool; False of all pairs of a user who has one alone.
    """
    assert interactions.timestamp is not None
    order = np.lexsort((interactions.item, interactions.timestamp, interactions.user))
    count = np.bincount(interactions.user, minlength=interactions.num_users)
    wanted = np.clip(np.floor(share * count + 0.5), 1, np.maximum(count - 1, 0))
    place = np.arange(len(order)) - interactions.user_offsets()[interactions.user[order]]
    first = np.zeros(len(order), bool)
    first[order] = place < np.minimum(wanted, count - 1)[interactions.user[order]]
    return first
