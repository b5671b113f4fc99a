"""Whose lists are wanted: what they are called, their histories, what they aren't to be shown."""

import dataclasses

import numpy as np

from jaxrec.config import RunConfig
from jaxrec.data.interactions import Interactions
from jaxrec.data.options import SeenRule
from jaxrec.data.splits import Split
from jaxrec.data.weighting import edge_weight, weigh
from jaxrec.models.histories import UNKNOWN, Histories
from jaxrec.rank.measure import histories_of, seen_by_rule
from jaxrec.rank.seen import Seen


@dataclasses.dataclass(frozen=True, eq=False)
class Asked:
    """n users, known to the model or not.

    Attributes:
      names: [n], what they are called in a table.
      histories: [n], what they are ranked by.
      hidden: [n] rows of the items that are not to be listed, or that alone are.
    """

    names: np.ndarray
    histories: Histories
    hidden: Seen

    def __len__(self) -> int:
        return len(self.names)

    def take(self, rows: np.ndarray) -> "Asked":
        """Some of them, by their places."""
        return Asked(self.names[rows], self.histories.take(rows), self.hidden.take(rows))

    def hiding(self, row: np.ndarray, item: np.ndarray) -> "Asked":
        """With more pairs that are not to be listed.

        Args:
          row: [m], places among the n.
          item: [m], indices of items.
        """
        width = self.histories.num_items
        own = _keys(
            np.repeat(np.arange(len(self)), np.diff(self.hidden.offsets)), self.hidden.items, width
        )
        more = _keys(row, item, width)
        keys = np.setdiff1d(own, more) if self.hidden.only else np.union1d(own, more)
        return dataclasses.replace(self, hidden=_rows(keys, len(self), width, self.hidden.only))


@dataclasses.dataclass(frozen=True)
class Gathered:
    """What became of histories that were read after training.

    Attributes:
      asked: all their users; one without any item that train knows has an empty history.
      plays: [num_entries] float64, of the entries of their histories.
      user_of: [n], the index of each user in train, or -1.
      grown: how many users of train now have another history, and are ranked by it.
      unchanged: how many users of train have the history that they had.
      unknown: how many pairs are of items that train doesn't know, and left out.
      unheard: how many users have no item that train knows.
    """

    asked: Asked
    plays: np.ndarray
    user_of: np.ndarray
    grown: int
    unchanged: int
    unknown: int
    unheard: int


def of_users(split: Split, config: RunConfig, users: np.ndarray, rule: SeenRule) -> Asked:
    """Users of train as training knew them.

    Args:
      split: the model's.
      config: the model's, which says how histories are weighed.
      users: [n], their indices.
      rule: what is hidden, as of `seen_by_rule`.
    """
    seen = seen_by_rule(split, rule)
    hidden = _nothing(len(users))
    if seen is not None:
        hidden = Seen.of_users(seen, users, only=rule == "only")
    histories = histories_of(split.train, config).take(users)
    return Asked(split.train.users.ids[users], histories, hidden)


def of_rows(names: np.ndarray, histories: Histories, rule: SeenRule) -> Asked:
    """Users whom nothing is known of beside these histories."""
    hidden = Seen(histories.offsets, histories.items, rule == "only")
    return Asked(names, histories, _nothing(len(names)) if rule == "include" else hidden)


def gather(split: Split, config: RunConfig, fresh: Split, rule: SeenRule) -> Gathered:
    """Users with what they have now: what was read after training, and what train has of them.

    Of a pair that both have the more plays count, so that a history that was read whole counts
    once. Whose history is the one that training knew is ranked as ever; everybody else by the
    history alone, and so are users of train whose history has grown. Where ages count, those of
    two readings don't go together: the history that was read is all there is then, and its ages
    count from each user's own last listen.

    Args:
      split: the model's.
      config: the model's, which says how histories are weighed.
      fresh: what was read, nothing held out; its ids may be numbered in any way.
      rule: what is hidden, as of `seen_by_rule`.
    """
    train, new = split.train, fresh.train
    weighting, learnt_by = config.ranking_weights, config.learnt_weights
    ages = any(each.half_life_days is not None for each in (weighting, learnt_by))
    count, width = new.num_users, train.num_items
    known_item = np.bincount(train.item, minlength=width) > 0
    item_of = train.items.index_of(new.items.ids)
    item_of = np.where((item_of >= 0) & known_item[item_of], item_of, UNKNOWN)
    user_of = train.users.index_of(new.users.ids)
    trained = histories_of(train, config)
    old_row, old = _rows_of(train, user_of)

    listed = item_of[new.item] >= 0
    row, item = new.user[listed], item_of[new.item[listed]]
    plays = new.plays[listed]
    if ages:
        weights, learnt = (
            weigh(new, each, from_last=True)[listed] for each in (weighting, learnt_by)
        )
    else:
        row, item = np.concatenate([row, old_row]), np.concatenate([item, train.item[old]])
        plays = np.concatenate([plays, train.plays[old]])
        weights, learnt = (edge_weight(plays, each.plays) for each in (weighting, learnt_by))
    order = np.lexsort((-plays, item, row))
    keys = _keys(row[order], item[order], width)
    order = order[np.r_[True, keys[1:] != keys[:-1]][: len(keys)]]
    row, item, plays, weights, learnt = (
        each[order] for each in (row, item, plays, weights, learnt)
    )

    # In plays where ages count: the weights themselves are of another moment. Else a play more
    # changes nothing where none of the weights tells it.
    told = [plays] if ages else [weights, learnt]
    before = [train.plays[old]]
    if not ages:
        before = [edge_weight(train.plays[old], each.plays) for each in (weighting, learnt_by)]
    unchanged = np.logical_and.reduce(
        [
            _equal((row, item, ours), (old_row, train.item[old], theirs), count)
            for ours, theirs in zip(told, before, strict=True)
        ]
    )
    offsets = np.searchsorted(row, np.arange(count + 1)).astype(np.int64)
    histories = Histories(
        offsets,
        item.astype(np.int32),
        weights,
        np.where(unchanged, user_of, UNKNOWN).astype(np.int32),
        width,
        learnt if trained.learnt is not None else None,
    ).shared_out()
    ever, same = unchanged[row], unchanged[old_row]
    histories.weights[ever] = trained.weights[old][same]
    if histories.learnt is not None and trained.learnt is not None:
        histories.learnt[ever] = trained.learnt[old][same]
    hidden = _hidden(split, fresh, rule, item_of, user_of, _keys(row, item, width))
    had = np.zeros(count, bool)
    had[old_row] = True
    return Gathered(
        Asked(new.users.ids, histories, hidden),
        plays,
        user_of,
        grown=int((had & ~unchanged).sum()),
        unchanged=int(unchanged.sum()),
        unknown=int((~listed).sum()),
        unheard=int((np.diff(offsets) == 0).sum()),
    )


def _hidden(
    split: Split,
    fresh: Split,
    rule: SeenRule,
    item_of: np.ndarray,
    user_of: np.ndarray,
    own: np.ndarray,
) -> Seen:
    """What the users of a new history know or, by `only`, have listened to.

    Args:
      split: the model's.
      fresh: the new history.
      rule: as of `seen_by_rule`.
      item_of: the model's index of each of the history's items, -1 for none.
      user_of: the same of its users.
      own: keys of the pairs of their histories.
    """
    width, count = split.train.num_items, len(user_of)
    seen = seen_by_rule(split, rule)
    if seen is None:
        return _nothing(count)
    row, place = _rows_of(seen, user_of)
    keys = [own, _keys(row, seen.item[place], width)]
    if fresh.known is not None and rule != "only":
        there = item_of[fresh.known.item] >= 0
        keys.append(_keys(fresh.known.user[there], item_of[fresh.known.item[there]], width))
    return _rows(np.unique(np.concatenate(keys)), count, width, rule == "only")


Entries = tuple[np.ndarray, np.ndarray, np.ndarray]  # row, item, value; by row, then item


def _equal(some: Entries, others: Entries, count: int) -> np.ndarray:
    """[count] bool, which rows have the same entries in both, and any."""
    lengths, other_lengths = (np.bincount(each[0], minlength=count) for each in (some, others))
    equal = (lengths == other_lengths) & (lengths > 0)
    ours, theirs = equal[some[0]], equal[others[0]]
    differ = (some[1][ours] != others[1][theirs]) | (some[2][ours] != others[2][theirs])
    equal[some[0][ours][differ]] = False
    return np.asarray(equal)


def _rows_of(interactions: Interactions, user_of: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each row's pairs by the user's index, -1 for none: the rows, and places of the pairs."""
    offsets = interactions.user_offsets()
    known = np.flatnonzero(user_of >= 0)
    start, stop = offsets[user_of[known]], offsets[user_of[known] + 1]
    length = stop - start
    ends = np.r_[0, np.cumsum(length)]
    places = np.repeat(start - ends[:-1], length) + np.arange(ends[-1])
    return np.repeat(known, length), places


def _keys(row: np.ndarray, item: np.ndarray, num_items: int) -> np.ndarray:
    """One number for each pair, in the order of row, then item: [n] int64."""
    return np.asarray(row.astype(np.int64) * max(num_items, 1) + item)


def _rows(keys: np.ndarray, count: int, num_items: int, only: bool) -> Seen:
    """Increasing keys as rows of items."""
    width = max(num_items, 1)
    offsets = np.searchsorted(keys, np.arange(count + 1, dtype=np.int64) * width)
    return Seen(offsets.astype(np.int64), (keys % width).astype(np.int32), only)


def _nothing(count: int) -> Seen:
    return Seen(np.zeros(count + 1, np.int64), np.zeros(0, np.int32))
