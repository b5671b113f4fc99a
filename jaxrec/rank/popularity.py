"""The most-popular list: what any trained model must beat."""

import numpy as np

from jaxrec.data.interactions import Interactions


def item_listeners(train: Interactions) -> np.ndarray:
    """How many users have an interaction with each item: [num_items] int64."""
    return np.bincount(train.item, minlength=train.num_items).astype(np.int64)


def popularity_rank(train: Interactions) -> np.ndarray:
    """Each item's place by number of listeners, 1 = most: [num_items] int64, ties by index."""
    order = np.argsort(-item_listeners(train), kind="stable")
    rank = np.empty(train.num_items, np.int64)
    rank[order] = np.arange(1, train.num_items + 1)
    return rank


def most_popular_embeddings(train: Interactions) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings of one dimension whose inner product is the item's number of listeners.

    So the most-popular list is ranked, masked and measured by the very code that serves a model.
    float32 holds the counts exactly up to 2^24 = 16,777,216 listeners of one item; above that,
    items whose counts are within rounding of each other may tie.

    Returns:
      user embeddings [num_users, 1] float32, all ones; item embeddings [num_items, 1] float32.
    """
    users = np.ones((train.num_users, 1), np.float32)
    return users, item_listeners(train).astype(np.float32)[:, None]
