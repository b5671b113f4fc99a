"""Least squares over all pairs: the best vectors of one side, the other side's held fixed."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from scipy import sparse

# What one solve holds at once: gathered embeddings and the systems, some ten to hundred MiB.
ENTRIES_PER_BATCH = 2**16
FLOATS_OF_SYSTEMS = 2**24
SHORTEST = 16  # lengths are rounded up to powers of 2 from here on, for few compilations


@dataclasses.dataclass(frozen=True, eq=False)
class Batch:
    """Some rows of the matrix, filled up to one length.

    Attributes:
      rows: [n] int32, which ones; past the last row of the matrix where there is none.
      columns: [n, length] int32; 0 where a row has no more entries.
      weights: [n, length] float32; 0 where a row has no more entries.
      l2: [n] float32, each row's weight of its squared embedding.
    """

    rows: jax.Array
    columns: jax.Array
    weights: jax.Array
    l2: jax.Array


@dataclasses.dataclass(frozen=True)
class Ridge:
    """What iALS minimises beside the squared errors of the entries; see `ials.fit`.

    Attributes:
      unobserved_weight: of the squared score of every pair, above 0.
      l2: weight of the squared vectors, above 0.
      l2_exponent: nu, how much more a longer row's vector is held back, at least 0.
    """

    unobserved_weight: float
    l2: float
    l2_exponent: float

    def solve(self, matrix: sparse.csr_array, others: np.ndarray) -> np.ndarray:
        """The best vector of each row, the other side's held fixed: [rows, dim] float32.

        Args:
          matrix: [rows, columns].
          others: [columns, dim] float32.
        """
        dim = others.shape[1]
        side = batches(matrix, dim=dim, l2=self.row_l2(matrix))
        table = jnp.zeros((matrix.shape[0], dim), jnp.float32)
        return np.asarray(half_step(side, table, jnp.asarray(others), self.unobserved_weight))

    def system(self, weights: np.ndarray, own: np.ndarray, others: np.ndarray) -> np.ndarray:
        """One row's system, sum_i x_i h_i h_i^T + unobserved_weight H^T H + l2 I: [dim, dim].

        Args:
          weights: [n], the row's entries x.
          own: [n, dim], their columns' vectors h_i.
          others: [columns, dim] float32, H.
        """
        wide = others.astype(np.float64)
        mass = len(weights) + self.unobserved_weight * len(others)
        return np.asarray(
            (own * weights[:, None]).T @ own
            + self.unobserved_weight * wide.T @ wide
            + self.l2 * mass**self.l2_exponent * np.eye(others.shape[1])
        )

    def row_l2(self, matrix: sparse.csr_array) -> np.ndarray:
        """l2 (entries of the row + unobserved_weight * length of the row)^nu: [rows] float64."""
        mass = np.diff(matrix.indptr) + self.unobserved_weight * matrix.shape[1]
        return np.asarray(self.l2 * mass**self.l2_exponent, np.float64)


def batches(matrix: sparse.csr_array, *, dim: int, l2: np.ndarray) -> list[Batch]:
    """Cuts the rows, sorted by length, into batches of few shapes."""
    length = np.diff(matrix.indptr)
    # Beyond its end a row has entries of weight 0.
    columns, weights = np.append(matrix.indices, 0), np.append(matrix.data, 0)
    rounded = np.maximum(SHORTEST, 2 ** np.ceil(np.log2(np.maximum(length, 1))).astype(np.int64))
    result = []
    for width in np.unique(rounded):
        rows = np.flatnonzero(rounded == width)
        most = max(1, min(ENTRIES_PER_BATCH // width, FLOATS_OF_SYSTEMS // dim**2))
        size = min(int(most), len(rows))
        for start in range(0, len(rows), size):
            chosen = rows[start : start + size]
            there = np.arange(width) < length[chosen][:, None]
            source = np.where(there, matrix.indptr[chosen][:, None] + np.arange(width), -1)
            padding = size - len(chosen)
            fill = ((0, padding), (0, 0))
            result.append(
                Batch(
                    jnp.asarray(np.r_[chosen, np.full(padding, matrix.shape[0])], jnp.int32),
                    jnp.asarray(np.pad(columns[source], fill), jnp.int32),
                    jnp.asarray(np.pad(weights[source], fill), jnp.float32),
                    jnp.asarray(np.pad(l2[chosen], (0, padding), constant_values=1), jnp.float32),
                )
            )
    return result


def half_step(
    side: list[Batch], table: jax.Array, others: jax.Array, unobserved_weight: float
) -> jax.Array:
    """Each row's best embedding for the other side's as they are.

    Args:
      side: the matrix in batches of rows.
      table: [rows, dim] float32, replaced.
      others: [columns, dim] float32.
      unobserved_weight: of the squared score of every pair.
    """
    everywhere = unobserved_weight * jnp.matmul(others.T, others, precision=lax.Precision.HIGHEST)
    for batch in side:
        solved = _solve(batch.columns, batch.weights, batch.l2, others, everywhere)
        table = _put(table, batch.rows, solved)
    return table


@jax.jit
def _solve(
    columns: jax.Array,
    weights: jax.Array,
    l2: jax.Array,
    others: jax.Array,
    everywhere: jax.Array,
) -> jax.Array:
    """Solves (sum_i x_i h_i h_i^T + everywhere + l2 I) w = sum_i x_i h_i for each row."""
    vectors = others[columns]
    weighted = vectors * weights[:, :, None]
    systems = jnp.einsum("nld,nle->nde", weighted, vectors, precision=lax.Precision.HIGHEST)
    identity = jnp.eye(others.shape[1], dtype=others.dtype)
    systems = systems + everywhere[None] + l2[:, None, None] * identity[None]
    factor = jnp.linalg.cholesky(systems)
    right = weighted.sum(axis=1)[:, :, None]
    half = lax.linalg.triangular_solve(factor, right, left_side=True, lower=True)
    whole = lax.linalg.triangular_solve(factor, half, left_side=True, lower=True, transpose_a=True)
    return whole[:, :, 0]


@jax.jit
def _put(table: jax.Array, rows: jax.Array, values: jax.Array) -> jax.Array:
    return table.at[rows].set(values, mode="drop")
