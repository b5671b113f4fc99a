"""What the metrics are by definition: the usual ones, or those of the Yambda benchmark."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxrec.data.interactions import Interactions
from jaxrec.rank.metrics import METRIC_DEFINITIONS, ideal_dcg, per_user_metrics

# Each user's hits, number of relevant items and list lengths -> each user's metrics.
PerUser = Callable[[np.ndarray, np.ndarray, Sequence[int]], dict[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Definitions:
    """How lists are measured.

    Attributes:
      words: a definition of each metric.
      num_relevant: how much there is to be found of each user in a part: [num_users] int64.
      per_user: as of `metrics.per_user_metrics`; all users that are measured at once.
    """

    words: Mapping[str, str]
    num_relevant: Callable[[Interactions], np.ndarray]
    per_user: PerUser


def definitions_of(protocol: Mapping[str, Any]) -> Definitions:
    """Those that the parts of a split are measured by, as its protocol says."""
    return YAMBDA if protocol["kind"] == "yambda" else USUAL


def num_items(relevant: Interactions) -> np.ndarray:
    """How many items each user has: [num_users] int64."""
    return np.diff(relevant.user_offsets())


def num_listens(relevant: Interactions) -> np.ndarray:
    """How many listens each user has, those of one item counted each: [num_users] int64."""
    of_pair = np.diff(relevant.listens().offsets)
    return np.bincount(relevant.user, of_pair, relevant.num_users).astype(np.int64)


def yambda_metrics(
    hits: np.ndarray, num_relevant: np.ndarray, ks: Sequence[int]
) -> dict[str, np.ndarray]:
    """The metrics of the Yambda benchmark (https://arxiv.org/abs/2505.22238).

    As its code had them when the paper's figures were made (benchmarks/yambda/evaluation/metrics.py
    at https://huggingface.co/datasets/yandex/yambda, which says so where they were changed later):
    relevant are listens, so that an item heard again counts again in the denominators although it
    can be found once; and NDCG is the users' mean DCG by their mean ideal DCG. A user's part of it
    is the user's DCG by that mean: their mean is the figure, and what is tested over users.

    Args:
      hits: [n, length] bool, as of `per_user_metrics`.
      num_relevant: [n], how many listens are to be found of each user, at least 1.
      ks: list lengths.
    """
    found = per_user_metrics(hits, num_relevant, ks)
    for k in ks:
        ideal = ideal_dcg(num_relevant, k)
        found[f"ndcg@{k}"] = found[f"ndcg@{k}"] * ideal / ideal.mean() if len(ideal) else ideal
    return found


USUAL = Definitions(METRIC_DEFINITIONS, num_items, per_user_metrics)
YAMBDA = Definitions(
    {
        **METRIC_DEFINITIONS,
        "recall": "hits in the first k / number of listens to be found, repeated ones counted each",
        "ndcg": "mean over users of the sum over hits of 1 / log2(1 + rank), divided by the mean "
        "over users of its value for the ideal list of min(k, number of listens to be found) hits",
        "map": "sum over hits in the first k of the precision at their rank, divided by "
        "min(k, number of listens to be found)",
    },
    num_listens,
    yambda_metrics,
)
