"""Users like a user: by vectors, by what they have listened to, and by a blend of both."""

import numpy as np
import pytest

from jaxrec.data.ids import IdMap
from jaxrec.models.blend import blend
from jaxrec.models.factors import Factors
from jaxrec.models.histories import Histories
from jaxrec.models.item_weights import ItemWeights
from jaxrec.rank.similar_users import similar_users, user_similarities
from tests.rank.models import factors, users_of

ROWS = [[0, 1, 2], [0, 1], [3, 4], [], [3, 4, 2]]


def histories() -> Histories:
    return Histories.of_items([np.array(row, np.int32) for row in ROWS], 5)


def test_vectors_are_compared_by_their_cosine() -> None:
    user = np.array([[1, 0], [3, 4], [0, -2], [-1, 0]], np.float32)
    model = factors(user, np.ones((2, 2), np.float32))
    found = user_similarities(model, users_of(range(4), 2))(0)
    np.testing.assert_allclose(found, [1, 0.6, 0, -1], atol=1e-6)


def test_without_vectors_histories_are() -> None:
    model = ItemWeights(np.eye(5, dtype=np.float32))
    found = user_similarities(model, histories())(0)
    np.testing.assert_allclose(found, [1, 2 / 6**0.5, 0, 0, 1 / 3], atol=1e-6)


def test_a_blend_weighs_its_members() -> None:
    knn = ItemWeights(np.eye(5, dtype=np.float32))
    vectors = factors(np.eye(5, 3), np.eye(5, 3))
    both = blend([knn, vectors], [1.0, 2.0], np.ones(5, bool))
    rows = users_of(range(5), 5)
    parts = [user_similarities(each, histories())(1) for each in (knn,)]
    parts.append(user_similarities(vectors, rows)(1))
    expected = parts[0] / parts[0].std() + 2 * parts[1] / parts[1].std()
    known = histories()
    known.users[:] = np.arange(5)
    np.testing.assert_allclose(user_similarities(both, known)(1), expected, rtol=1e-5)


def test_the_nearest_are_listed_without_oneself_and_those_unheard() -> None:
    model = ItemWeights(np.eye(5, dtype=np.float32))
    ids = IdMap(np.array(["ann", "bob", "eve", "joe", "kim"], object))
    ((count, table),) = similar_users(model, histories(), np.array([0]), k=9, ids=ids)
    assert count == 1
    assert table["to"].to_pylist() == ["ann"] * 3
    assert table["user"].to_pylist() == ["bob", "kim", "eve"]
    assert table["rank"].to_pylist() == [1, 2, 3]


def test_what_is_the_same_for_all_who_are_asked_for_is_made_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[int] = []
    user_vectors = Factors.user_vectors

    def counted(model: Factors, histories: Histories) -> np.ndarray:
        made.append(len(histories))
        return user_vectors(model, histories)

    monkeypatch.setattr(Factors, "user_vectors", counted)
    model, rows = factors(np.eye(5, 3) + 1, np.eye(5, 3)), histories()
    rows.users[:] = np.arange(5)
    ids = IdMap(np.arange(5))
    many = list(similar_users(model, rows, np.array([0, 3, 1]), k=3, ids=ids))
    assert made == [5]
    for user, (_, table) in zip([0, 3, 1], many, strict=True):
        ((_, alone),) = similar_users(model, rows, np.array([user]), k=3, ids=ids)
        assert table == alone
