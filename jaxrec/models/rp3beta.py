"""RP3beta: where a random walk of three steps ends, popular items held back."""

import numpy as np
from scipy import sparse

from jaxrec.models.item_weights import ItemWeights
from jaxrec.models.matrix import Track, in_threads, item_blocks, strongest


def fit(
    matrix: sparse.csr_array,
    *,
    neighbours: int,
    alpha: float,
    beta: float,
    seed: int,
    track: Track,
) -> ItemWeights:
    """Walks user, item, user, item: score(u, j) = sum over i, v of p_ui p_iv p_vj / d_j^beta.

    p is a step's probability (an entry by the sum of its row, or of its column where the step
    starts at an item) to the power of alpha, and d_j the sum of j's column: the number of
    users, where all entries are 1. Paudel et al. 2017 (https://doi.org/10.1145/2955101); as
    Ferrari Dacrema et al. 2019 (https://arxiv.org/abs/1907.06902) do it, only the `neighbours`
    best targets j of each i count. With alpha 1 and beta 0 that is the walk itself (P3).

    Args:
      matrix: [num_users, num_items].
      neighbours: targets per item, at least 1.
      alpha: at least 0.
      beta: at least 0.
      seed: not used.
      track: shows how far it is.
    """
    del seed
    weights = steps(matrix, neighbours=neighbours, alpha=alpha, beta=beta, track=track)
    return ItemWeights(weights, step_exponent=alpha)


def steps(
    matrix: sparse.csr_array,
    *,
    neighbours: int,
    alpha: float,
    beta: float,
    track: Track,
) -> sparse.csr_array:
    """The last two steps' part of the score: [num_items, num_items] by i and j."""
    from_user, from_item = _shares(matrix, alpha), _shares(matrix.T.tocsr(), alpha)
    degree = np.asarray(matrix.sum(axis=0), np.float64)
    held_back = (np.maximum(degree, np.finfo(np.float32).tiny) ** -beta).astype(np.float32)

    def found(block: slice) -> sparse.csr_array:
        rows = (from_item[block] @ from_user).tocsr()
        rows.data *= held_back[rows.indices]
        return strongest(rows, neighbours)

    blocks = in_threads(found, item_blocks(matrix), track, "walks")
    return sparse.vstack(blocks, format="csr")


def _shares(matrix: sparse.csr_array, alpha: float) -> sparse.csr_array:
    """Each entry by the sum of its row, to the power of alpha."""
    shares = matrix.copy()
    total = np.repeat(np.asarray(matrix.sum(axis=1)), np.diff(matrix.indptr))
    shares.data = ((matrix.data / total) ** alpha).astype(np.float32)
    return shares
