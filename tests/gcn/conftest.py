"""Small graphs of every shape that has ever been trouble."""

from collections.abc import Callable

import numpy as np
import pytest


def _random(weighted: bool) -> np.ndarray:
    rng = np.random.default_rng(0)
    ratings = (rng.random((17, 23)) < 0.3).astype(float)
    if weighted:
        ratings *= rng.uniform(0.1, 9.0, ratings.shape)
    ratings[3] = 0  # a user without songs
    ratings[:, 5] = 0  # a song without listeners
    return ratings


def _star() -> np.ndarray:
    return np.ones((1, 10_000))


RATINGS: dict[str, Callable[[], np.ndarray]] = {
    "random": lambda: _random(weighted=False),
    "weighted": lambda: _random(weighted=True),
    "one edge": lambda: np.ones((1, 1)),
    "isolated nodes but one edge": lambda: np.eye(4, 6) * (np.arange(4) == 2)[:, None],
    "a node of degree 10,000": _star,
}


@pytest.fixture(params=RATINGS)
def ratings(request: pytest.FixtureRequest) -> np.ndarray:
    """[users, items] edge weights, 0 for no edge, of one small graph after another."""
    return RATINGS[request.param]()
