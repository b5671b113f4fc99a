"""Edge lists in LightGCN's format and what the peers make of them. NumPy only, any release."""

from pathlib import Path
from typing import NamedTuple

import numpy as np


class Edges(NamedTuple):
    """Training and test pairs, each sorted by (user, item) and distinct.

    Attributes:
      user: [num_train] int64.
      item: [num_train] int64.
      test_user: [num_test] int64.
      test_item: [num_test] int64.
      num_users: one more than the largest user number.
      num_items: one more than the largest item number.
    """

    user: np.ndarray
    item: np.ndarray
    test_user: np.ndarray
    test_item: np.ndarray
    num_users: int
    num_items: int


def read_edges(folder: Path) -> Edges:
    """Reads `train.txt` and `test.txt`: lines of `user item item ...`.

    Raises:
      OSError: a file can't be read.
      ValueError: something in it is not a whole number.
    """
    user, item = _read(folder / "train.txt")
    test_user, test_item = _read(folder / "test.txt")
    return Edges(
        user=user,
        item=item,
        test_user=test_user,
        test_item=test_item,
        num_users=int(max(user.max(), test_user.max())) + 1,
        num_items=int(max(item.max(), test_item.max())) + 1,
    )


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    users, items = [], []
    with path.open(encoding="ascii") as lines:
        for line in lines:
            numbers = np.array(line.split(), np.int64)
            users.append(np.repeat(numbers[:1], max(len(numbers) - 1, 0)))
            items.append(numbers[1:])
    user, item = np.concatenate(users), np.concatenate(items)
    width = int(item.max()) + 1
    key = np.unique(user * width + item)
    return key // width, key % width


def normalised_adjacency(
    user: np.ndarray, item: np.ndarray, num_users: int, num_items: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The symmetric matrix D^-1/2 [[0, R], [R^T, 0]] D^-1/2 in CSR form, users first.

    Returns:
      offsets [num_users + num_items + 1] int64, columns [2 * num_edges] int64, increasing within
      a row, and values [2 * num_edges] float32.
    """
    row = np.concatenate([user, num_users + item])
    column = np.concatenate([num_users + item, user])
    order = np.lexsort((column, row))
    row, column = row[order], column[order]
    degree = np.bincount(row, minlength=num_users + num_items)
    values = 1 / np.sqrt(degree[row] * degree[column].astype(np.float64))
    return np.concatenate([[0], np.cumsum(degree)]), column, values.astype(np.float32)


def spectral_embeddings(edges: Edges, dim: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings that rank sensibly without training, the same for everyone who ranks with them.

    Subspace iteration on the normalised user-item matrix R~: items V, users R~ V, where V spans
    about its `dim` leading right singular vectors.

    Returns:
      [num_users, dim] and [num_items, dim] float32.
    """
    from scipy import sparse

    user_degree = np.bincount(edges.user, minlength=edges.num_users)
    item_degree = np.bincount(edges.item, minlength=edges.num_items)
    values = 1 / np.sqrt(user_degree[edges.user] * item_degree[edges.item].astype(np.float64))
    shape = (edges.num_users, edges.num_items)
    matrix = sparse.csr_matrix((values, (edges.user, edges.item)), shape=shape)
    transposed = matrix.T.tocsr()
    items = np.random.default_rng(seed).standard_normal((edges.num_items, dim))
    for _ in range(6):
        items, _ = np.linalg.qr(transposed @ (matrix @ items))
    return (matrix @ items).astype(np.float32), items.astype(np.float32)
