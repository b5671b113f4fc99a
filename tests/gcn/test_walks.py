"""Scores with walks are the dense matrix products they claim to be, user by user."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from jaxrec.gcn.model import Embeddings
from jaxrec.gcn.walks import Walks, scores_with_walks, walk_model

from tests.graphs import graph_from_dense
from tests.kernels import KERNELS

WALKS = {"weight": 2.5, "exponent": 0.3, "longer": 0.4}


def embeddings_for(ratings: np.ndarray) -> Embeddings:
    rng = np.random.default_rng(2)
    return Embeddings(*(jnp.asarray(rng.normal(size=(n, 4)), jnp.float32) for n in ratings.shape))


def walked(
    ratings: np.ndarray, users: np.ndarray, *, spare: int = 0, scale: float = 1.0, **changes: Any
) -> np.ndarray:
    walks = Walks(**({"kernel": "segment_sum"} | WALKS | changes))
    embeddings = embeddings_for(ratings)
    model = walk_model(
        graph_from_dense(ratings),
        Embeddings(user=embeddings.user, item=scale * embeddings.item),
        walks=walks,
        max_degree=int((ratings > 0).sum(axis=1).max()) + spare,
    )
    return np.asarray(scores_with_walks(model, users))


def parted(
    users: np.ndarray, songs: np.ndarray, known: np.ndarray, length: np.ndarray | None = None
) -> np.ndarray:
    """Inner products of users at length 1 with songs whose lengths' root mean square is 1."""
    length = np.linalg.norm(users if length is None else length, axis=1, keepdims=True)
    mean = np.sqrt((np.linalg.norm(songs[known], axis=1) ** 2).mean())
    return np.divide(users, length, where=length > 0, out=np.zeros_like(users)) @ songs.T / mean


def dense(ratings: np.ndarray, weight: float, exponent: float, longer: float) -> np.ndarray:
    """The formula of `walk_model` in dense float64 matrices: [users, items]."""
    known = ratings.any(axis=0)
    by_user, by_item = ratings.sum(axis=1), ratings.sum(axis=0)
    by_user, by_item = (np.where(total > 0, total, 1) for total in (by_user, by_item))
    listeners = ratings / np.sqrt(by_item) @ (ratings / np.sqrt(by_user)[:, None]).T
    normalised = ratings / np.sqrt(by_user)[:, None] / np.sqrt(by_item)
    own = listeners - longer * listeners @ normalised @ normalised.T
    songs = (ratings / np.sqrt(by_user)[:, None] * by_item**-exponent).T
    learnt = embeddings_for(ratings)
    user, item = (np.asarray(part, np.float64) for part in (learnt.user, learnt.item))
    return parted(user, item, known) + weight * parted(own, songs, known, listeners)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("changes", [{}, {"exponent": 0.5, "longer": 0.0}, {"longer": 1.0}])
def test_scores_equal_the_dense_matrix_products(
    ratings: np.ndarray, kernel: str, changes: dict[str, float]
) -> None:
    users = np.arange(len(ratings), dtype=np.int32)
    result = walked(ratings, users, kernel=kernel, **changes)
    settings = WALKS | changes
    # A float32 sum over n neighbours is off by at most n 2^-24 of itself. That of walks of three
    # steps scales them as a whole and cancels with their length; that of the longer ones doesn't.
    rounding = settings["weight"] * settings["longer"] * (ratings > 0).sum(axis=1).max() * 2**-24
    np.testing.assert_allclose(result, dense(ratings, **settings), rtol=2e-5, atol=2e-5 + rounding)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_users_scores_are_the_same_beside_whichever_others(kernel: str) -> None:
    ratings = (np.random.default_rng(0).random((40, 30)) < 0.2).astype(float)
    users = np.arange(40, dtype=np.int32)
    ordered = walked(ratings, users, kernel=kernel)
    for mixed in (users[::-1].copy(), np.full(40, 7, np.int32), (users * 3) % 40):
        np.testing.assert_array_equal(walked(ratings, mixed, kernel=kernel), ordered[mixed])


def test_the_embeddings_scale_and_a_longer_bound_on_degrees_change_nothing() -> None:
    ratings = (np.random.default_rng(3).random((5, 8)) < 0.5).astype(float)
    users = np.arange(5, dtype=np.int32)
    plain = walked(ratings, users)
    np.testing.assert_array_equal(walked(ratings, users, spare=3), plain)
    np.testing.assert_array_equal(walked(ratings, users, scale=8.0), plain)
