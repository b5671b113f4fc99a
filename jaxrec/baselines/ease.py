"""EASE: the linear item-to-item model with a zero diagonal, in closed form."""

import numpy as np
from scipy import sparse
from scipy.linalg import lapack

from jaxrec import host_memory
from jaxrec.baselines.matrix import Track, from_item_weights, item_blocks
from jaxrec.errors import UserError
from jaxrec.rank.top_k import Scorer

ROWS_PER_BLOCK = 512
FLOAT = 4  # bytes


def fit(matrix: sparse.csr_array, *, l2: float, seed: int, track: Track) -> Scorer:
    """Scores by X B, where B minimises |X - X B|^2 + l2 |B|^2 with a zero diagonal.

    With P = (X^T X + l2 I)^-1: B_ij = -P_ij / P_jj, and 0 on the diagonal. Steck 2019
    (https://arxiv.org/abs/1905.03375).

    Args:
      matrix: X, [num_users, num_items].
      l2: above 0.
      seed: not used.
      track: shows how far it is.

    Raises:
      UserError: the item matrix is larger than the free memory, or l2 too small for float32.
    """
    del seed
    return from_item_weights(matrix, item_weights(matrix, l2=l2, track=track))


def item_weights(matrix: sparse.csr_array, *, l2: float, track: Track) -> np.ndarray:
    """B: [num_items, num_items] float32, made in place of the one matrix of this size."""
    num_items = matrix.shape[1]
    _check_fits(num_items)
    table = np.empty((num_items, num_items), np.float32)
    columns = matrix.T.tocsr()
    for block in track(item_blocks(matrix), "item matrix", "blocks"):
        (columns[block] @ matrix).toarray(out=table[block])
    table[np.diag_indices(num_items)] += np.float32(l2)
    # LAPACK's matrices are in Fortran's order, so its lower triangle is the upper one here.
    for factorise_or_invert in track((_factorise, _invert), "inverse", "halves"):
        factorise_or_invert(table.T, l2)
    scale = -1 / table.diagonal()
    for start in range(0, num_items, ROWS_PER_BLOCK):
        block = slice(start, start + ROWS_PER_BLOCK)
        table[block, :start] = table[:start, block].T
        square = table[block, block]
        square[:] = np.triu(square) + np.triu(square, 1).T
    for start in range(0, num_items, ROWS_PER_BLOCK):
        table[start : start + ROWS_PER_BLOCK] *= scale
    np.fill_diagonal(table, 0)
    return table


def _factorise(table: np.ndarray, l2: float) -> None:
    """Puts the Cholesky factor in place of the lower triangle."""
    _, info = lapack.spotrf(table, lower=1, clean=0, overwrite_a=1)
    if info:
        raise UserError(
            f"config.baseline.ease.l2 is {l2}; expected a larger number: in float32 the item "
            "matrix can't be inverted with this one"
        )


def _invert(table: np.ndarray, l2: float) -> None:
    """Puts the inverse's lower triangle in place of the Cholesky factor."""
    _, info = lapack.spotri(table, lower=1, overwrite_c=1)
    if info:
        raise UserError(f"config.baseline.ease.l2 is {l2}; expected a larger number")


def _check_fits(num_items: int) -> None:
    needed = FLOAT * num_items * (num_items + 2 * ROWS_PER_BLOCK)
    available = host_memory.free_bytes()
    if available is not None and needed > available:
        raise UserError(
            f"config.method is 'ease', whose matrix of {num_items:,} x {num_items:,} items needs "
            f"{needed:,} bytes with {available:,} free; expected at most "
            f"{int((available / FLOAT) ** 0.5):,} items (config.data.core or config.data.min_plays "
            "leave out rare ones), more memory, or another method such as rp3beta"
        )
