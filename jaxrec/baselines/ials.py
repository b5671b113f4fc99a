"""iALS: matrix factorisation of all pairs by alternating least squares."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from scipy import sparse

from jaxrec.baselines.matrix import Track
from jaxrec.rank.top_k import Scorer

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


def fit(
    matrix: sparse.csr_array,
    *,
    dim: int,
    iterations: int,
    unobserved_weight: float,
    l2: float,
    l2_exponent: float,
    init_stddev: float,
    seed: int,
    track: Track,
) -> Scorer:
    """Scores by <w_u, h_i>, which by turns minimise

        sum over entries of x_ui (<w_u, h_i> - 1)^2 + unobserved_weight * sum over all pairs of
        <w_u, h_i>^2 + sum over u of l2_u |w_u|^2 + sum over i of l2_i |h_i|^2, with `row_l2`.

    Hu et al. 2008 (https://doi.org/10.1109/ICDM.2008.22) in the form of Rendle et al. 2021,
    "Revisiting the Performance of iALS" (https://arxiv.org/abs/2110.14037).

    Args:
      matrix: [num_users, num_items]; an entry is the weight of its pair.
      dim: length of an embedding.
      iterations: times that both sides are solved for.
      unobserved_weight: above 0.
      l2: above 0.
      l2_exponent: nu, at least 0.
      init_stddev: the items' first embeddings have entries of standard deviation
        init_stddev / sqrt(dim).
      seed: of those.
      track: shows how far it is.
    """
    first = np.random.default_rng(seed).standard_normal((matrix.shape[1], dim))
    items = jnp.asarray(first * init_stddev / np.sqrt(dim), jnp.float32)
    users = jnp.zeros((matrix.shape[0], dim), jnp.float32)
    of_users, of_items = (
        batches(
            side,
            dim=dim,
            l2=row_l2(side, l2=l2, exponent=l2_exponent, unobserved_weight=unobserved_weight),
        )
        for side in (matrix, matrix.T.tocsr())
    )
    for _ in track(range(iterations), "alternating", "iterations"):
        users = half_step(of_users, users, items, unobserved_weight)
        items = half_step(of_items, items, users, unobserved_weight)
        users.block_until_ready()
    user_table, item_table = np.asarray(users), np.asarray(items)
    return lambda chosen: user_table[chosen] @ item_table.T


def row_l2(
    matrix: sparse.csr_array, *, l2: float, exponent: float, unobserved_weight: float
) -> np.ndarray:
    """l2 (entries of the row + unobserved_weight * length of the row)^exponent: [rows] float64."""
    mass = np.diff(matrix.indptr) + unobserved_weight * matrix.shape[1]
    return np.asarray(l2 * mass**exponent, np.float64)


def batches(matrix: sparse.csr_array, *, dim: int, l2: np.ndarray) -> list[Batch]:
    """Cuts the rows, sorted by length, into batches of few shapes."""
    length = np.diff(matrix.indptr)
    rounded = np.maximum(SHORTEST, 2 ** np.ceil(np.log2(np.maximum(length, 1))).astype(np.int64))
    result = []
    for width in np.unique(rounded):
        rows = np.flatnonzero(rounded == width)
        most = max(1, min(ENTRIES_PER_BATCH // width, FLOATS_OF_SYSTEMS // dim**2))
        size = min(int(most), len(rows))
        for start in range(0, len(rows), size):
            chosen = rows[start : start + size]
            there = np.arange(width) < length[chosen][:, None]
            source = np.where(there, matrix.indptr[chosen][:, None] + np.arange(width), 0)
            padding = size - len(chosen)
            fill = ((0, padding), (0, 0))
            result.append(
                Batch(
                    jnp.asarray(np.r_[chosen, np.full(padding, matrix.shape[0])], jnp.int32),
                    jnp.asarray(
                        np.pad(np.where(there, matrix.indices[source], 0), fill), jnp.int32
                    ),
                    jnp.asarray(np.pad(np.where(there, matrix.data[source], 0), fill), jnp.float32),
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
