"""Users like a user, by any model."""

import functools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from jaxrec.data.ids import IdMap
from jaxrec.models.blend import Blend
from jaxrec.models.factors import CONSTANT, TINY, Factors
from jaxrec.models.histories import Histories
from jaxrec.models.model import Model

Similarities = Callable[[int], np.ndarray]


def user_similarities(model: Model, histories: Histories) -> Similarities:
    """How near every user is to one: of a user's index, [num_users] float32.

    The cosine of users' vectors where the model has any, else of what they have listened to; of a
    blend its members', each divided by its deviation over the users, weighted. What is the same
    for every user asked for is made once.

    Args:
      model: any.
      histories: every user's, in the order of the users.
    """
    if isinstance(model, Factors):
        return _by_vectors(model.user_vectors(histories))
    if isinstance(model, Blend):
        members = [user_similarities(member, histories) for member in model.members]
        return functools.partial(_by_members, members, list(model.weights))
    return _by_histories(histories)


def _by_vectors(vectors: np.ndarray) -> Similarities:
    lengths = np.maximum(np.linalg.norm(vectors, axis=1), TINY)

    def similarities(user: int) -> np.ndarray:
        return np.asarray(vectors @ (vectors[user] / lengths[user]) / lengths, np.float32)

    return similarities


def _by_members(members: Sequence[Similarities], weights: Sequence[float], user: int) -> np.ndarray:
    found = [member(user) for member in members]
    total = np.zeros_like(found[0])
    for own, weight in zip(found, weights, strict=True):
        spread = float(own.std())
        if spread > CONSTANT:
            total += np.float32(weight / spread) * own
    return total


def _by_histories(histories: Histories) -> Similarities:
    matrix = histories.matrix()
    squares = np.asarray(matrix.multiply(matrix).sum(axis=1), np.float32)
    lengths = np.maximum(np.sqrt(squares), TINY)

    def similarities(user: int) -> np.ndarray:
        own = (matrix @ matrix[[user]].T).toarray()[:, 0]
        return np.asarray(own / lengths / lengths[user], np.float32)

    return similarities


def similar_users(
    model: Model, histories: Histories, users: np.ndarray, *, k: int, ids: IdMap
) -> Iterator[tuple[int, pa.Table]]:
    """The users nearest to each of some, a table for each; of equally near ones the lower index.

    Args:
      model: says how near they are.
      histories: every user's, in the order of the users; who has none is not listed.
      users: [n], their indices.
      k: how many of each; fewer where there are fewer.
      ids: the users' ids.

    Yields:
      1, and the table: to (the id of the user), rank from 1, user, similarity.
    """
    heard = np.diff(histories.offsets) > 0
    similarities = user_similarities(model, histories)
    for user in users.tolist():
        similarity = similarities(user)
        others = np.flatnonzero(heard & (np.arange(len(heard)) != user))
        nearest = others[np.argsort(-similarity[others], kind="stable")[:k]]
        columns = {
            "to": pa.array(ids.ids[np.full(len(nearest), user)]),
            "rank": pa.array(np.arange(1, len(nearest) + 1, dtype=np.int32)),
            "user": pa.array(ids.ids[nearest]),
        }
        yield 1, pa.table(columns | {"similarity": pa.array(similarity[nearest])})
