"""Bipartite graphs of any size with Gowalla's density and about its skew."""

import numpy as np

from jaxrec.data.ids import IdMap
from jaxrec.data.interactions import Interactions

EDGES_PER_USER = 27  # Gowalla's training part: 810,128 edges, 29,858 users, 40,981 items
EDGES_PER_ITEM = 20
USER_EXPONENT = 0.6
ITEM_EXPONENT = 0.8
RANK_OFFSET = 30


def interactions(num_edges: int, *, seed: int) -> Interactions:
    """Distinct pairs drawn with both ends power-law distributed, independently.

    The node of rank r is drawn with a probability proportional to (r + 30)^-exponent; the ranks
    are dealt to the nodes at random, so that their numbers say nothing about their degrees. Users
    and items grow in proportion to the edges.

    Args:
      num_edges: how many pairs, at least 1,000.
      seed: of all randomness.

    Raises:
      ValueError: fewer edges than that.
    """
    if num_edges < 1000:
        raise ValueError(f"num_edges is {num_edges}; expected at least 1000")
    num_users, num_items = num_edges // EDGES_PER_USER, num_edges // EDGES_PER_ITEM
    random = np.random.default_rng(seed)
    user_of_rank = random.permutation(num_users)
    item_of_rank = random.permutation(num_items)
    key = np.zeros(0, np.int64)
    while len(key) < num_edges:
        count = (num_edges - len(key)) * 9 // 8 + 100
        user = user_of_rank[_ranks(random, num_users, USER_EXPONENT, count)]
        item = item_of_rank[_ranks(random, num_items, ITEM_EXPONENT, count)]
        key = np.sort(np.concatenate([key, user * num_items + item]))
        key = key[np.diff(key, prepend=-1) > 0]  # np.unique takes several times as long
    key = np.delete(key, random.choice(len(key), len(key) - num_edges, replace=False))
    return Interactions(
        user=(key // num_items).astype(np.int32),
        item=(key % num_items).astype(np.int32),
        plays=np.ones(num_edges),
        timestamp=None,
        users=IdMap(np.arange(num_users)),
        items=IdMap(np.arange(num_items)),
    )


def _ranks(random: np.random.Generator, size: int, exponent: float, count: int) -> np.ndarray:
    cumulative = np.cumsum((np.arange(size) + RANK_OFFSET) ** -exponent)
    return np.searchsorted(cumulative, random.random(count) * cumulative[-1], side="right")
