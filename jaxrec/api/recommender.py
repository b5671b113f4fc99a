"""A fitted model with the ids of the data it was fitted to: lists, likeness, reasons."""

import dataclasses
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jaxrec.api.lookup import item_index, known_rows, user_indices
from jaxrec.api.reading import item_rows
from jaxrec.api.words import check_asked, check_length, check_per_artist, plain_errors
from jaxrec.config import RunConfig
from jaxrec.data.interactions import Listens
from jaxrec.data.names import artist_numbers
from jaxrec.data.options import SeenRule
from jaxrec.data.split_rules import Rules
from jaxrec.data.splits import Split, split
from jaxrec.errors import UserError
from jaxrec.models.histories import Histories
from jaxrec.models.model import Model
from jaxrec.rank.asked import Asked, gather, of_rows, of_users
from jaxrec.rank.limits import PerGroup
from jaxrec.rank.lists import similar_items, top_lists
from jaxrec.rank.measure import histories_of
from jaxrec.rank.reasons import item_columns, reasons_table
from jaxrec.rank.similar_users import similar_users
from jaxrec.runs.bundling import bundle_of, figures_of, put_bundle
from jaxrec.runs.saving import save_trained
from jaxrec.runs.trained import Trained, known_items


@dataclasses.dataclass(frozen=True, eq=False)
class Recommender:
    """What `fit` and `load` return.

    >>> model = jr.fit(groups, method="itemknn")
    >>> model.method, len(model.users), len(model.items)
    ('itemknn', 8, 8)

    Attributes:
      model: what ranks.
      config: the configuration it was fitted by.
      split: what it was fitted to (`split.train`), and what else is known.
    """

    model: Model
    config: RunConfig
    split: Split

    def __repr__(self) -> str:
        return f"<Recommender: {self.method}, fitted to {self.split.train!r}>"

    @property
    def method(self) -> str:
        """How it was fitted, as in `fit`.

        >>> jr.fit(groups, method="ease").method
        'ease'
        """
        return self.config.method

    @property
    def users(self) -> list[Any]:
        """The ids of the users it knows.

        >>> jr.fit(groups, method="itemknn").users[:2]
        ['u0', 'u1']
        """
        train = self.split.train
        return list(train.users.ids[np.unique(train.user)].tolist())

    @property
    def items(self) -> list[Any]:
        """The ids of the items it can recommend.

        >>> jr.fit(groups, method="itemknn").items[:2]
        ['a0', 'a1']
        """
        return list(self.split.train.items.ids[known_items(self.split)].tolist())

    def recommend(
        self,
        users: Sequence[Any] | None = None,
        *,
        histories: Listens | Iterable[Iterable[Any]] | None = None,
        k: int = 10,
        seen: SeenRule = "exclude",
        because: int = 0,
        per_artist: int | None = None,
    ) -> pa.Table:
        """The best k items of each user, or for each history of somebody new.

        >>> model = jr.fit(groups, method="itemknn")
        >>> model.recommend(["u0"], k=1).to_pylist()[0]["item"]
        'a0'
        >>> model.recommend(histories=[["b0", "b1"]], k=2)["item"].to_pylist()
        ['b2', 'b3']

        Args:
          users: ids of users that the model knows; None for all of them.
          histories: in place of users: what each of some listeners has listened to. Lists of item
            ids, of somebody new each; or what `read` returns, where users that the model knows are
            ranked by that and what they had in training together. Items that the model doesn't
            know are left out, and users without any other, with a warning.
          k: items per list, fewer where fewer are left.
          seen: what was listened to before: `exclude` it, `include` it, or list `only` that.
          because: how many items of the history to name as reasons, in a column `because`.
          per_artist: items of one artist per list at the most, by their names ("title — artist");
            None for any number.

        Returns:
          An Arrow table, a row per item: user (the id; of lists, their place from 0), rank from 1,
          item, name (where names are known), score; and because, JSON whose `items` and `rest` add
          up to the score.

        Raises:
          UserError: an unknown user, or a history of which nothing is known.
        """
        check_asked(users, histories, k, seen)
        if histories is None:
            asked = of_users(self.split, self.config, user_indices(self.split, users), seen)
        else:
            asked = self._of(histories, seen)
        lists = self.lists(asked, k=k, because=because, per_artist=per_artist)
        return pa.concat_tables([table for _, table in lists])

    def lists(
        self,
        asked: Asked,
        *,
        k: int,
        because: int = 0,
        candidates: np.ndarray | None = None,
        per_artist: int | None = None,
    ) -> Iterator[tuple[int, pa.Table]]:
        """The tables of `recommend`, some thousand users at a time.

        >>> model = jr.fit(groups, method="itemknn")
        >>> import numpy as np
        >>> from jaxrec.rank.asked import of_users
        >>> asked = of_users(model.split, model.config, np.array([0, 1]), "exclude")
        >>> [count for count, _ in model.lists(asked, k=1)]
        [2]

        Args:
          asked: whose lists are wanted, from `rank.asked`.
          k: items per list.
          because: as of `recommend`.
          candidates: [num_items] bool, the items that may be listed; None for all that are known.
          per_artist: as of `recommend`.

        Yields:
          How many users a table is for, and the table.

        Raises:
          UserError: a limit per artist, and no name tells of one.
        """
        return top_lists(
            self.model,
            asked,
            item_ids=self.split.train.items,
            k=min(k, self.split.train.num_items),
            candidates=known_items(self.split) if candidates is None else candidates,
            memory_budget_mb=self.config.eval.memory_budget_mb,
            because=because,
            limit=self._limit(per_artist),
        )

    def similar(self, item: Any, *, k: int = 10) -> pa.Table:
        """The k items most like one: by the cosine of their vectors, where items have any.

        >>> jr.fit(groups, method="itemknn").similar("a1", k=3)["item"].to_pylist()
        ['a0', 'a2', 'a3']

        Args:
          item: its id.
          k: how many; fewer where there are fewer.

        Returns:
          An Arrow table: rank from 1, item, name (where names are known), similarity.

        Raises:
          UserError: an item that the model doesn't know.
        """
        check_length(k)
        index = item_index(self.split, item)
        nearest, similarities = similar_items(
            self.model, index, k=k, candidates=known_items(self.split)
        )
        columns = {"rank": pa.array(np.arange(1, len(nearest) + 1, dtype=np.int32))}
        columns |= item_columns(self.split.train.items, nearest)
        return pa.table(columns | {"similarity": pa.array(similarities)})

    def similar_users(self, user: Any, *, k: int = 10) -> pa.Table:
        """The k users most like one.

        By the cosine of their vectors, where the model has any, else of what they have listened to;
        of a blend by both.

        >>> jr.fit(groups, method="itemknn").similar_users("u1", k=2)["user"].to_pylist()
        ['u0', 'u2']

        Args:
          user: the id.
          k: how many; fewer where there are fewer.

        Returns:
          An Arrow table: rank from 1, user, similarity.

        Raises:
          UserError: a user whom the model doesn't know.
        """
        check_length(k)
        index = user_indices(self.split, [user])
        ids = self.split.train.users
        ((_, table),) = similar_users(self.model, self._histories(), index, k=k, ids=ids)
        return table.drop_columns("to")

    def explain(self, user: Any, item: Any) -> pa.Table:
        """Why an item has its score for a user: what each item of the history brings.

        >>> reasons = jr.fit(groups, method="itemknn").explain("u0", "a0")
        >>> reasons["item"].to_pylist(), reasons["rest"].to_pylist()
        (['a1', 'a2', 'a3', None], [None, None, None, 'popularity'])

        Args:
          user: the id of a user, or a list of item ids, the history of somebody new.
          item: its id.

        Returns:
          An Arrow table, the greatest contribution first: item, name (where names are known),
          contribution. What doesn't come of the history is a row each without an item, its `rest`
          says what it is: `own` (the user's own parameters), `popularity`, `scale` (of a blend).
          The contributions add up to the score.

        Raises:
          UserError: a user or an item that the model doesn't know.
        """
        train = self.split.train
        if isinstance(user, list | tuple):
            history = self._heard_once(known_rows(self.split, [list(user)]))
        else:
            history = self._histories().take(user_indices(self.split, [user]))
        return reasons_table(self.model, history, item_index(self.split, item), train.items)

    def save(self, folder: str | Path) -> None:
        """Saves the model with all it needs; `load` takes it back, and so does the command line.

        >>> jr.fit(groups, method="itemknn").save("model")
        >>> jr.load("model").recommend(["u0"], k=1)["item"].to_pylist()
        ['a0']

        Args:
          folder: where; it must not hold another run.

        Raises:
          UserError: the folder holds another run or can't be written to.
          RunError: the disk is full.
        """
        with plain_errors(workdir="folder"):
            save_trained(Path(folder), self.config, self.split, self.model)

    def export(self, folder: str | Path) -> None:
        """Writes a bundle, to deploy where there is no JAX; `load` and `jaxrec serve` take it.

        >>> jr.fit(groups, method="itemknn").export("bundle")
        >>> jr.load("bundle").recommend(["u0"], k=1)["item"].to_pylist()
        ['a0']

        Args:
          folder: where; it is empty, missing, or has a bundle, which is replaced.

        Raises:
          UserError: the model can't be exported, or the folder holds something else or can't be
            written to.
        """
        with plain_errors():
            bundle = bundle_of(self.model, self.config, self.split, figures_of(None))
            put_bundle(Path(folder), bundle)

    def _heard_once(self, rows: Sequence[np.ndarray]) -> Histories:
        """Histories of items alone, weighed as the model weighs what is heard once, now."""
        return Histories.of_items(
            rows,
            self.split.train.num_items,
            self.config.ranking_weights,
            learnt=self.config.learnt_weights,
        )

    def _limit(self, per_artist: int | None) -> PerGroup | None:
        if per_artist is None:
            return None
        artists = artist_numbers(self.split.train.items)
        check_per_artist(per_artist, any_artist=bool((artists >= 0).any()))
        return PerGroup(artists, per_artist)

    def _histories(self) -> Histories:
        return histories_of(self.split.train, self.config)

    def _of(self, histories: Listens | Iterable[Iterable[Any]], seen: SeenRule) -> Asked:
        """Those whose histories came after training."""
        if not isinstance(histories, Listens):
            rows = known_rows(self.split, item_rows(histories))
            return of_rows(np.arange(len(rows)), self._heard_once(rows), seen)
        found = gather(self.split, self.config, split(histories, Rules(kind="none", seed=0)), seen)
        heard = np.flatnonzero(np.diff(found.asked.histories.offsets))
        if len(heard) == 0:
            raise UserError(
                "histories have no item that the model knows; expected some of model.items"
            )
        if found.unknown:
            warnings.warn(
                f"{found.unknown:,} of {len(histories):,} listens in the histories are of items "
                f"that are not known; they are left out, and {found.unheard:,} users with no other",
                stacklevel=3,
            )
        return found.asked.take(heard)


def recommender_of(trained: Trained) -> Recommender:
    """The recommender of a run that was opened."""
    return Recommender(trained.model, trained.config, trained.split)
