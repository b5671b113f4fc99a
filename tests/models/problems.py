"""Small listening histories as dense matrices, and models fitted to them."""

from typing import Any

import numpy as np
from scipy import sparse

from jaxrec.data.ids import IdMap
from jaxrec.data.interactions import Interactions
from jaxrec.data.options import Weight
from jaxrec.models import closed_forms
from jaxrec.models.histories import Histories
from jaxrec.models.model import Model


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


def histories_of(table: np.ndarray, weight: Weight = "raw") -> Histories:
    """Every user's history."""
    return Histories.of_all(as_interactions(table), weight)


def as_matrix(table: np.ndarray, weight: Weight = "raw") -> sparse.csr_array:
    """What the closed forms are fitted to."""
    return histories_of(table, weight).matrix()


def fit_model(
    method: str, table: np.ndarray, *, weight: Weight = "binary", seed: int = 0, **settings: Any
) -> Model:
    """A closed form fitted to the matrix."""
    return closed_forms.fit(method, settings, as_interactions(table), weight=weight, seed=seed)


def fit(
    method: str, table: np.ndarray, *, weight: Weight = "binary", seed: int = 0, **settings: Any
) -> np.ndarray:
    """All users' scores by a closed form fitted to the matrix: [users, items] float32."""
    model = fit_model(method, table, weight=weight, seed=seed, **settings)
    scores = np.asarray(model.scores(histories_of(table, weight)))
    assert scores.dtype == np.float32 and scores.shape == table.shape
    return scores
