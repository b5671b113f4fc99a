"""SLIM: each item from its nearest ones, by a small ridge regression of its own."""

import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_limits

from jaxrec.errors import UserError
from jaxrec.models.item_weights import ItemWeights
from jaxrec.models.itemknn import nearest
from jaxrec.models.matrix import Track, in_threads, l2_by_length

NEIGHBOURS_PER_BLOCK = 1024  # of the items solved for together, at most, if there are several


def fit(
    matrix: sparse.csr_array,
    *,
    neighbours: int,
    l2: float,
    l2_exponent: float,
    seed: int,
    track: Track,
) -> ItemWeights:
    """Scores by X B, where B minimises |X - X B|^2 + sum_i l_i |B_i|^2, B_ij 0 but for i in N(j).

    N(j) holds the `neighbours` items with the greatest cosines to j: EASE's weights are of all
    items, these take room and time in proportion to how many items there are. SLIM with features
    that nearest neighbours choose (fsSLIM, Ning and Karypis 2011,
    https://doi.org/10.1109/ICDM.2011.134), by a ridge alone, so that a weight may be negative.
    Also: B_ij is -p_i / p_j with p the column of j in the inverse of X^T X + diag(l) cut to j and
    N(j), a sparse approximate inverse.

    Args:
      matrix: X, [num_users, num_items].
      neighbours: how many items N(j) holds at most, at least 1.
      l2: above 0.
      l2_exponent: l_i = l2 (d_i / mean of d)^l2_exponent, d_i the squared length of column i, the
        mean over items that somebody has.
      seed: not used.
      track: shows how far it is.

    Raises:
      UserError: l2 is too small for float64.
    """
    del seed
    near = nearest(matrix, neighbours=neighbours, shrink=0.0, track=track)
    try:
        l2_of_each = l2_by_length(matrix, l2, l2_exponent)
        found = regressions(matrix.T.tocsr(), near, l2_of_each, track)
    except np.linalg.LinAlgError as error:
        raise UserError(
            f"config.baseline.slim.l2 is {l2}; expected a larger number, or "
            "config.baseline.slim.l2_exponent nearer to 0: in float64 the items' systems can't be "
            "solved with this one"
        ) from error
    return ItemWeights(found.T.tocsr())


def regressions(
    columns: sparse.csr_array, near: sparse.csr_array, l2_of_each: np.ndarray, track: Track
) -> sparse.csr_array:
    """The weights of each item's neighbours: [num_items, num_items] float32, by j and i.

    Args:
      columns: X's as rows, [num_items, num_users].
      near: [num_items, num_items], whose entries are where row j's neighbours are; all else is 0.
      l2_of_each: [num_items].
      track: shows how far it is.

    Raises:
      LinAlgError: an item's system is singular.
    """
    weights = np.zeros(near.nnz, np.float32)

    def solve(items: np.ndarray) -> None:
        entries, there = _entries_of(near, items)
        members = np.r_[near.indices[entries[there]], items]
        chosen, places = np.unique(members, return_inverse=True)
        rows = columns[chosen].astype(np.float64)
        gram = (rows @ rows.T).toarray()
        place = np.zeros(entries.shape, np.int64)
        place[there] = places[: -len(items)]
        own = places[-len(items) :, None]
        # Where an item has fewer neighbours than others, the rest of its system is 1 x = 0.
        system = gram[place[:, :, None], place[:, None, :]]
        system *= there[:, :, None] & there[:, None, :]
        diagonal = np.arange(entries.shape[1])
        system[:, diagonal, diagonal] += np.where(there, l2_of_each[chosen[place]], 1)
        target = np.where(there, gram[place, own], 0)
        weights[entries[there]] = np.linalg.solve(system, target[..., None])[..., 0][there]

    with threadpool_limits(limits=1, user_api="blas"):  # the systems are small
        in_threads(solve, _blocks(near), track, "item weights")
    return sparse.csr_array((weights, near.indices, near.indptr), shape=near.shape)


def _entries_of(near: sparse.csr_array, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the neighbours of some items are among all entries, and which of these there are.

    Returns:
      Two arrays, [items, most neighbours of one].
    """
    start, stop = near.indptr[items, None], near.indptr[items + 1, None]
    entries = start + np.arange((stop - start).max())
    return np.where(entries < stop, entries, 0), entries < stop


def _blocks(near: sparse.csr_array) -> list[np.ndarray]:
    """The items that have neighbours, those with as many beside each other."""
    counts = np.diff(near.indptr)
    items = np.argsort(counts, kind="stable")
    items = items[counts[items] > 0]
    block = np.cumsum(counts[items], dtype=np.int64) // NEIGHBOURS_PER_BLOCK
    return np.split(items, np.flatnonzero(np.diff(block)) + 1) if len(items) else []
