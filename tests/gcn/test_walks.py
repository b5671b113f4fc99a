"""Walks are the dense matrix products they claim to be, user by user."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrec.gcn import message_passing
from jaxrec.gcn.model import Embeddings
from jaxrec.gcn.walks import Walks, scores_with_walks
from tests.graphs import graph_from_dense

walk = jax.jit(Walks.__call__, static_argnums=0, static_argnames="max_degree")


def walked(ratings: np.ndarray, users: np.ndarray, **changes: Any) -> np.ndarray:
    settings = {"weight": 1.0, "exponent": 0.3, "kernel": "segment_sum"} | changes
    max_degree = int((ratings > 0).sum(axis=1).max())
    return np.asarray(
        walk(Walks(**settings), graph_from_dense(ratings), users, max_degree=max_degree)
    )


def dense_walks(ratings: np.ndarray, exponent: float) -> np.ndarray:
    """D_u^-1/2 R D_i^-1/2 R^T D_u^-1 R D_i^-c, nodes without edges left out: [users, items]."""
    by_user, by_item = ratings.sum(axis=1, keepdims=True), ratings.sum(axis=0, keepdims=True)
    by_user, by_item = (np.where(total > 0, total, np.inf) for total in (by_user, by_item))
    similar = (ratings / np.sqrt(by_item)).T @ (ratings / by_user)
    ends = np.where(np.isinf(by_item), 0.0, np.where(np.isinf(by_item), 1.0, by_item) ** -exponent)
    return ratings / np.sqrt(by_user) @ similar * ends


@pytest.mark.parametrize("kernel", sorted(message_passing.KERNELS))
@pytest.mark.parametrize("exponent", [0.5, 0.3])
def test_walks_equal_the_dense_matrix_product(
    ratings: np.ndarray, kernel: str, exponent: float
) -> None:
    users = np.arange(len(ratings), dtype=np.int32)
    result = walked(ratings, users, kernel=kernel, exponent=exponent)
    np.testing.assert_allclose(result, dense_walks(ratings, exponent), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("kernel", sorted(message_passing.KERNELS))
def test_a_users_walks_are_the_same_beside_whichever_others(kernel: str) -> None:
    ratings = (np.random.default_rng(0).random((40, 30)) < 0.2).astype(float)
    users = np.arange(40, dtype=np.int32)
    ordered = walked(ratings, users, kernel=kernel)
    for mixed in (users[::-1].copy(), np.full(40, 7, np.int32), (users * 3) % 40):
        np.testing.assert_array_equal(walked(ratings, mixed, kernel=kernel), ordered[mixed])


def test_walks_are_added_to_the_scores_of_listeners_of_length_one() -> None:
    ratings = (np.random.default_rng(1).random((6, 9)) < 0.4).astype(float)
    rng = np.random.default_rng(2)
    embeddings = Embeddings(
        *(jnp.asarray(rng.normal(size=(n, 4)), jnp.float32) for n in ratings.shape)
    )
    users = np.array([4, 1], np.int32)
    scores = scores_with_walks(
        graph_from_dense(ratings),
        embeddings,
        users,
        walks=Walks(weight=2.5, exponent=0.3, kernel="csr"),
        max_degree=9,
    )
    user, item = (np.asarray(part, np.float64) for part in (embeddings.user, embeddings.item))
    learnt = (user / np.linalg.norm(user, axis=1, keepdims=True)) @ item.T
    expected = (learnt + 2.5 * dense_walks(ratings, 0.3))[users]
    np.testing.assert_allclose(scores, expected, rtol=2e-5, atol=2e-6)


def test_a_longer_bound_on_the_degree_changes_nothing() -> None:
    ratings = (np.random.default_rng(3).random((5, 8)) < 0.5).astype(float)
    graph, users = graph_from_dense(ratings), np.arange(5, dtype=np.int32)
    settings = Walks(weight=1.0, exponent=0.3, kernel="csr")
    np.testing.assert_array_equal(
        walk(settings, graph, users, max_degree=8), walk(settings, graph, users, max_degree=20)
    )
