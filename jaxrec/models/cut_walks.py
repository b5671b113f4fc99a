"""Walks cut to the best ends of each item: weights between items, for which no graph is needed.

Walks over the graph cost a pass over all edges for every 64 histories. What they say of each item
alone can be written down once and for all: a history's scores are a sum over its own items then.
"""

from collections.abc import Iterator

import numpy as np
from scipy import sparse

from jaxrec.models.filters import Filter
from jaxrec.models.histories import Histories
from jaxrec.models.item_weights import ItemWeights
from jaxrec.models.matrix import Track, item_blocks

ITEMS_PER_CALL = 64
MEASURED = 256  # users of whom the size of the scores is a mean

Row = tuple[np.ndarray, np.ndarray]  # columns and values


def cut(filtered: Filter, ends: int, track: Track) -> ItemWeights:
    """The walks' scores with the best ends of each item alone.

    With S = N^T N and W = S - l S^2, walks score a history x by x W times the ends' factors,
    divided by the root of x S x^T. Here each row of W keeps its best ends and itself, and the
    divisor is the root of x W x^T, times a constant that makes the scores of the same size.

    Args:
      filtered: walks, as `walks.walks` makes them.
      ends: how many stay in a row beside the item itself, at least 1.
      track: shows how far it is.
    """
    normalised = _matrix(filtered)
    rows = _long_walks(filtered, track) if filtered.longer else _short_walks(normalised, track)
    kept = [
        _best(columns, values, item, filtered.ends, ends)
        for item, (columns, values) in enumerate(rows)
    ]
    weights = sparse.csr_array(
        (
            np.concatenate([values for _, values in kept]),
            np.concatenate([columns for columns, _ in kept]),
            np.r_[0, np.cumsum([len(columns) for columns, _ in kept])].astype(np.int64),
        ),
        shape=(filtered.num_items, filtered.num_items),
    )
    factors = filtered.ends * _same_size(filtered, normalised, weights)
    weights.data *= factors[weights.indices]
    metric = np.divide(1, factors, where=factors > 0, out=np.zeros_like(factors))
    return ItemWeights(weights, metric=metric)


def _short_walks(normalised: sparse.csr_array, track: Track) -> Iterator[Row]:
    """The rows of S, by products of sparse matrices."""
    columns = normalised.T.tocsr()
    for block in track(item_blocks(normalised), "ends of walks", "blocks"):
        rows = (columns[block] @ normalised).tocsr()
        for start, stop in zip(rows.indptr[:-1], rows.indptr[1:], strict=True):
            yield rows.indices[start:stop], rows.data[start:stop]


def _long_walks(filtered: Filter, track: Track) -> Iterator[Row]:
    """The rows of S - l S^2, by walks from each item alone."""
    plain = Filter(
        filtered.graph,
        np.ones_like(filtered.ends),
        filtered.longer,
        unit_length=False,
        kernel=filtered.kernel,
    )
    num_items = filtered.num_items
    columns = np.arange(num_items, dtype=np.int32)
    for start in track(range(0, num_items, ITEMS_PER_CALL), "ends of walks", "blocks"):
        items = np.arange(start, min(start + ITEMS_PER_CALL, num_items))
        # Filled up, so that every call has one shape and is compiled once.
        alone = Histories.of_items(list(np.resize(items, ITEMS_PER_CALL)[:, None]), num_items)
        for values in np.asarray(plain.scores(alone))[: len(items)]:
            yield columns, values


def _matrix(filtered: Filter) -> sparse.csr_array:
    """N: [num_users, num_items]."""
    half = filtered.graph.to_users
    return sparse.csr_array(
        (np.asarray(half.weights), np.asarray(half.senders), np.asarray(half.offsets)),
        shape=(half.num_rows, filtered.num_items),
    )


def _best(
    columns: np.ndarray, values: np.ndarray, item: int, factors: np.ndarray, ends: int
) -> Row:
    """Those above 0 of which the scores are best, and the item itself."""
    above = values > 0
    columns, values = columns[above], values[above]
    if len(columns) > ends + 1:
        ranks = np.where(columns == item, np.inf, values * factors[columns])
        best = np.sort(np.argpartition(-ranks, ends)[: ends + 1])
        columns, values = columns[best], values[best]
    return columns.astype(np.int32), values.astype(np.float32)


def _same_size(
    filtered: Filter, normalised: sparse.csr_array, weights: sparse.csr_array
) -> np.float32:
    """By what the scores of the cut walks are multiplied, so that they are as large as before."""
    users = np.flatnonzero(np.diff(normalised.indptr))
    users = users[np.linspace(0, len(users) - 1, min(MEASURED, len(users))).astype(int)]
    rows = normalised[users]  # back to the histories themselves: without the roots of the degrees
    rows.data *= np.sqrt(np.asarray(filtered.graph.to_items.degrees)[rows.indices])
    before = np.asarray((rows @ normalised.T).power(2).sum(axis=1))
    after = np.asarray((rows @ weights).multiply(rows).sum(axis=1))
    known = (before > 0) & (after > 0)
    ratio = np.sqrt(after[known] / before[known])
    return np.float32(ratio.mean() if len(ratio) else 1.0)
