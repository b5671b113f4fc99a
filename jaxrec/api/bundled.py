"""A bundle from Python, without JAX: lists, likeness and reasons as of a run."""

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jaxrec.api.words import check_asked, check_length, check_per_artist
from jaxrec.data.options import SeenRule
from jaxrec.errors import UserError
from jaxrec.serve.history import History
from jaxrec.serve.ids import Ids
from jaxrec.serve.scorer import Scorer


class BundledRecommender:
    """What `load` returns of a bundle: a `Recommender` without what it takes to fit and to save.

    >>> jr.fit(groups, method="itemknn").export("a-bundle")
    >>> model = jr.load("a-bundle")
    >>> model.recommend(histories=[["b0", "b1"]], k=2)["item"].to_pylist()
    ['b2', 'b3']

    Args:
      folder: of the bundle.

    Raises:
      UserError: there is no bundle, or a damaged one.
    """

    def __init__(self, folder: str | Path) -> None:
        self._scorer = Scorer.load(folder)

    def __repr__(self) -> str:
        items, users = len(self._scorer.items), len(self._scorer.users)
        return f"<BundledRecommender: {self.method}, {users:,} users, {items:,} items>"

    @property
    def method(self) -> str:
        """How the model was fitted, as in `fit`."""
        return str(self._scorer.about["method"])

    @property
    def users(self) -> list[Any]:
        """The ids of the users it knows."""
        return list(self._scorer.users.array.take(pa.array(self._known_users())).to_pylist())

    @property
    def items(self) -> list[Any]:
        """The ids of the items it can recommend."""
        return list(self._scorer.items.array.filter(pa.array(self._scorer.is_listed)).to_pylist())

    def recommend(
        self,
        users: Sequence[Any] | None = None,
        *,
        histories: Iterable[Iterable[Any]] | None = None,
        k: int = 10,
        seen: SeenRule = "exclude",
        per_artist: int | None = None,
    ) -> pa.Table:
        """The best k items of each user, or for each history of somebody new.

        Args:
          users: ids of users that the bundle knows; None for all of them.
          histories: in place of users: lists of item ids. Items that the bundle doesn't know are
            left out, with a warning.
          k: items per list, fewer where fewer are left.
          seen: what was listened to before: `exclude` it, `include` it, or list `only` that (of
            what the model has learnt from).
          per_artist: as of `Recommender.recommend`.

        Returns:
          An Arrow table, a row per item: user (the id; of histories, their place from 0), rank
          from 1, item, name (where names are known), score.

        Raises:
          UserError: an unknown user, a history of which nothing is known, or a limit per artist
            where no item has one.
        """
        check_asked(users, histories, k, seen)
        check_per_artist(per_artist, any_artist=self._scorer.names.any_artist)
        asked: list[tuple[History, np.ndarray]]
        if histories is not None:
            asked = [(each, each.items) for each in self._histories(histories)]
            names = pa.array(np.arange(len(asked)))
        else:
            index = self._known_users() if users is None else self._indices(users)
            asked = [(self._scorer.history_of(u), self._scorer.seen_by(u)) for u in index.tolist()]
            names = self._scorer.users.array.take(pa.array(index))
        lists = [
            self._scorer.top(
                history,
                k=k,
                hidden=known if seen == "exclude" else (),
                among=history.items if seen == "only" else None,
                per_artist=per_artist,
            )
            for history, known in asked
        ]
        counts = [len(items) for items, _ in lists]
        found = np.concatenate([np.zeros(0, np.int64), *(items for items, _ in lists)])
        columns = {
            "user": names.take(pa.array(np.repeat(np.arange(len(lists)), counts))),
            "rank": pa.array(
                np.concatenate([np.zeros(0), *map(np.arange, counts)]).astype(np.int32) + 1
            ),
            **self._items(found),
            "score": pa.array(
                np.concatenate([np.zeros(0, np.float32), *(scores for _, scores in lists)])
            ),
        }
        return pa.table(columns)

    def similar(self, item: Any, *, k: int = 10) -> pa.Table:
        """The k items most like one: rank from 1, item, name (where known), similarity.

        Raises:
          UserError: an item that the bundle doesn't know.
        """
        check_length(k)
        items, similarities = self._scorer.similar(self._item(item), k=k)
        rank = pa.array(np.arange(1, len(items) + 1, dtype=np.int32))
        return pa.table({"rank": rank, **self._items(items), "similarity": pa.array(similarities)})

    def explain(self, user: Any, item: Any) -> pa.Table:
        """Why an item has its score for a user: what each item of the history brings.

        Args:
          user: the id of a user, or a list of item ids, the history of somebody new.
          item: its id.

        Returns:
          As `Recommender.explain`: item, name (where known), rest, contribution.

        Raises:
          UserError: a user or an item that the bundle doesn't know.
        """
        if isinstance(user, list | tuple):
            (history,) = self._histories([user])
        else:
            history = self._scorer.history_of(int(self._indices([user])[0]))
        entries, parts = self._scorer.contributions(history, np.array([self._item(item)]))
        order = np.argsort(-entries[:, 0], kind="stable")
        rest = {name: float(part[0]) for name, part in parts.items()}
        columns = {
            name: pa.concat_arrays([column, pa.nulls(len(rest), column.type)])
            for name, column in self._items(history.items[order]).items()
        }
        labels = pa.array([None] * len(order) + list(rest), pa.string())
        values = np.r_[entries[order, 0], list(rest.values())].astype(np.float32)
        return pa.table({**columns, "rest": labels, "contribution": pa.array(values)})

    def _known_users(self) -> np.ndarray:
        """The users who have a history: [n] int."""
        every = np.arange(len(self._scorer.users))
        return every[[len(self._scorer.history_of(user).items) > 0 for user in every.tolist()]]

    def _indices(self, users: Sequence[Any]) -> np.ndarray:
        if isinstance(users, str | bytes):
            raise UserError(f"users is {users!r}; expected a list of ids")
        index = self._scorer.users.index_of(users)
        for user, place in zip(users, index.tolist(), strict=True):
            if place < 0 or len(self._scorer.history_of(place).items) == 0:
                raise UserError(f"user {user!r}: {_unknown(self._scorer.users, 'user')}")
        return index

    def _item(self, item: Any) -> int:
        index = self._scorer.items.index_of([item])
        if not self._scorer.are_listed(index)[0]:
            raise UserError(f"item {item!r}: {_unknown(self._scorer.items, 'item')}")
        return int(index[0])

    def _histories(self, histories: Iterable[Iterable[Any]]) -> list[History]:
        found, unknown, total = [], 0, 0
        for place, each in enumerate(histories):
            if isinstance(each, str | bytes):
                raise UserError(f"history {place} is {each!r}; expected a list of item ids")
            songs = list(each)
            index = self._scorer.items.index_of(songs)
            index = index[self._scorer.are_listed(index)]
            if len(index) == 0:
                raise UserError(
                    f"history {place} has no item that the bundle knows; expected some of "
                    "model.items"
                )
            unknown, total = unknown + len(songs) - len(index), total + len(songs)
            found.append(self._scorer.history(np.unique(index), np.ones(len(np.unique(index)))))
        if unknown:
            warnings.warn(
                f"{unknown:,} of {total:,} items in the histories are not known and left out",
                stacklevel=3,
            )
        return found

    def _items(self, index: np.ndarray) -> dict[str, pa.Array]:
        """Columns of ids, and of names where there are any."""
        columns = {"item": self._scorer.items.array.take(pa.array(index))}
        names = self._scorer.names
        return columns | ({"name": names.whole(index)} if names.any_named else {})


def _unknown(ids: Ids, what: str) -> str:
    example = ", ".join(str(ids[index]) for index in range(min(3, len(ids))))
    return f"the bundle knows no such {what}; expected an id such as {example}"
