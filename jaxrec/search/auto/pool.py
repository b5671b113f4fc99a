"""A pool of items for each user, scored by several models: blends of them are judged in no time.

What a blend lists is nearly always among what its members list a little further down. So each
model scores everything once, and thousands of weights can be tried on what is kept of it.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from jaxrec.models.factors import CONSTANT
from jaxrec.models.histories import Histories
from jaxrec.models.model import Model
from jaxrec.models.popularity import item_users
from jaxrec.rank.definitions import PerUser
from jaxrec.rank.evaluate import find_hits
from jaxrec.rank.measure import Measure
from jaxrec.rank.top_k import USERS_PER_SCORING, top_k

DEPTH = 100  # items of each leader's list that are in the pool
USERS_PER_BLOCK = 512  # whose figures are made together


@dataclasses.dataclass(frozen=True, eq=False)
class Pool:
    """Some users of a validation part, some items of each, and what models say of them.

    Attributes:
      users: [n], whose they are.
      items: [n, size] int32, -1 where there is no further one.
      scores: by model, [n, size] float32; -inf where there is no further item.
      hits: [n, size] bool, the items that were held out.
      num_relevant: [n], how many were held out of each user.
      per_user: the metrics, by the definition that is measured by.
    """

    users: np.ndarray
    items: np.ndarray
    scores: Mapping[str, np.ndarray]
    hits: np.ndarray
    num_relevant: np.ndarray
    per_user: PerUser

    def blocks(self) -> list[slice]:
        """Cuts the users into blocks that `figures` needs little room for."""
        return [
            slice(start, start + USERS_PER_BLOCK)
            for start in range(0, len(self.users), USERS_PER_BLOCK)
        ]

    def figures(
        self,
        weights: Mapping[str, float],
        metrics: Sequence[str],
        block: slice = slice(None),
    ) -> np.ndarray:
        """Some users' metrics where the models' weighted scores rank the pool.

        Args:
          weights: by model; one of them isn't 0.
          metrics: such as `recall@20`.
          block: whose; everybody's unless it is given.

        Returns:
          [users of the block, metrics] float64.
        """
        cutoffs = [int(metric.partition("@")[2]) for metric in metrics]
        hits, num_relevant = self.hits[block], self.num_relevant[block]
        total: np.ndarray = np.zeros_like(hits, np.float32)
        for name, weight in weights.items():
            if weight:
                total += np.float32(weight) * self.scores[name][block]
        k = min(max(cutoffs), total.shape[1])
        best = np.argpartition(-total, k - 1, axis=1)[:, :k]
        order = np.argsort(-np.take_along_axis(total, best, axis=1), axis=1, kind="stable")
        hits = np.take_along_axis(hits, np.take_along_axis(best, order, axis=1), axis=1)
        found = self.per_user(hits, num_relevant, sorted(set(cutoffs)))
        return np.stack([found[metric] for metric in metrics], axis=1)


def make_pool(
    models: Mapping[str, Model],
    measure: Measure,
    *,
    leaders: Sequence[Model],
    standardise: bool,
    memory_budget_mb: int,
) -> Pool:
    """Scores a pool for every user of the validation part.

    Args:
      models: by name.
      measure: says what is to be found of validation, what may be listed, and by which histories.
      leaders: whose lists make up the pool; they need not be among the models.
      standardise: whether each model's scores of a user are brought to mean 0 and deviation 1 over
        the items that train knows, as in a blend.
      memory_budget_mb: as of `top_k`.
    """
    relevant = measure.relevant("validation")
    users = np.unique(relevant.user).astype(np.int32)
    rows, known = measure.histories.take(users), item_users(measure.split.train) > 0
    seen = measure.seen("validation", users)
    lists = [
        top_k(
            leader,
            rows,
            k=DEPTH,
            seen=seen,
            candidates=known,
            memory_budget_mb=memory_budget_mb,
        )[0]
        for leader in leaders
    ]
    items = _distinct(np.hstack(lists))
    return Pool(
        users=users,
        items=items,
        scores={
            name: _scores(model, rows, items, known, standardise) for name, model in models.items()
        },
        hits=find_hits(items, users, relevant),
        num_relevant=measure.definitions.num_relevant(relevant)[users],
        per_user=measure.definitions.per_user,
    )


def _distinct(lists: np.ndarray) -> np.ndarray:
    """Each row's different items, -1 behind them where a row has fewer: [n, size] int32."""
    ordered = np.sort(lists, axis=1)
    ordered[:, 1:][ordered[:, 1:] == ordered[:, :-1]] = -1
    ordered = -np.sort(-ordered, axis=1)
    return ordered[:, : max(1, int((ordered >= 0).sum(axis=1).max(initial=0)))]


def _scores(
    model: Model, rows: Histories, items: np.ndarray, known: np.ndarray, standardise: bool
) -> np.ndarray:
    found = np.full(items.shape, -np.inf, np.float32)
    for start in range(0, len(rows), USERS_PER_SCORING):
        block = np.arange(start, min(start + USERS_PER_SCORING, len(rows)))
        # Filled up, so that every block has one shape and is compiled once.
        scores = np.asarray(model.scores(rows.take(np.resize(block, USERS_PER_SCORING))))
        scores, own = scores[: len(block)], items[block]
        values = np.take_along_axis(scores, np.maximum(own, 0), axis=1)
        if standardise:
            among = scores[:, known]
            centre = among.mean(axis=1, keepdims=True)
            spread = among.std(axis=1, keepdims=True)
            size = np.abs(among).max(axis=1, keepdims=True, initial=0)
            spread = np.where(spread > CONSTANT * size, spread, np.inf)  # as in a blend
            values = (values - centre) / spread
        found[block] = np.where(own >= 0, values, -np.inf)
    return found
