"""EASE: the linear item-to-item model with a zero diagonal, in closed form."""

from typing import NamedTuple

import numpy as np
from scipy import sparse

from jaxrec import host_memory
from jaxrec.errors import UserError
from jaxrec.models.inverse import ROWS_PER_BLOCK, blocks, invert
from jaxrec.models.item_weights import ItemWeights
from jaxrec.models.matrix import (
    MOST_THREADS,
    Track,
    in_threads,
    l2_by_length,
    put_products,
    squared_lengths,
)

FLOAT = 4  # bytes
ITEMS_PER_BLOCK = 512  # whose part of the item matrix one of the threads makes
# What counts beside an inverse's multiplications, as so many of them: those of a sparse matrix with
# a dense one, and what is done with an entry of the item matrix.
PER_SPARSE, PER_ENTRY = 40, 300
# How much of the greatest weight rounding may take by `_lost`, which says some twenty times more in
# float32, but not near the end of float64.
MOST_LOST: dict[type[np.floating], float] = {np.float32: 2e-2, np.float64: 2e-4}


def fit(
    matrix: sparse.csr_array,
    *,
    l2: float,
    l2_exponent: float = 0.0,
    entries: int = 0,
    seed: int,
    track: Track,
) -> ItemWeights:
    """Scores by X B, where B minimises |X - X B|^2 + sum_i l_i |B_i|^2 with a zero diagonal.

    With P = (X^T X + diag(l))^-1: B_ij = -P_ij / P_jj, and 0 on the diagonal. Steck 2019
    (https://arxiv.org/abs/1905.03375), where all l_i are l2; with an exponent of 1 they are what
    dropping listens out does, as in EDLAE (Steck 2020, NeurIPS).

    Args:
      matrix: X, [num_users, num_items].
      l2: above 0.
      l2_exponent: l_i = l2 (d_i / mean of d)^l2_exponent, d_i the squared length of column i, the
        mean over items that somebody has.
      entries: how many of B's entries stay in a row, those of the greatest size; 0 for all.
      seed: not used.
      track: shows how far it is.

    Raises:
      UserError: the item matrix is larger than the free memory, or l2 too small for float64.
    """
    del seed
    weights = item_weights(matrix, l2=l2, l2_exponent=l2_exponent, track=track)
    if 0 < entries < len(weights):
        return ItemWeights(_greatest(weights, entries))
    return ItemWeights(weights)


def size_note(num_items: int) -> str:
    """How large the matrix is going to be, in memory and in the run's folder."""
    gigabytes = FLOAT * num_items**2 / 1e9
    return f"ease: a matrix of {num_items:,} x {num_items:,} items, {gigabytes:,.2f} GB, is kept"


def multiplications(users: int, items: int, interactions: int) -> int:
    """About how many a fit takes; twice as many at most where float32 has too few digits.

    Args:
      users: who have an interaction.
      items: all of them.
      interactions: how many there are.
    """
    by_users = _multiplications_by_users(users, items, interactions)
    return min(items**3, by_users) + PER_ENTRY * items**2


def item_weights(
    matrix: sparse.csr_array, *, l2: float, l2_exponent: float = 0.0, track: Track
) -> np.ndarray:
    """B: [num_items, num_items] float32, made in place of the one matrix of this size.

    By the smaller inverse, of items by items or of users by users, which differ in the last digits;
    by the items' where there is room for their matrix alone, or rounding would take too much else.
    """
    matrix = matrix[np.diff(matrix.indptr) > 0]
    num_users, num_items = matrix.shape
    lengths = squared_lengths(matrix)
    l2_of_each = l2_by_length(lengths, l2, l2_exponent)
    _check_fits(num_items, FLOAT)
    lost = _lost(matrix, lengths, l2_of_each)
    by_users = _multiplications_by_users(num_users, num_items, matrix.nnz) < num_items**3
    by_users &= _fits(_needed_by_users(num_users, num_items))
    by_users &= _digits(lost.by_users) is not None
    digits = _digits(lost.by_users if by_users else lost.by_items)
    too_small = UserError(
        f"config.baseline.ease.l2 is {l2}; expected a larger number, or "
        "config.baseline.ease.l2_exponent nearer to 0, or smaller weights of the listens "
        "(config.data.weight): float64 has no digits for this one beside them"
    )
    if digits is None:
        raise too_small
    if not by_users and digits is np.float64:
        _check_fits(num_items, 3 * FLOAT)  # of which a third is left in the end
    try:
        return (_by_users if by_users else _by_items)(matrix, l2_of_each, digits, track)
    except np.linalg.LinAlgError as error:
        raise too_small from error


class _Lost(NamedTuple):
    """How much of the greatest weight rounding takes at most, in units of the digits' precision."""

    by_users: float
    by_items: float


def _lost(matrix: sparse.csr_array, lengths: np.ndarray, l2_of_each: np.ndarray) -> _Lost:
    """By |Y Y^T|, with which an inverse is rounded; by users also by how near 1 a Q_jj may be.

    Y, Q as of `_by_users`. Q_jj is at most 1 - l_j / (l_j + d_j), d_j the item's squared length.
    """
    with np.errstate(divide="ignore", invalid="ignore"):  # of an l2 that float32 has no number for
        inverse = 1 / l2_of_each.astype(np.float64)
        size = float((matrix @ (inverse * matrix.sum(axis=0))).max(initial=0))
        nearest = float(np.max(1 + lengths * inverse, initial=1))
    return _Lost(by_users=size * nearest, by_items=size)


def _digits(lost: float) -> type[np.floating] | None:
    """The fewest that suffice; None where no digits do."""
    for digits, most in MOST_LOST.items():
        if lost * float(np.finfo(digits).eps) <= most:
            return digits
    return None


def _multiplications_by_users(users: int, items: int, interactions: int) -> int:
    return users**3 + PER_SPARSE * interactions * (users + items)


def _by_items(
    matrix: sparse.csr_array, l2_of_each: np.ndarray, digits: type[np.floating], track: Track
) -> np.ndarray:
    """B by the inverse of items by items."""
    num_items = matrix.shape[1]
    table = np.empty((num_items, num_items), digits)
    matrix = matrix.astype(digits, copy=False)
    put_products(matrix, table, track, "item matrix")
    table[np.diag_indices(num_items)] += l2_of_each
    invert(table, track)
    scale = -1 / table.diagonal()
    for block in blocks(num_items):
        table[block] *= scale
    np.fill_diagonal(table, 0)
    return table.astype(np.float32, copy=False)


def _by_users(
    matrix: sparse.csr_array, l2_of_each: np.ndarray, digits: type[np.floating], track: Track
) -> np.ndarray:
    """The same B by the inverse of users by users, which is smaller where items are many.

    With D = diag(l), Y = X D^-1/2 and Q = Y^T (Y Y^T + I)^-1 Y by Woodbury's identity P = D^-1/2
    (I - Q) D^-1/2, so that B_ij = Q_ij (l_j / l_i)^1/2 / (1 - Q_jj).
    """
    num_users, num_items = matrix.shape
    root = np.sqrt(l2_of_each.astype(np.float64))
    scaled = sparse.csr_array(
        (matrix.data / root[matrix.indices], matrix.indices, matrix.indptr), shape=matrix.shape
    ).astype(digits)
    columns = scaled.T.tocsr()
    inner = np.empty((num_users, num_users), scaled.dtype)
    put_products(columns, inner, track, "user matrix")
    inner[np.diag_indices(num_users)] += 1
    invert(inner, track)
    table = np.empty((num_items, num_items), np.float32)
    rest = np.empty(num_items, scaled.dtype)

    def fill(block: slice) -> None:
        moved = columns[block] @ inner
        found = columns @ np.ascontiguousarray(moved.T)
        table[:, block] = found
        rest[block] = 1 - np.diagonal(found[block])

    in_threads(fill, blocks(num_items, ITEMS_PER_BLOCK), track, "item matrix")
    scale = np.asarray(root / rest, np.float32)
    for block in blocks(num_items):
        table[block] *= scale / root[block, None].astype(np.float32)
    np.fill_diagonal(table, 0)
    return table


def _greatest(table: np.ndarray, count: int) -> sparse.csr_array:
    """The entries of the greatest size in each row."""
    kept = []
    for block in blocks(len(table)):
        rows = table[block]
        columns = np.argpartition(-np.abs(rows), count - 1, axis=1)[:, :count]
        columns = np.sort(columns, axis=1).astype(np.int32)
        values = np.take_along_axis(rows, columns, axis=1)
        offsets = np.arange(0, columns.size + 1, count)
        kept.append(sparse.csr_array((values.ravel(), columns.ravel(), offsets), shape=rows.shape))
    return sparse.vstack(kept, format="csr")


def _check_fits(num_items: int, entry: int) -> None:
    """Whether the item matrix fits, with so many bytes for all that is made of an entry."""
    needed = _needed(num_items, entry)
    if not _fits(needed):
        available = host_memory.free_bytes() or 0
        smaller = "" if entry == FLOAT else "a larger config.baseline.ease.l2, for a third of it, "
        raise UserError(
            f"config.method is 'ease', whose matrix of {num_items:,} x {num_items:,} items needs "
            f"{needed:,} bytes with {available:,} free; expected {smaller}at most "
            f"{_most_items(available // entry):,} items (config.data.core or config.data.min_plays "
            "leave out rare ones), more memory, or another method such as rp3beta"
        )


def _most_items(entries: int) -> int:
    """How many there may be where `_needed` is so many times an entry."""
    beside = 2 * ROWS_PER_BLOCK
    many = int((entries + beside**2) ** 0.5) - beside
    return many if many >= ROWS_PER_BLOCK else int((entries / 5) ** 0.5)


def _needed(num_items: int, entry: int) -> int:
    """Bytes of the item matrix and of what is made beside it."""
    return entry * num_items * (num_items + 4 * min(ROWS_PER_BLOCK, num_items))


def _needed_by_users(num_users: int, num_items: int) -> int:
    """The same where the users' matrix is made, too, in float64 at worst."""
    beside = num_users**2 + MOST_THREADS * ITEMS_PER_BLOCK * (num_items + 2 * num_users)
    return FLOAT * (num_items**2 + 2 * beside)


def _fits(needed: int) -> bool:
    available = host_memory.free_bytes()
    return available is None or needed <= available
