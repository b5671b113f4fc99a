"""The inverse of a symmetric positive definite matrix, block by block, in its own place."""

import numpy as np
from scipy import linalg

from jaxrec.models.matrix import Track

ROWS_PER_BLOCK = 2048


def blocks(count: int, rows: int | None = None) -> list[slice]:
    """Cuts `count` rows into blocks of so many, `ROWS_PER_BLOCK` unless said otherwise."""
    each = ROWS_PER_BLOCK if rows is None else rows
    return [slice(start, min(start + each, count)) for start in range(0, count, each)]


def invert(table: np.ndarray, track: Track) -> None:
    """Puts the inverse where the matrix was.

    Args:
      table: [n, n] float32 or float64.
      track: shows how far it is.

    Raises:
      LinAlgError: in these digits the matrix isn't positive definite.
    """
    for block in track(blocks(len(table)), "inverse", "blocks"):
        extend_inverse(table, block)


def extend_inverse(table: np.ndarray, block: slice) -> None:
    """Makes the inverse of the matrix up to a block of rows the inverse up to its end, in place.

    By the Schur complement of what comes before, since OpenBLAS's Cholesky factorisation of the
    whole ends the process by a segmentation fault for 41,000 rows.

    Raises:
      LinAlgError: as of `invert`.
    """
    before = slice(0, block.start)
    border = table[before, block]
    moved = table[before, before] @ border
    # In float64 whatever the digits, as in float32 up to a hundred times as much is lost; by SciPy,
    # as NumPy's takes three times as long.
    schur = (table[block, block] - border.T @ moved).astype(np.float64)
    factor = linalg.cholesky(schur, lower=True, check_finite=False).astype(table.dtype)
    inverse_factor = linalg.solve_triangular(
        factor, np.eye(len(factor), dtype=table.dtype), lower=True
    )
    corner = inverse_factor.T @ inverse_factor
    scaled = moved @ corner
    for rows in blocks(block.start):
        # Above the diagonal only, and mirrored: half the work.
        table[rows, rows.start : block.start] += scaled[rows] @ moved[rows.start :].T
        table[rows.start : block.start, rows] = table[rows, rows.start : block.start].T
    table[before, block] = -scaled
    table[block, before] = -scaled.T
    table[block, block] = corner
