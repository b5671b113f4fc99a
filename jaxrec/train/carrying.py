"""A network's parameters carried over to other data, by the ids of users and items."""

import dataclasses

import jax.numpy as jnp
import numpy as np
from scipy import sparse

from jaxrec.data.ids import IdMap
from jaxrec.data.interactions import Interactions
from jaxrec.errors import UserError
from jaxrec.gcn.embeddings import Embeddings


@dataclasses.dataclass(frozen=True, eq=False)
class Start:
    """What a network has learnt of the users and items that it knew.

    Attributes:
      users: their ids.
      items: their ids.
      params: layer 0, a row for each of them.
      sha256: of all that.
    """

    users: IdMap
    items: IdMap
    params: Embeddings
    sha256: str


@dataclasses.dataclass(frozen=True)
class Carried:
    """How many users and items start from where.

    Attributes:
      known: from their own row.
      near: from the mean of their neighbours' rows.
      others: from chance.
    """

    known: int
    near: int
    others: int


def carry_over(
    start: Start, train: Interactions, fresh: Embeddings
) -> tuple[Embeddings, Carried, Carried]:
    """Layer 0 of a network that is to be trained on.

    Users and items that the start knows have its rows. Of the others each has the mean of the rows
    of those that it has an interaction with, where the start knows any: a user near the items
    listened to, as training would bring them.

    Args:
      start: what was learnt before.
      train: what is to be learnt from.
      fresh: layer 0 by chance, for those of whom nothing is known.

    Returns:
      Layer 0, and where the users and the items start from.
    """
    of_user, of_item = (
        ids.index_of(wanted.ids)
        for ids, wanted in ((start.users, train.users), (start.items, train.items))
    )
    user, item = np.array(fresh.user), np.array(fresh.item)
    user[of_user >= 0] = np.asarray(start.params.user)[of_user[of_user >= 0]]
    item[of_item >= 0] = np.asarray(start.params.item)[of_item[of_item >= 0]]
    edges = sparse.csr_array(
        (np.ones(len(train), np.float32), (train.user, train.item)), shape=(len(user), len(item))
    )
    mean_user, near_user = _means(edges, item, of_item >= 0)
    mean_item, near_item = _means(edges.T.tocsr(), user, of_user >= 0)
    found, told = [], []
    for table, known, mean, near in (
        (user, of_user >= 0, mean_user, near_user),
        (item, of_item >= 0, mean_item, near_item),
    ):
        near &= ~known
        table[near] = mean[near]
        found.append(table)
        told.append(Carried(int(known.sum()), int(near.sum()), int((~known & ~near).sum())))
    params = Embeddings(user=jnp.asarray(found[0]), item=jnp.asarray(found[1]))
    return params, told[0], told[1]


def _means(
    edges: sparse.csr_array, table: np.ndarray, known: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Each row's mean over its known neighbours [n, dim], and who has any [n] bool."""
    count = edges @ known.astype(np.float32)
    total = edges @ np.where(known[:, None], table, 0)
    return np.asarray(total / np.maximum(count, 1)[:, None], np.float32), count > 0


def check_known(start: Start, train: Interactions, dim: int) -> None:
    """Checks that something can be carried over.

    Raises:
      UserError: vectors of another length, or no user and no item in common.
    """
    own = start.params.item.shape[1]
    if own != dim:
        raise UserError(
            f"config.model.dim is {dim} and the run of --init_from has {own}; expected the same"
        )
    shared = [
        (ids.index_of(wanted.ids) >= 0).any()
        for ids, wanted in ((start.users, train.users), (start.items, train.items))
    ]
    if not any(shared):
        raise UserError(
            "--init_from: the run there knows none of the listeners and songs; expected one of "
            f"data with the same ids, such as {train.items.ids[0]}"
        )
