"""ItemKNN: an item is as good as it is similar to what the user knows."""

import numpy as np
from scipy import sparse

from jaxrec.models.item_weights import ItemWeights
from jaxrec.models.matrix import Track, in_threads, item_blocks, strongest


def fit(
    matrix: sparse.csr_array,
    *,
    neighbours: int,
    shrink: float,
    normalize: bool,
    centre: bool,
    seed: int,
    track: Track,
) -> ItemWeights:
    """Sums similarities: score(u, j) = m_j + sum over i in N(j) of (x_ui - m_i) s_ij.

    s_ij = <x_i, x_j> / (|x_i| |x_j| + shrink) between columns; N(j) holds the `neighbours` items
    most similar to j; m is 0 or, if centred, a column's mean. Sarwar et al. 2001
    (https://doi.org/10.1145/371920.372071), with shrinkage as of Ferrari Dacrema et al. 2019
    (https://arxiv.org/abs/1907.06902). The figure known for Gowalla, Recall@20 .1570, is of 100
    neighbours, no shrinkage, normalised and centred
    (https://github.com/xue-pai/Open-CF-Benchmark, benchmarks/ItemKNN).

    Args:
      matrix: [num_users, num_items].
      neighbours: how many items N(j) holds at most, at least 1.
      shrink: at least 0; the larger, the less small overlaps count.
      normalize: whether the s_ij of each j are divided by their sum.
      centre: whether the means count.
      seed: not used.
      track: shows how far it is.
    """
    del seed
    weights = similarities(matrix, neighbours=neighbours, shrink=shrink, track=track)
    if normalize:
        total = np.asarray(weights.sum(axis=0))
        weights.data /= total[weights.indices]
    if not centre:
        return ItemWeights(weights)
    mean = np.asarray(matrix.sum(axis=0)) / max(matrix.shape[0], 1)
    return ItemWeights(weights, bias=(mean - mean @ weights).astype(np.float32))


def similarities(
    matrix: sparse.csr_array, *, neighbours: int, shrink: float, track: Track
) -> sparse.csr_array:
    """s_ij where i is in N(j), else 0: [num_items, num_items] by i and j."""
    return nearest(matrix, neighbours=neighbours, shrink=shrink, track=track).T.tocsr()


def nearest(
    matrix: sparse.csr_array, *, neighbours: int, shrink: float, track: Track
) -> sparse.csr_array:
    """s_ij where i is in N(j), else 0: [num_items, num_items] by j and i, so by whose they are."""
    length = np.sqrt(matrix.power(2).sum(axis=0))
    columns = matrix.T.tocsr()

    def found(block: slice) -> sparse.csr_array:
        rows = (columns[block] @ matrix).tocsr()
        row = np.repeat(np.arange(block.start, block.stop), np.diff(rows.indptr))
        rows.data /= (length[row] * length[rows.indices] + shrink).astype(np.float32)
        rows.data[rows.indices == row] = 0  # what an item says of itself
        return strongest(rows, neighbours)

    blocks = in_threads(found, item_blocks(matrix), track, "similarities")
    return sparse.vstack(blocks, format="csr")
