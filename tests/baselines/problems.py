"""Small listening histories as dense matrices, and baselines fitted to them."""

from typing import Any

import numpy as np

from jaxrec import baselines
from jaxrec.data.interactions import IdMap, Interactions
from jaxrec.data.options import Weight


def random_plays(seed: int, *, users: int, items: int, share: float = 0.3) -> np.ndarray:
    """Play counts [users, items], everyone and everything with at least one."""
    random = np.random.default_rng(seed)
    plays = random.integers(1, 6, (users, items)) * (random.random((users, items)) < share)
    plays[np.arange(users), np.arange(users) % items] += 1
    plays[np.arange(items) % users, np.arange(items)] += 1
    return plays


def as_interactions(table: np.ndarray) -> Interactions:
    """A matrix of play counts as interactions; ids are indices."""
    user, item = np.nonzero(table)
    return Interactions(
        user=user.astype(np.int32),
        item=item.astype(np.int32),
        plays=table[user, item].astype(np.float64),
        timestamp=None,
        users=IdMap(np.arange(table.shape[0])),
        items=IdMap(np.arange(table.shape[1])),
    )


def fit(
    method: str, table: np.ndarray, *, weight: Weight = "binary", seed: int = 0, **settings: Any
) -> np.ndarray:
    """All users' scores by a baseline fitted to the matrix: [users, items] float32."""
    scorer = baselines.fit(method, settings, as_interactions(table), weight=weight, seed=seed)
    scores = scorer(np.arange(len(table), dtype=np.int32))
    assert scores.dtype == np.float32 and scores.shape == table.shape
    return scores
