"""EASE: the linear item-to-item model with a zero diagonal, in closed form."""

import numpy as np
from scipy import linalg, sparse

from jaxrec import host_memory
from jaxrec.errors import UserError
from jaxrec.models.item_weights import ItemWeights
from jaxrec.models.matrix import Track, item_blocks

ROWS_PER_BLOCK = 2048  # of the inverse, at once
FLOAT = 4  # bytes


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
      UserError: the item matrix is larger than the free memory, or l2 too small for float32.
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


def item_weights(
    matrix: sparse.csr_array, *, l2: float, l2_exponent: float = 0.0, track: Track
) -> np.ndarray:
    """B: [num_items, num_items] float32, made in place of the one matrix of this size."""
    num_items = matrix.shape[1]
    _check_fits(num_items)
    table = np.empty((num_items, num_items), np.float32)
    columns = matrix.T.tocsr()
    for block in track(item_blocks(matrix), "item matrix", "blocks"):
        (columns[block] @ matrix).toarray(out=table[block])
    table[np.diag_indices(num_items)] += _l2_of_each(table.diagonal(), l2, l2_exponent)
    for block in track(_blocks(num_items), "inverse", "blocks"):
        _extend_inverse(table, block, l2)
    scale = -1 / table.diagonal()
    for block in _blocks(num_items):
        table[block] *= scale
    np.fill_diagonal(table, 0)
    return table


def _l2_of_each(lengths: np.ndarray, l2: float, exponent: float) -> np.ndarray:
    """By the items' squared lengths; items that nobody has change nothing for the others."""
    known = lengths > 0
    ratio = np.ones(len(lengths))
    ratio[known] = lengths[known] / lengths[known].mean(dtype=np.float64)
    return np.asarray(l2 * ratio**exponent, np.float32)


def _greatest(table: np.ndarray, count: int) -> sparse.csr_array:
    """The entries of the greatest size in each row."""
    kept = []
    for block in _blocks(len(table)):
        rows = table[block]
        columns = np.argpartition(-np.abs(rows), count - 1, axis=1)[:, :count]
        columns = np.sort(columns, axis=1).astype(np.int32)
        values = np.take_along_axis(rows, columns, axis=1)
        offsets = np.arange(0, columns.size + 1, count)
        kept.append(sparse.csr_array((values.ravel(), columns.ravel(), offsets), shape=rows.shape))
    return sparse.vstack(kept, format="csr")


def _blocks(num_items: int) -> list[slice]:
    starts = range(0, num_items, ROWS_PER_BLOCK)
    return [slice(start, min(start + ROWS_PER_BLOCK, num_items)) for start in starts]


def _extend_inverse(table: np.ndarray, block: slice, l2: float) -> None:
    """Makes the inverse of the matrix up to a block of rows the inverse up to its end, in place.

    By the Schur complement of what comes before, since OpenBLAS's Cholesky factorisation of the
    whole ends the process by a segmentation fault for 41,000 rows.

    Raises:
      UserError: in float32 the matrix isn't positive definite.
    """
    before = slice(0, block.start)
    border = table[before, block]
    moved = table[before, before] @ border
    try:
        factor = np.linalg.cholesky(table[block, block] - border.T @ moved)
    except np.linalg.LinAlgError as error:
        raise UserError(
            f"config.baseline.ease.l2 is {l2}; expected a larger number, or "
            "config.baseline.ease.l2_exponent nearer to 0: in float32 the item matrix can't be "
            "inverted with this one"
        ) from error
    inverse_factor = linalg.solve_triangular(
        factor, np.eye(len(factor), dtype=np.float32), lower=True
    )
    corner = inverse_factor.T @ inverse_factor
    scaled = moved @ corner
    for rows in _blocks(block.start):
        # Above the diagonal only, and mirrored: half the work.
        table[rows, rows.start : block.start] += scaled[rows] @ moved[rows.start :].T
        table[rows.start : block.start, rows] = table[rows, rows.start : block.start].T
    table[before, block] = -scaled
    table[block, before] = -scaled.T
    table[block, block] = corner


def _check_fits(num_items: int) -> None:
    needed = FLOAT * num_items * (num_items + 4 * min(ROWS_PER_BLOCK, num_items))
    available = host_memory.free_bytes()
    if available is not None and needed > available:
        raise UserError(
            f"config.method is 'ease', whose matrix of {num_items:,} x {num_items:,} items needs "
            f"{needed:,} bytes with {available:,} free; expected at most "
            f"{int((available / FLOAT) ** 0.5):,} items (config.data.core or config.data.min_plays "
            "leave out rare ones), more memory, or another method such as rp3beta"
        )
