"""SLIM: each item from its nearest ones, by a small ridge regression of its own."""

from collections.abc import Callable

import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_limits

from jaxrec import host_memory
from jaxrec.errors import UserError
from jaxrec.models.item_weights import ItemWeights
from jaxrec.models.itemknn import nearest
from jaxrec.models.matrix import (
    Track,
    in_threads,
    l2_by_length,
    put_products,
    squared_lengths,
    threads,
)

# A table that holds what some items' columns have in common, and where in it each of them stands.
Products = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

NEIGHBOURS_PER_BLOCK = 1024  # of the items solved for together, at most, if there are several
# Up to so many items all products are made once; of more each block's, about so many of them again.
WHOLE, AGAIN = 8192, 1600
FLOAT, COPIES = 8, 3  # bytes; of an item's system while it is solved
# How much larger a system's diagonal may be than its l2: float64 has some 16 digits.
MOST_DIGITS = 1e12


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
    items, these take room in proportion to how many items there are. SLIM with features
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
      UserError: l2 is too small for float64, or an item's neighbours too many for the memory.
    """
    del seed
    lengths = squared_lengths(matrix)
    l2_of_each = l2_by_length(lengths, l2, l2_exponent)
    if not lengths.max(initial=0) <= MOST_DIGITS * l2_of_each.min(initial=np.inf):
        raise UserError(
            f"config.baseline.slim.l2 is {l2}; expected a larger number, or "
            "config.baseline.slim.l2_exponent nearer to 0, or smaller weights of the listens "
            "(config.data.weight): float64 has no digits for this one beside them"
        )
    near = nearest(matrix, neighbours=neighbours, shrink=0.0, track=track)
    _check_fits(int(np.diff(near.indptr).max(initial=0)))
    return ItemWeights(regressions(products(matrix, track), near, l2_of_each, track).T.tocsr())


def entries(items: int, pairs: int, neighbours: int) -> float:
    """About how many entries of items' products a fit makes.

    Args:
      items: all of them.
      pairs: entries of the products of all items, the sum of the users' squared degrees.
      neighbours: of an item.
    """
    return pairs * (2 if items <= WHOLE else 1 + AGAIN * neighbours / items)


def products(matrix: sparse.csr_array, track: Track) -> Products:
    """X^T X in float64, for some items: all of it, or cut to these and made anew each time."""
    matrix = matrix.astype(np.float64)
    columns = matrix.T.tocsr()
    if matrix.shape[1] > WHOLE:
        return lambda items: _of_some(columns, items)
    whole = np.empty((matrix.shape[1], matrix.shape[1]))
    put_products(matrix, whole, track, "item matrix")
    return lambda items: (whole, items)


def regressions(
    products_of: Products, near: sparse.csr_array, l2_of_each: np.ndarray, track: Track
) -> sparse.csr_array:
    """The weights of each item's neighbours: [num_items, num_items] float32, by j and i.

    Args:
      products_of: X^T X, as of `products`.
      near: [num_items, num_items], whose entries are where row j's neighbours are; all else is 0.
      l2_of_each: [num_items].
      track: shows how far it is.
    """
    weights = np.zeros(near.nnz, np.float32)

    def solve(items: np.ndarray) -> None:
        entries, there = _entries_of(near, items)
        neighbour = np.where(there, near.indices[entries], items[0])
        gram, places = products_of(np.column_stack([neighbour, items]))
        place, own = places[:, :-1], places[:, -1:]
        # Where an item has fewer neighbours than others, the rest of its system is 1 x = 0.
        system = gram[place[:, :, None], place[:, None, :]]
        if not there.all():
            system *= there[:, :, None] & there[:, None, :]
        diagonal = np.arange(entries.shape[1])
        system[:, diagonal, diagonal] += np.where(there, l2_of_each[neighbour], 1)
        target = np.where(there, gram[place, own], 0)
        weights[entries[there]] = np.linalg.solve(system, target[..., None])[..., 0][there]

    with threadpool_limits(limits=1, user_api="blas"):  # the systems are small
        in_threads(solve, _blocks(near), track, "item weights")
    return sparse.csr_array((weights, near.indices, near.indptr), shape=near.shape)


def _of_some(columns: sparse.csr_array, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    chosen, places = np.unique(items, return_inverse=True)
    rows = columns[chosen]
    return (rows @ rows.T).toarray(), places.reshape(items.shape)


def _entries_of(near: sparse.csr_array, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the neighbours of some items are among all entries, and which of these there are.

    Returns:
      Two arrays, [items, most neighbours of one].
    """
    start, stop = near.indptr[items, None], near.indptr[items + 1, None]
    entries = start + np.arange((stop - start).max())
    return np.where(entries < stop, entries, 0), entries < stop


def _blocks(near: sparse.csr_array) -> list[np.ndarray]:
    """The items that have neighbours, those with about as many beside each other."""
    counts = np.diff(near.indptr)
    width = np.exp2(np.ceil(np.log2(np.maximum(counts, 1)))).astype(int)
    blocks = []
    for most in np.unique(width[counts > 0]):
        items = np.flatnonzero((width == most) & (counts > 0))
        each = max(1, NEIGHBOURS_PER_BLOCK // int(most))
        blocks += [items[start : start + each] for start in range(0, len(items), each)]
    return blocks


def _check_fits(neighbours: int) -> None:
    """Whether the systems of items with so many neighbours fit, one in each thread."""
    available = host_memory.free_bytes()
    each = COPIES * FLOAT * threads()
    if available is not None and each * neighbours**2 > available:
        raise UserError(
            f"config.baseline.slim.neighbours lets a song have {neighbours:,} of them, whose "
            f"equations need {each * neighbours**2:,} bytes with {available:,} free; expected at "
            f"most {int((available / each) ** 0.5):,}"
        )
