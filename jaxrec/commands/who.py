"""Whose lists `recommend` writes: from its flags."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from jaxrec.api.recommender import Recommender
from jaxrec.config import RunConfig
from jaxrec.data.options import SeenRule
from jaxrec.errors import UserError
from jaxrec.models.histories import Histories
from jaxrec.rank.asked import Asked, Gathered, gather, of_rows
from jaxrec.report.console import Console
from jaxrec.runs.prepare import prepare_histories
from jaxrec.runs.trained import Trained
from jaxrec.train.joining import joined, own_vectors
from jaxrec.train.network import NetworkFitting

NAMED = 3  # ids that a warning names


@dataclasses.dataclass(frozen=True, eq=False)
class Who:
    """Whose lists are wanted.

    Attributes:
      asked: those who are ranked by a history.
      cold: the ids of those of whom nothing is known.
    """

    asked: Asked
    cold: np.ndarray


def of_ids(model: Recommender, users: Sequence[str], seen: SeenRule, console: Console) -> Who:
    """Users as training knew them; those it doesn't know are told."""
    train = model.split.train
    index = train.users.index_of(users)
    known = (index >= 0) & (np.diff(train.user_offsets())[index] > 0)
    cold = np.array([each for each, there in zip(users, known, strict=True) if not there], object)
    if len(cold):
        console.warning(
            f"{len(cold):,} of {len(users):,} listeners are without training listens, such as "
            f"{', '.join(map(repr, cold[:NAMED].tolist()))}; --histories takes what they have "
            "listened to since, --cold=popular gives them the most popular songs"
        )
    return Who(model.asked(index[known], seen), cold)


def of_file(
    model: Recommender,
    path: Path,
    config: RunConfig | None,
    seen: SeenRule,
    console: Console,
    trained: Trained | None = None,
) -> tuple[Recommender, Who]:
    """Those in a listening history of after training, by what they have now, and what ranks them.

    Args:
      model: the run's.
      path: the history.
      config: how to read it, by its `data`; None for the run's own.
      seen: what is hidden, as of `recommend`.
      console: where to say what was read.
      trained: the run, where its graph is to have them in it; None to leave it as it is.

    Raises:
      UserError: the history can't be read, or the graph can't have more users.
    """
    own = model.config
    fresh = prepare_histories(own if config is None else config, path, console)
    found = gather(model.split, own, fresh, seen)
    told = f"--histories={path}: {len(found.asked):,} listeners, {found.unchanged:,} of them as "
    told += f"training knew them, {found.grown:,} with more than that"
    console.note(told)
    if found.unknown:
        console.warning(
            f"--histories={path}: {found.unknown:,} of {len(fresh.train):,} pairs are of songs "
            "that training didn't know; they are left out"
        )
    heard = np.diff(found.asked.histories.offsets) > 0
    cold = np.flatnonzero(~heard)
    if len(cold):
        names = found.asked.names[cold[:NAMED]].tolist()
        console.warning(
            f"--histories={path}: {len(cold):,} listeners have no song that training knew, such "
            f"as {', '.join(map(repr, names))}; --cold=popular gives them the most popular songs"
        )
    asked = found.asked
    if trained is not None:
        model = _joined(model, trained, found)
    return model, Who(asked.take(np.flatnonzero(heard)), asked.names[cold])


def _joined(model: Recommender, trained: Trained, found: Gathered) -> Recommender:
    """The model with those who are new or have grown in its graph.

    They are ranked by their histories all the same: solved for once more, with the songs as they
    are then, their vectors rank better than those they have as nodes.
    """
    fitting, state = trained.made_of or (None, cast(Any, None))
    if not isinstance(fitting, NetworkFitting):
        raise UserError(
            f"--join: a model of {trained.config.method}, and the network alone has a graph of "
            "listeners that others can be put into; expected no --join"
        )
    histories = found.asked.histories
    rows = np.flatnonzero((histories.users < 0) & (np.diff(histories.offsets) > 0))
    added = histories.take(rows)
    made = joined(
        fitting.config,
        model.split.train,
        state,
        added=added,
        plays=found.plays[np.isin(histories.entry_rows(), rows)],
        own=own_vectors(fitting, state, added),
        replaced=found.user_of[rows],
    )
    return dataclasses.replace(model, model=made)


def without_history(model: Recommender, names: np.ndarray) -> Asked:
    """Users of whom nothing is known, ranked by nothing."""
    none = [np.zeros(0, np.int32)] * len(names)
    return of_rows(names, Histories.of_items(none, model.split.train.num_items), "exclude")
