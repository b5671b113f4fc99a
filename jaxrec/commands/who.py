"""Whose lists `recommend` writes: from its flags."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxrec.api.lookup import user_indices
from jaxrec.api.recommender import Recommender
from jaxrec.commands.tables import read_ids
from jaxrec.config import RunConfig
from jaxrec.data.options import SeenRule
from jaxrec.errors import UserError
from jaxrec.models.histories import Histories
from jaxrec.models.method import Hooks
from jaxrec.rank.asked import Asked, Gathered, gather, of_rows, of_users
from jaxrec.rank.evaluate import choose_users
from jaxrec.report.console import Console
from jaxrec.runs.joining import join
from jaxrec.runs.prepare import prepare_histories
from jaxrec.runs.trained import Trained
from jaxrec.train.joining import Joiners

NAMED = 3  # ids that a warning names


@dataclasses.dataclass(frozen=True, kw_only=True)
class Whose:
    """Whose lists are asked for, by the flags; by default everybody's.

    Attributes:
      users: ids of users, or None.
      users_file: a file with one id per line, or None.
      sample: how many are drawn from everybody by the run's seed, or None.
      histories: a listening history of after training, whose users' lists are wanted, or None.
      config: its `data` says how that is read; None for as the run's was.
      join: whether the model is to know of those listens before, without training.
      cold: `leave_out` or `popular`, what those get of whom nothing is known.
    """

    users: Sequence[str] | None = None
    users_file: Path | None = None
    sample: int | None = None
    histories: Path | None = None
    config: RunConfig | None = None
    join: bool = False
    cold: str = "leave_out"

    def __post_init__(self) -> None:
        """Raises UserError where flags don't go together."""
        given = {
            "users": self.users,
            "users_file": self.users_file,
            "sample": self.sample,
            "histories": self.histories,
        }
        asked_by = [f"--{name}" for name, value in given.items() if value is not None]
        if len(asked_by) > 1:
            raise UserError(f"{' and '.join(asked_by)} are both set; expected one of them")
        if self.users is not None and not all(each.strip() for each in self.users or [""]):
            raise UserError(f"--users={','.join(self.users)}: an empty id; expected ids by commas")
        if self.join and self.histories is None:
            raise UserError("--join without --histories; expected both")


@dataclasses.dataclass(frozen=True, eq=False)
class Who:
    """Whose lists are wanted.

    Attributes:
      asked: those who are ranked by a history.
      cold: the ids of those of whom nothing is known.
    """

    asked: Asked
    cold: np.ndarray


def find_who(
    model: Recommender, whose: Whose, seen: SeenRule, console: Console, trained: Trained
) -> tuple[Recommender, Who]:
    """Those who are asked for, and what ranks them.

    Args:
      model: the run's.
      whose: who is asked for.
      seen: what is hidden, as of `recommend`.
      console: where to say who isn't known.
      trained: the run, for `Whose.join`.

    Raises:
      UserError: a file can't be read, or nobody is left to be ranked.
    """
    users = whose.users
    if whose.users_file is not None:
        users = read_ids(whose.users_file, "users_file")
    if whose.histories is not None:
        graph_of = trained if whose.join else None
        model, who = of_file(model, whose.histories, whose.config, seen, console, graph_of)
    elif users is not None:
        who = of_ids(model, users, seen, console)
    else:
        who = _everybody(model, seen, whose.sample, console)
    if len(who.asked) == 0 and (whose.cold == "leave_out" or len(who.cold) == 0):
        known = ", ".join(map(str, model.users[:3]))
        raise UserError(
            f"none of the {len(who.cold):,} listeners is known; expected ids such as {known}, "
            "--histories with what they have listened to, or --cold=popular"
        )
    return model, who if whose.cold == "popular" else dataclasses.replace(who, cold=who.cold[:0])


def _everybody(model: Recommender, seen: SeenRule, sample: int | None, console: Console) -> Who:
    """All whom training knows, or some of them."""
    train = model.split.train
    if sample is not None:
        users = choose_users(train, count=sample, seed=model.config.seed)
        return Who(of_users(model.split, model.config, users, seen), train.users.ids[:0])
    cold = np.setdiff1d(np.arange(train.num_users), train.user)
    if len(cold):
        console.warning(f"{len(cold):,} users without training listens are left out")
    users = user_indices(model.split, None)
    return Who(of_users(model.split, model.config, users, seen), train.users.ids[:0])


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
    return Who(of_users(model.split, model.config, index[known], seen), cold)


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
      trained: the run, where its songs are to know of them; None to leave it as it is.

    Raises:
      UserError: the history can't be read, or the model can't know of them.
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
        model = _joined(model, trained, found, console)
    return model, Who(asked.take(np.flatnonzero(heard)), asked.names[cold])


def _joined(model: Recommender, trained: Trained, found: Gathered, console: Console) -> Recommender:
    """The model that knows of those who are new or have grown.

    They are ranked by their histories all the same: solved for once more, with the songs as they
    are then, their vectors rank better than those they have as nodes.
    """
    histories = found.asked.histories
    rows = np.flatnonzero((histories.users < 0) & (np.diff(histories.offsets) > 0))
    joiners = Joiners(
        histories.take(rows),
        plays=found.plays[np.isin(histories.entry_rows(), rows)],
        replaced=found.user_of[rows],
    )
    return dataclasses.replace(model, model=join(trained, joiners, Hooks(console.progress)))


def without_history(model: Recommender, names: np.ndarray) -> Asked:
    """Users of whom nothing is known, ranked by nothing."""
    none = [np.zeros(0, np.int32)] * len(names)
    return of_rows(names, Histories.of_items(none, model.split.train.num_items), "exclude")
