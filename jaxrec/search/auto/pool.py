"""A pool of items for each user, scored by several models: blends of them are judged in no time.

What a blend lists is nearly always among what its members list a little further down. So each
model scores everything once, and thousands of weights can be tried on what is kept of it.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from jaxrec.errors import RunError
from jaxrec.models.blend import scale
from jaxrec.models.matrix import Track, in_threads, threads, untracked
from jaxrec.models.model import Array, Model
from jaxrec.models.popularity import item_users
from jaxrec.rank.best_of_few import ADVICE
from jaxrec.rank.definitions import PerUser
from jaxrec.rank.evaluate import find_hits
from jaxrec.rank.measure import Measure
from jaxrec.rank.seen import Seen
from jaxrec.rank.top_k import USERS_PER_SCORING

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
    track: Track = untracked,
) -> Pool:
    """Scores a pool for every user of the validation part.

    Args:
      models: by name.
      measure: says what is to be found of validation, what may be listed, and by which histories.
      leaders: whose lists make up the pool; they need not be among the models.
      standardise: whether each model's scores of a user are brought to mean 0 and deviation 1 over
        the items that train knows, as in a blend.
      memory_budget_mb: MiB for scores of all items, which say how many blocks of users are scored
        at the same time; of one block there are always some.
      track: shows how far it is.

    Raises:
      RunError: a score isn't finite.
    """
    relevant = measure.relevant("validation")
    users = np.unique(relevant.user).astype(np.int32)
    rows, known = measure.histories.take(users), item_users(measure.split.train) > 0
    seen = measure.seen("validation", users)
    once = {id(each): each for each in (*models.values(), *leaders)}

    def of_block(start: int) -> tuple[np.ndarray, list[np.ndarray]]:
        """Some users' items, and what each model says of them."""
        block = np.arange(start, min(start + USERS_PER_SCORING, len(users)))
        # Filled up, so that every block has one shape and is compiled once.
        asked = rows.take(np.resize(block, USERS_PER_SCORING))
        scores = {name: _finite(each.scores(asked)) for name, each in once.items()}
        listed = _listed(known, seen, block)
        lists = [_best(scores[id(each)][: len(block)], listed) for each in leaders]
        items = _distinct(np.hstack(lists))
        return items, [
            _values(scores[id(each)], items, known if standardise else None)
            for each in models.values()
        ]

    starts = range(0, len(users), USERS_PER_SCORING)
    a_block = 4 * USERS_PER_SCORING * rows.num_items * len(once)
    workers = int(np.clip(memory_budget_mb * 2**20 // a_block, 1, threads()))
    found = in_threads(of_block, starts, track, "scores", workers)
    size = max((items.shape[1] for items, _ in found), default=1)
    by_model = zip(*(values for _, values in found), strict=True)
    items = _joined([items for items, _ in found], size, -1)
    return Pool(
        users=users,
        items=items,
        scores={
            name: _joined(values, size, -np.inf)
            for name, values in zip(models, by_model, strict=True)
        },
        hits=find_hits(items, users, relevant),
        num_relevant=measure.definitions.num_relevant(relevant)[users],
        per_user=measure.definitions.per_user,
    )


def _finite(scores: Array) -> np.ndarray:
    found = np.asarray(scores)
    if not np.isfinite(found).all():
        raise RunError(f"the scores hold a NaN or an infinity; {ADVICE}")
    return found


def _listed(known: np.ndarray, seen: Seen | None, block: np.ndarray) -> np.ndarray:
    """What may be in some users' lists: [n, num_items] bool."""
    listed = np.tile(known, (len(block), 1))
    if seen is not None:
        own = seen.take(block)
        had = np.zeros_like(listed)
        had[np.repeat(np.arange(len(block)), np.diff(own.offsets)), own.items] = True
        listed &= had if own.only else ~had
    return listed


def _best(scores: np.ndarray, listed: np.ndarray) -> np.ndarray:
    """The best of each row in any order, -1 where there are fewer: [n, DEPTH] int32."""
    values = np.where(listed, scores, -np.inf)
    if values.shape[1] <= DEPTH:
        items = np.tile(np.arange(values.shape[1]), (len(values), 1))
    else:
        items = np.argpartition(values, -DEPTH, axis=1)[:, -DEPTH:]
    there = np.take_along_axis(values, items, axis=1) > -np.inf
    return np.where(there, items, -1).astype(np.int32)


def _distinct(lists: np.ndarray) -> np.ndarray:
    """Each row's different items, -1 behind them where a row has fewer: [n, size] int32."""
    ordered = np.sort(lists, axis=1)
    ordered[:, 1:][ordered[:, 1:] == ordered[:, :-1]] = -1
    ordered = -np.sort(-ordered, axis=1)
    return ordered[:, : max(1, int((ordered >= 0).sum(axis=1).max(initial=0)))]


def _values(scores: np.ndarray, items: np.ndarray, known: np.ndarray | None) -> np.ndarray:
    """The scores of some items, at the scale that they have in a blend where `known` is given."""
    values = np.take_along_axis(scores[: len(items)], np.maximum(items, 0), axis=1)
    if known is not None:
        centre, spread = (np.asarray(each)[: len(items)] for each in scale(scores, known))
        values = (values - centre) / spread
    return np.where(items >= 0, values, -np.inf)


def _joined(blocks: Sequence[np.ndarray], size: int, filling: float) -> np.ndarray:
    """The blocks one below the other, filled up to as many columns."""
    found = np.full((sum(map(len, blocks)), size), filling, blocks[0].dtype)
    start = 0
    for block in blocks:
        found[start : start + len(block), : block.shape[1]] = block
        start += len(block)
    return found
