"""Scores of walks are the dense matrix products they claim to be, history by history."""

import numpy as np
import pytest

from jaxrec.models.factors import Factors
from jaxrec.models.fold_in import Constant
from jaxrec.models.histories import Histories
from jaxrec.models.model import Model
from jaxrec.models.walks import beside_walks, walks
from tests.gcn.conftest import RATINGS
from tests.graphs import graph_from_dense
from tests.kernels import HERE, in_order, with_kernel
from tests.models.problems import fit_model, histories_of

SETTINGS = {"exponent": 0.3, "longer": 0.4}
WEIGHT = 2.5


@pytest.fixture(params=RATINGS)
def ratings(request: pytest.FixtureRequest) -> np.ndarray:
    """[users, items] weights, 0 for none, of one small graph after another."""
    return RATINGS[request.param]()


def factors_for(ratings: np.ndarray, *, scale: float = 1.0) -> Factors:
    rng = np.random.default_rng(2)
    user, item = (rng.normal(size=(n, 4)).astype(np.float32) for n in ratings.shape)
    return Factors(user, np.float32(scale) * item, Constant(np.zeros(4, np.float32)))


def walked(
    ratings: np.ndarray, *, scale: float = 1.0, kernel: str = "auto", **changes: float
) -> Model:
    filtered = walks(graph_from_dense(ratings), kernel=kernel, **SETTINGS | changes)
    factors = factors_for(ratings, scale=scale)
    return beside_walks(factors, filtered, WEIGHT, ratings.any(axis=0))


def parted(
    users: np.ndarray, items: np.ndarray, known: np.ndarray, length: np.ndarray | None = None
) -> np.ndarray:
    """Inner products of users at length 1 with items whose lengths' root mean square is 1."""
    length = np.linalg.norm(users if length is None else length, axis=1, keepdims=True)
    mean = np.sqrt((np.linalg.norm(items[known], axis=1) ** 2).mean())
    return np.divide(users, length, where=length > 0, out=np.zeros_like(users)) @ items.T / mean


def dense_walks(ratings: np.ndarray, exponent: float, longer: float) -> np.ndarray:
    """The formula of `walks` in dense float64 matrices: [users, items]."""
    known = ratings.any(axis=0)
    by_user, by_item = ratings.sum(axis=1), ratings.sum(axis=0)
    by_user, by_item = (np.where(total > 0, total, 1) for total in (by_user, by_item))
    users = ratings / np.sqrt(by_item) @ (ratings / np.sqrt(by_user)[:, None]).T
    normalised = ratings / np.sqrt(by_user)[:, None] / np.sqrt(by_item)
    own = users - longer * users @ normalised @ normalised.T
    items = (ratings / np.sqrt(by_user)[:, None] * by_item**-exponent).T
    return parted(own, items, known, users)


def rounding(ratings: np.ndarray, longer: float) -> float:
    """How far off walks may be.

    A float32 sum over n neighbours is off by at most n 2^-24 of itself. That of walks of three
    steps scales them as a whole and cancels with their length; that of the longer ones doesn't.
    """
    return float(longer * (ratings > 0).sum(axis=1).max() * 2**-24)


@pytest.mark.parametrize(
    ("kernel", "changes"),
    [
        *(with_kernel(name, name, {}) for name in HERE),
        ("segment_sum", {"exponent": 0.5, "longer": 0.0}),
        ("segment_sum", {"longer": 1.0}),
    ],
)
def test_scores_equal_the_dense_matrix_products(
    ratings: np.ndarray, kernel: str, changes: dict[str, float]
) -> None:
    found = walked(ratings, kernel=kernel, **changes).scores(histories_of(ratings))
    learnt, settings = factors_for(ratings), SETTINGS | changes
    user, item = (np.asarray(part, np.float64) for part in (learnt.user, learnt.item))
    expected = parted(user, item, ratings.any(axis=0)) + WEIGHT * dense_walks(ratings, **settings)
    close = WEIGHT * rounding(ratings, settings["longer"])
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5 + close)


def test_walks_alone_are_the_same_walks(ratings: np.ndarray) -> None:
    model = fit_model("walks", ratings, weight="raw", ends=0, **SETTINGS)
    found = model.scores(histories_of(ratings))
    expected = dense_walks(ratings, **SETTINGS)
    close = rounding(ratings, SETTINGS["longer"])
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5 + close)


@pytest.mark.parametrize("kernel", [with_kernel(name, same_bits=True) for name in HERE])
def test_a_users_scores_are_the_same_beside_whichever_others(kernel: str) -> None:
    ratings = (np.random.default_rng(0).random((40, 30)) < 0.2).astype(float)
    users = np.arange(40, dtype=np.int32)
    model, histories = walked(ratings, kernel=kernel), histories_of(ratings)
    ordered = np.asarray(model.scores(histories))
    for mixed in (users[::-1].copy(), np.full(40, 7, np.int32), (users * 3) % 40):
        np.testing.assert_array_equal(model.scores(histories.take(mixed)), ordered[mixed])


def test_the_embeddings_scale_changes_nothing() -> None:
    ratings = (np.random.default_rng(3).random((5, 8)) < 0.5).astype(float)
    histories = histories_of(ratings)
    np.testing.assert_array_equal(
        walked(ratings, scale=8.0).scores(histories), walked(ratings).scores(histories)
    )


@in_order  # XLA adds up squares in an order of its own for each shape
def test_how_far_histories_are_filled_up_changes_nothing() -> None:
    """A history of a thousand items beside a short one makes the arrays longer."""
    ratings = np.ones((3, 1500))
    ratings[0, 3:] = 0
    filtered = walks(graph_from_dense(ratings), **SETTINGS)
    short = Histories.of_items([np.arange(3)], 1500)
    both = Histories.of_items([np.arange(3), np.arange(1400)], 1500)
    alone, beside = (np.asarray(filtered.scores(each))[0] for each in (short, both))
    np.testing.assert_array_equal(alone, beside)
