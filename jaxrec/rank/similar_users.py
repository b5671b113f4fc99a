"""Users like a user, by any model."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from jaxrec.data.interactions import IdMap
from jaxrec.models.blend import Blend
from jaxrec.models.factors import CONSTANT, TINY, Factors
from jaxrec.models.histories import Histories
from jaxrec.models.model import Model


def user_similarities(model: Model, histories: Histories, user: int) -> np.ndarray:
    """How near every user is to one: [num_users] float32.

    The cosine of users' vectors where the model has any, else of what they have listened to; of a
    blend its members', each divided by its deviation over the users, weighted.

    Args:
      model: any.
      histories: every user's, in the order of the users.
      user: which of them.
    """
    if isinstance(model, Factors):
        vectors = model.user_vectors(histories)
        lengths = np.maximum(np.linalg.norm(vectors, axis=1), TINY)
        return np.asarray(vectors @ (vectors[user] / lengths[user]) / lengths, np.float32)
    if isinstance(model, Blend):
        total = np.zeros(len(histories), np.float32)
        for member, weight in zip(model.members, model.weights, strict=True):
            own = user_similarities(member, histories, user)
            spread = float(own.std())
            if spread > CONSTANT:
                total += np.float32(weight / spread) * own
        return total
    matrix = histories.matrix()
    squares = np.asarray(matrix.multiply(matrix).sum(axis=1), np.float32)
    lengths = np.maximum(np.sqrt(squares), TINY)
    own = (matrix @ matrix[[user]].T).toarray()[:, 0]
    return np.asarray(own / lengths / lengths[user], np.float32)


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
    for user in users.tolist():
        similarity = user_similarities(model, histories, user)
        others = np.flatnonzero(heard & (np.arange(len(heard)) != user))
        nearest = others[np.argsort(-similarity[others], kind="stable")[:k]]
        columns = {
            "to": pa.array(ids.ids[np.full(len(nearest), user)]),
            "rank": pa.array(np.arange(1, len(nearest) + 1, dtype=np.int32)),
            "user": pa.array(ids.ids[nearest]),
        }
        yield 1, pa.table(columns | {"similarity": pa.array(similarity[nearest])})
