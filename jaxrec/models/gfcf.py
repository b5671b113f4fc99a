"""GF-CF: graph filters in closed form, a linear one and an ideal low-pass one."""

import hashlib
import threading

import numpy as np
from scipy import linalg, sparse
from scipy.sparse.linalg import svds
from threadpoolctl import threadpool_limits

from jaxrec.errors import UserError
from jaxrec.models.filters import Filter, LowRank
from jaxrec.models.matrix import Track
from jaxrec.models.walks import graph_of

MOST_KEPT = 2**28  # bytes of singular vectors, of the last matrices
# Of a matrix whose smaller side is up to so many times their number, the products and their
# eigenvectors take less time than a search: of 1,878 rows .8 s instead of .9 for 128 vectors, .9
# instead of 2.8 for 256.
DENSE, MOST_DENSE = 16, 8192


def fit(
    matrix: sparse.csr_array,
    *,
    singular_vectors: int,
    low_pass_weight: float,
    seed: int,
    track: Track,
) -> Filter:
    """Filters a user's row r of R: r (R~^T R~ + w D^-1/2 V V^T D^1/2).

    R~ is R divided by the square roots of both degrees (the sums of its rows and columns), D the
    items' degrees on a diagonal, V the first right singular vectors of R~ and w
    `low_pass_weight`. Shen et al. 2021 (https://arxiv.org/abs/2108.07567); on Gowalla they take
    256 vectors and w = 0.3.

    Args:
      matrix: R, [num_users, num_items].
      singular_vectors: how many, at least 1; as many as there are but one, where it is more.
      low_pass_weight: at least 0.
      seed: chooses where a search for the singular vectors starts, if there is one.
      track: shows how far it is.

    Raises:
      UserError: the matrix has one row or column.
    """
    smaller = min(matrix.shape)
    if smaller < 2:
        raise UserError(
            f"gfcf: {matrix.shape[0]:,} users and {matrix.shape[1]:,} items; expected at least 2 "
            "of each"
        )
    singular_vectors = min(singular_vectors, smaller - 1)  # there are no more
    root = np.sqrt(np.asarray(matrix.sum(axis=0), np.float64))
    inverse_root = np.divide(1, root, where=root > 0, out=np.zeros_like(root))
    graph = graph_of(matrix)
    normalised = sparse.csr_array(
        (np.asarray(graph.to_users.weights, np.float64), matrix.indices, matrix.indptr),
        shape=matrix.shape,
    )
    vectors = _right_singular_vectors(normalised, singular_vectors, seed, track)
    into = (inverse_root[:, None] * vectors.T).astype(np.float32, order="C")
    out_of = (low_pass_weight * vectors * root).astype(np.float32)
    ends = np.ones(matrix.shape[1], np.float32)
    return Filter(graph, ends, longer=0.0, unit_length=False, low_rank=LowRank(into, out_of))


_kept: dict[tuple[bytes, int, int], np.ndarray] = {}  # the last one asked for last
_keeping = threading.Lock()


def _right_singular_vectors(
    matrix: sparse.csr_array, count: int, seed: int, track: Track
) -> np.ndarray:
    """The first `count`: [count, num_items] float64.

    A search fits the same matrices with other weights, and nearly all its time goes here: so those
    of the last matrices are kept.
    """
    digest = hashlib.blake2b(repr(matrix.shape).encode())
    for part in (matrix.indptr, matrix.indices, matrix.data):
        digest.update(part.tobytes())
    key = digest.digest(), count, seed
    with _keeping:
        vectors = _kept.pop(key, None)
    if vectors is None:
        dense = min(matrix.shape) <= min(DENSE * count, MOST_DENSE)
        (vectors,) = (
            _of_all(matrix, each) if dense else _searched(matrix, each, seed)
            for each in track((count,), "singular vectors", "searches")
        )
        vectors.setflags(write=False)  # they are kept
    with _keeping:
        _kept[key] = vectors
        while sum(each.nbytes for each in _kept.values()) > MOST_KEPT:
            del _kept[next(iter(_kept))]
    return vectors


def _searched(matrix: sparse.csr_array, count: int, seed: int) -> np.ndarray:
    """By ARPACK: exact, and the same from the same start."""
    start = np.random.default_rng(seed).standard_normal(min(matrix.shape))
    # Its products are small: with several threads they take longer, and beside other work twenty
    # times as long.
    with threadpool_limits(limits=1, user_api="blas"):
        _, _, vectors = svds(matrix, k=count, v0=start)
    return np.asarray(vectors)


def _of_all(matrix: sparse.csr_array, count: int) -> np.ndarray:
    """By the eigenvectors of the smaller side's products, a dense matrix: as exact.

    A vector of a singular value of 0, which could be any of many, is 0.
    """
    by_rows = matrix.shape[0] < matrix.shape[1]
    products = (matrix @ matrix.T if by_rows else matrix.T @ matrix).toarray()
    side = len(products)
    values, vectors = linalg.eigh(products, subset_by_index=(side - count, side - 1))
    known = values > side * np.finfo(np.float64).eps * values[-1]
    if by_rows:
        vectors = (matrix.T @ vectors) / np.sqrt(np.where(known, values, 1))
    return np.ascontiguousarray(np.where(known, vectors, 0).T)
