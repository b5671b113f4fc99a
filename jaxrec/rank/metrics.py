"""Figures of ranked lists: accuracy per user, and what the lists do to the catalogue.

All are pure functions of NumPy arrays, computed in float64.
"""

from collections.abc import Sequence

import numpy as np

# Short enough to travel with every result; k is the length of the list that is looked at.
METRIC_DEFINITIONS = {
    "recall": "hits in the first k / number of relevant items",
    "precision": "hits in the first k / k, also where fewer than k items could be listed",
    "ndcg": "sum over hits of 1 / log2(1 + rank), divided by its value for the ideal list of "
    "min(k, number of relevant items) hits",
    "hit_rate": "1 if there is a hit in the first k, else 0",
    "mrr": "1 / rank of the first hit, 0 if it is not in the first k",
    "map": "sum over hits in the first k of the precision at their rank, divided by "
    "min(k, number of relevant items)",
}
BEYOND_ACCURACY_DEFINITIONS = {
    "coverage": "share of the candidate items that are in at least one list",
    "mean_popularity_rank": "mean over the entries of all lists of the item's rank by number of "
    "listeners in train (1 = most, ties by index)",
    "gini": "Gini index of how often each candidate item is listed: 0 all equally, 1 one item only",
}


def per_user_metrics(
    hits: np.ndarray, num_relevant: np.ndarray, ks: Sequence[int]
) -> dict[str, np.ndarray]:
    """Every metric of `METRIC_DEFINITIONS` at every k, for each user.

    Recall, precision and average precision are textbook ones (Manning, Raghavan & Schütze 2008,
    https://nlp.stanford.edu/IR-book, ch. 8); average precision is divided by min(k, number of
    relevant items), so that a perfect list scores 1 at any k, unlike trec_eval's `map_cut`, which
    divides by the number of relevant items. NDCG with binary gains: Järvelin & Kekäläinen 2002,
    https://doi.org/10.1145/582415.582418, with the discount 1 / log2(1 + rank) of Burges et al.
    2005, https://doi.org/10.1145/1102351.1102363. Reciprocal rank: Voorhees 1999 (TREC-8).

    Args:
      hits: [n, length] bool, whether the item at each rank of the list is relevant.
      num_relevant: [n] integers, how many items are relevant to the user, at least 1.
      ks: list lengths; beyond `length` the list counts as filled up with items not relevant.

    Returns:
      `recall@10` and so on: [n] float64 in 0..1, by k and then in the order of the definitions.

    Raises:
      ValueError: a k or a number of relevant items below 1.
    """
    relevant = np.asarray(num_relevant, np.float64)
    if len(relevant) and relevant.min() < 1:
        raise ValueError("num_relevant holds a 0; expected users with at least 1 relevant item")
    _check_ks(ks)
    length = max(1, min(max(ks), hits.shape[1]))  # nothing is found beyond
    hits = np.pad(hits[:, :length], ((0, 0), (0, max(0, 1 - hits.shape[1]))))
    rank = np.arange(1, length + 1)
    discount = 1 / np.log2(1 + rank)
    found = np.cumsum(hits, axis=1, dtype=np.float64)
    gain = np.cumsum(hits * discount, axis=1)
    precision_sum = np.cumsum(hits * found / rank, axis=1)
    first = np.where(hits.any(axis=1), hits.argmax(axis=1) + 1, np.inf)
    result = {}
    for k in ks:
        reachable, last = np.minimum(relevant, k), min(k, length) - 1
        columns = {
            "recall": found[:, last] / relevant,
            "precision": found[:, last] / k,
            "ndcg": gain[:, last] / ideal_dcg(num_relevant, k),
            "hit_rate": (found[:, last] > 0).astype(np.float64),
            "mrr": np.where(first <= k, 1 / first, 0.0),
            "map": precision_sum[:, last] / reachable,
        }
        result.update({f"{name}@{k}": values for name, values in columns.items()})
    return result


def ideal_dcg(num_relevant: np.ndarray, k: int) -> np.ndarray:
    """The DCG of the best list of k, min(k, number of relevant items) hits at its top: [n] float64.

    Args:
      num_relevant: [n] integers, at least 1.
      k: the list's length, at least 1.
    """
    hits = np.minimum(np.asarray(num_relevant, np.int64), k)
    sums = np.cumsum(1 / np.log2(1 + np.arange(1, hits.max(initial=1) + 1)))
    return np.asarray(sums[hits - 1])


def beyond_accuracy(
    items: np.ndarray, *, candidates: np.ndarray, popularity_rank: np.ndarray, ks: Sequence[int]
) -> dict[str, float]:
    """How the lists spread over the catalogue: `BEYOND_ACCURACY_DEFINITIONS` at every k.

    The Gini index is that of Shani & Gunawardana 2011
    (https://doi.org/10.1007/978-0-387-85820-3_8), divided so that it reaches 1.

    Args:
      items: [n, length] int32, each user's list, best first; -1 where it is shorter.
      candidates: [num_items] bool, the items that could be listed.
      popularity_rank: [num_items], 1 = most popular.
      ks: list lengths.

    Returns:
      `coverage@10` and so on. With no entry in any list: coverage 0, the others NaN.

    Raises:
      ValueError: a k below 1.
    """
    _check_ks(ks)
    result = {}
    for k in ks:
        entries = items[:, :k]
        entries = entries[entries >= 0]
        counts = np.bincount(entries, minlength=len(candidates))[candidates]
        result[f"coverage@{k}"] = float(np.mean(counts > 0)) if len(counts) else 0.0
        result[f"mean_popularity_rank@{k}"] = (
            float(popularity_rank[entries].mean()) if len(entries) else float("nan")
        )
        result[f"gini@{k}"] = gini(counts)
    return result


def gini(counts: np.ndarray) -> float:
    """Gini index of how unequal counts are: 0 all equal, 1 all in one; NaN where all are zero.

    Args:
      counts: [n], >= 0. A single one is equal to itself: 0.
    """
    size, total = len(counts), counts.sum()
    if total == 0:
        return float("nan")
    weight = 2 * np.arange(1, size + 1) - size - 1
    return float(np.dot(weight, np.sort(counts)) / (max(size - 1, 1) * total))


def _check_ks(ks: Sequence[int]) -> None:
    if len(ks) == 0 or min(ks) < 1:
        raise ValueError(f"ks are {list(ks)}; expected list lengths of at least 1")


def bootstrap_intervals(
    per_user: dict[str, np.ndarray], *, seed: int, num_resamples: int = 1000, level: float = 0.95
) -> dict[str, tuple[float, float]]:
    """Percentile bootstrap intervals of the mean over users (Efron & Tibshirani 1993, ch. 13).

    Users are drawn with replacement; all metrics share the draws, which depend on the number of
    users, `num_resamples` and the seed only.

    Args:
      per_user: [n] values of each metric, all of one length, at least 1.
      seed: chooses the draws.
      num_resamples: how many samples of n users are drawn.
      level: share of the resampled means inside the interval, between 0 and 1.

    Returns:
      (low, high) by metric.

    Raises:
      ValueError: no users, or metrics of different lengths.
    """
    lengths = {len(values) for values in per_user.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(f"metrics of {sorted(lengths)} users; expected one length of at least 1")
    num_users = lengths.pop()
    table = np.stack([np.asarray(values, np.float64) for values in per_user.values()], axis=1)
    random = np.random.default_rng(seed)
    # A few resamples at a time: their counts stay in the cache, and memory stays bounded.
    together = max(1, min(num_resamples, 2**19 // num_users))
    means = np.empty((num_resamples, table.shape[1]))
    for start in range(0, num_resamples, together):
        rows = min(together, num_resamples - start)
        drawn = random.integers(0, num_users, size=(rows, num_users))
        drawn += np.arange(rows)[:, None] * num_users
        counts = np.bincount(drawn.ravel(), minlength=rows * num_users).reshape(rows, num_users)
        means[start : start + rows] = counts.astype(np.float64) @ table / num_users
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    return {name: (float(low[i]), float(high[i])) for i, name in enumerate(per_user)}
