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
COLUMNS_PER_BLOCK = 64  # of which the best is looked at first
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
        """Cuts the users into blocks that `ranked` needs little room for."""
        return [
            slice(start, start + USERS_PER_BLOCK)
            for start in range(0, len(self.users), USERS_PER_BLOCK)
        ]

    def ranked(self, weights: Mapping[str, float], k: int, block: slice) -> np.ndarray:
        """Which places of some users' lists hit, where the models' weighted scores rank the pool.

        Args:
          weights: by model; one of them isn't 0.
          k: length of a list.
          block: whose.

        Returns:
          [users of the block, k at most] bool.
        """
        hits = self.hits[block]
        total: np.ndarray = np.zeros_like(hits, np.float32)
        for name, weight in weights.items():
            if weight:
                total += np.float32(weight) * self.scores[name][block]
        best = np.sort(_best_columns(total, min(k, total.shape[1])), axis=1)
        order = np.argsort(-np.take_along_axis(total, best, axis=1), axis=1, kind="stable")
        return np.take_along_axis(hits, np.take_along_axis(best, order, axis=1), axis=1)

    def figures(self, hits: np.ndarray, metrics: Sequence[str]) -> np.ndarray:
        """Each user's metrics by everybody's hits, which some definitions need at once.

        Args:
          hits: [n, k at most] bool, as of `ranked`, with the greatest k of the metrics.
          metrics: such as `recall@20`.

        Returns:
          [n, metrics] float64.
        """
        found = self.per_user(hits, self.num_relevant, sorted(map(cutoff, set(metrics))))
        return np.stack([found[metric] for metric in metrics], axis=1)


def cutoff(metric: str) -> int:
    """The length of the lists that a metric such as `recall@20` is of."""
    return int(metric.partition("@")[2])


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
      memory_budget_mb: MiB, which say how many blocks of users are scored at the same time; where
        there is no room for all models' scores of one, each scores it twice.
      track: shows how far it is.

    Raises:
      NotFinite: a score is a NaN or infinite.
    """
    relevant = measure.relevant("validation")
    users = np.unique(relevant.user).astype(np.int32)
    rows, known = measure.histories.take(users), item_users(measure.split.train) > 0
    seen = measure.seen("validation", users)
    names = {id(each): name for name, each in models.items()}
    number = len(names.keys() | map(id, leaders))
    # Beside the scores what is made of one model's, and a filter's sums of all users.
    width = (number + 3) * rows.num_items + 2 * measure.split.train.num_users
    blocks_in_memory = memory_budget_mb * 2**20 // max(1, 4 * USERS_PER_SCORING * width)

    def of_block(start: int) -> tuple[np.ndarray, list[np.ndarray]]:
        """Some users' items, and what each model says of them."""
        block = np.arange(start, min(start + USERS_PER_SCORING, len(users)))
        # Filled up, so that every block has one shape and is compiled once.
        asked = rows.take(np.resize(block, USERS_PER_SCORING))
        kept: dict[int, np.ndarray] = {}

        def scores_of(each: Model) -> np.ndarray:
            found = kept.get(id(each))
            if found is None:
                found = _finite(names.get(id(each), "a leader"), each.scores(asked))
            if blocks_in_memory:
                kept[id(each)] = found
            return found

        listed = _listed(known, seen, block)
        lists = [_best(scores_of(each)[: len(block)], listed) for each in leaders]
        items = _distinct(np.hstack(lists))
        return items, [
            _values(scores_of(each), items, known if standardise else None)
            for each in models.values()
        ]

    workers = int(np.clip(blocks_in_memory, 1, threads()))
    starts = range(0, len(users), USERS_PER_SCORING)
    found = in_threads(of_block, starts, track, "scores", workers)
    size = max((items.shape[1] for items, _ in found), default=1)
    items = _joined([items for items, _ in found], size, np.int32(-1))
    return Pool(
        users=users,
        items=items,
        scores={
            name: _joined([values[place] for _, values in found], size, np.float32(-np.inf))
            for place, name in enumerate(models)
        },
        hits=find_hits(items, users, relevant),
        num_relevant=measure.definitions.num_relevant(relevant)[users],
        per_user=measure.definitions.per_user,
    )


class NotFinite(RunError):
    """A model's scores hold a NaN or an infinity.

    Attributes:
      name: the model's.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"the scores of {name} hold a NaN or an infinity; {ADVICE}")
        self.name = name


def _finite(name: str, scores: Array) -> np.ndarray:
    found = np.asarray(scores)
    if not np.isfinite(found).all():
        raise NotFinite(name)
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
    """The best of each row in any order, -1 where there are fewer: [n, DEPTH at most] int32.

    Of equals the first. A partition of whole rows takes ten times as long where most scores are 0.
    """
    values = np.where(listed, scores, -np.inf)
    number, columns = values.shape
    found = np.full((number, min(DEPTH, columns)), -1, np.int32)
    # Blocks of columns, as many as there are places or more: the least of the best blocks' best
    # scores is no greater than the last score that has a place.
    width = max(1, min(COLUMNS_PER_BLOCK, columns // found.shape[1]))
    blocks = values[:, : columns // width * width].reshape(number, -1, width).max(axis=2)
    bounds = np.partition(blocks, -found.shape[1], axis=1)[:, -found.shape[1]]
    for own, row, bound in zip(found, values, bounds, strict=True):
        items = np.flatnonzero(row > bound)
        items = items[np.argsort(-row[items], kind="stable")[: len(own)]]
        if len(items) < len(own) and bound > -np.inf:
            equals = np.flatnonzero(row == bound)[: len(own) - len(items)]
            items = np.concatenate([items, equals])
        own[: len(items)] = items
    return found


def _best_columns(values: np.ndarray, k: int) -> np.ndarray:
    """Where each row's k greatest are, of equals the first, in any order: [n, k], k <= columns."""
    columns = values.shape[1]
    places = np.argpartition(values, columns - k, axis=1)[:, columns - k :]
    chosen = np.take_along_axis(values, places, axis=1)
    least = chosen.min(axis=1, keepdims=True, initial=np.inf)
    chosen_equals, equals = (chosen == least).sum(axis=1), values == least
    # Any of the equals have been taken.
    for row in np.flatnonzero(equals.sum(axis=1) > chosen_equals):
        first = np.flatnonzero(equals[row])[: chosen_equals[row]]
        places[row, chosen[row] == least[row]] = first
    return places


def _distinct(lists: np.ndarray) -> np.ndarray:
    """Each row's different items in their order, -1 behind: [n, size] int32."""
    last = np.iinfo(np.int32).max
    ordered = np.sort(np.where(lists < 0, last, lists), axis=1)
    ordered[:, 1:][ordered[:, 1:] == ordered[:, :-1]] = last
    ordered.sort(axis=1)
    ordered = ordered[:, : max(1, int((ordered < last).sum(axis=1).max(initial=0)))]
    return np.where(ordered < last, ordered, -1)


def _values(scores: np.ndarray, items: np.ndarray, known: np.ndarray | None) -> np.ndarray:
    """The scores of some items, at the scale that they have in a blend where `known` is given."""
    values = np.take_along_axis(scores[: len(items)], np.maximum(items, 0), axis=1)
    if known is not None:
        centre, spread = (np.asarray(each)[: len(items)] for each in scale(scores, known))
        values = (values - centre) / spread
    return np.where(items >= 0, values, -np.inf)


def _joined(blocks: Sequence[np.ndarray], size: int, filling: np.generic) -> np.ndarray:
    """The blocks one below the other, filled up to as many columns."""
    found = np.full((sum(map(len, blocks)), size), filling)
    start = 0
    for block in blocks:
        found[start : start + len(block), : block.shape[1]] = block
        start += len(block)
    return found
