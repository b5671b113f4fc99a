"""The most-popular list goes by users."""

import numpy as np

from jaxrec.models.popularity import item_users, popularity_rank
from tests.models.problems import as_interactions, fit


def test_most_popular_scores_by_listeners_not_by_plays() -> None:
    table = np.array([[9, 0, 1], [0, 0, 1]])
    np.testing.assert_array_equal(fit("most_popular", table, weight="raw"), [[1, 0, 2], [1, 0, 2]])


def test_ranks_are_by_users_then_by_index() -> None:
    interactions = as_interactions(np.array([[1, 0, 1, 0, 1], [9, 0, 1, 0, 0], [0, 1, 1, 0, 0]]))
    np.testing.assert_array_equal(item_users(interactions), [2, 1, 3, 0, 1])
    np.testing.assert_array_equal(popularity_rank(interactions), [2, 3, 1, 5, 4])
