"""Vectors for users who weren't there: what each fold-in is by its definition, and in parts."""

import numpy as np
import pytest

from jaxrec.models.fold_in import Constant, FoldIn, LeastSquares, MessageSum
from jaxrec.models.histories import Histories
from jaxrec.models.least_squares import Ridge
from tests.models.problems import histories_of, random_plays

ITEM = np.random.default_rng(0).standard_normal((14, 4)).astype(np.float32)
TABLE = random_plays(1, users=9, items=14)
FOLD_INS: list[FoldIn] = [
    MessageSum(np.random.default_rng(2).standard_normal((14, 4)).astype(np.float32), 0.6),
    LeastSquares(Ridge(unobserved_weight=0.2, l2=0.05, l2_exponent=0.7)),
    Constant(np.arange(4, dtype=np.float32)),
]


@pytest.fixture(params=FOLD_INS, ids=lambda each: each.kind)
def fold_in(request: pytest.FixtureRequest) -> FoldIn:
    found: FoldIn = request.param
    return found


def test_parts_add_up_to_the_vector(fold_in: FoldIn) -> None:
    histories = histories_of(TABLE)
    vectors = fold_in.vectors(histories, ITEM)
    assert vectors.shape == (9, 4) and vectors.dtype == np.float32
    for row in range(9):
        parts = fold_in.parts(histories.take(np.array([row])), ITEM)
        whole = np.zeros(4) if isinstance(fold_in, Constant) else vectors[row]
        np.testing.assert_allclose(parts.sum(axis=0), whole, rtol=1e-4, atol=1e-5)


def test_an_empty_history_tells_nothing(fold_in: FoldIn) -> None:
    nobody = Histories.of_items([np.zeros(0, np.int32)], 14)
    expected = np.arange(4) if isinstance(fold_in, Constant) else np.zeros(4)
    np.testing.assert_array_equal(fold_in.vectors(nobody, ITEM), [expected])
    assert fold_in.parts(nobody, ITEM).shape == (0, 4)


def test_a_message_sum_by_hand() -> None:
    messages = np.array([[1, 0], [0, 1], [9, 9]], np.float32)
    histories = histories_of(np.array([[1, 3, 0]]))
    found = MessageSum(messages, 0.5).vectors(histories, messages)
    np.testing.assert_allclose(found, [[1 / 2, 3 / 2]])


def test_least_squares_minimise_the_users_part_of_the_loss() -> None:
    """The loss's gradient is zero there, in float64 and by its definition."""
    ridge = Ridge(unobserved_weight=0.2, l2=0.05, l2_exponent=0.7)
    vectors = LeastSquares(ridge).vectors(histories_of(TABLE), ITEM).astype(np.float64)
    scores = vectors @ ITEM.T
    length = np.count_nonzero(TABLE, axis=1)
    l2 = 0.05 * (length + 0.2 * 14) ** 0.7
    gradient = (TABLE * (scores - 1) + 0.2 * scores) @ ITEM + l2[:, None] * vectors
    np.testing.assert_allclose(gradient, 0, atol=1e-4)
