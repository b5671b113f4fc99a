"""The most-popular list: what any trained model must beat."""

import numpy as np
from scipy import sparse

from jaxrec.data.interactions import Interactions
from jaxrec.data.weighting import Weighting, weigh
from jaxrec.models.factors import Factors
from jaxrec.models.fold_in import Constant
from jaxrec.models.matrix import Track, untracked


def item_users(train: Interactions) -> np.ndarray:
    """How many users have an interaction with each item: [num_items] int64."""
    return np.bincount(train.item, minlength=train.num_items).astype(np.int64)


def popularity_rank(train: Interactions) -> np.ndarray:
    """Each item's place by number of users, 1 = most: [num_items] int64, ties by index."""
    order = np.argsort(-item_users(train), kind="stable")
    rank = np.empty(train.num_items, np.int64)
    rank[order] = np.arange(1, train.num_items + 1)
    return rank


def fit_recent(
    train: Interactions, *, half_life_days: float, seed: int = 0, track: Track = untracked
) -> Factors:
    """Scores an item by its users, each by how long ago the last listen was: what is in fashion.

    Args:
      train: with the times of its listens.
      half_life_days: after so many days a user counts half.
      seed: not used.
      track: not used.

    Raises:
      UserError: the history has no times.
    """
    del seed, track
    weights = weigh(train, Weighting("binary", half_life_days))
    users = np.bincount(train.item, weights, train.num_items).astype(np.float32)
    return _for_everyone(users, train.num_users)


def of(train: Interactions) -> Factors:
    """`fit` to these interactions."""
    return _for_everyone(item_users(train).astype(np.float32), train.num_users)


def fit(matrix: sparse.csr_array, *, seed: int = 0, track: Track = untracked) -> Factors:
    """Scores an item by its number of users, whoever asks.

    So the most-popular list is ranked, masked and measured by the very code that serves a model.
    float32 holds the counts exactly up to 2^24 = 16,777,216 users of one item; above that, items
    whose counts are within rounding of each other may tie.

    Args:
      matrix: [num_users, num_items].
      seed: not used.
      track: not used.
    """
    del seed, track
    users = np.bincount(matrix.indices, minlength=matrix.shape[1]).astype(np.float32)
    return _for_everyone(users, matrix.shape[0])


def _for_everyone(scores: np.ndarray, num_users: int) -> Factors:
    """The same scores for all: [num_items] float32."""
    one = np.ones((num_users, 1), np.float32)
    return Factors(one, scores[:, None], Constant(np.ones(1, np.float32)))
