"""`recommend`: lists for listeners, those of training and those who came after."""

import dataclasses
import functools
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxrec.api.recommender import Recommender, recommender_of
from jaxrec.commands.listable import check_some_left, excluded, listable
from jaxrec.commands.tables import read_ids
from jaxrec.commands.who import Who, of_file, of_ids, without_history
from jaxrec.config import RunConfig
from jaxrec.data.options import SeenRule
from jaxrec.errors import UserError
from jaxrec.hosts import together
from jaxrec.models import popularity
from jaxrec.rank.lists import check_ending, read_lists, write_lists
from jaxrec.report.console import Console
from jaxrec.runs.trained import open_for_use


def recommend(
    workdir: Path,
    *,
    k: int,
    output: Path | None,
    users: Sequence[str] | None = None,
    users_file: Path | None = None,
    histories: Path | None = None,
    config: RunConfig | None = None,
    join: bool = False,
    cold: str = "leave_out",
    seen: SeenRule = "exclude",
    items_file: Path | None = None,
    exclude_file: Path | None = None,
    because: int = 0,
    step: int | None = None,
) -> None:
    """Writes the top k songs of all users, or of some; the training data need not be there.

    Args:
      workdir: the run's folder.
      k: songs per list.
      output: a .parquet or .csv file; None for recommendations.parquet in the run's folder.
      users: ids of the users, or None.
      users_file: a file with one id per line, or None.
      histories: a listening history of after training, whose users' lists are wanted, or None.
      config: its `data` says how that is read; None for as the run's was.
      join: whether the graph is to have them in it, so that the songs know of their listens.
      cold: `leave_out` or `popular`, what those get of whom nothing is known.
      seen: songs the user has listened to: `exclude` them, `include` them, or list `only` them.
      items_file: a file with the ids of the songs that may be listed, one per line, or None.
      exclude_file: a file of ids that may not, or a table of user and item; or None.
      because: how many songs of the history are named as reasons.
      step: which checkpoint, None for the one that `train` reported on.

    Raises:
      UserError: no run there, nobody that is known, a file that can't be read, no song that may be
        listed, or an output that can't be written.
    """
    given = {"users": users, "users_file": users_file, "histories": histories}
    asked_by = [f"--{name}" for name, value in given.items() if value is not None]
    if len(asked_by) > 1:
        raise UserError(f"{' and '.join(asked_by)} are both set; expected one of them")
    if users is not None and not all(each.strip() for each in users or [""]):
        raise UserError(f"--users={','.join(users)}: an empty id; expected ids by commas")
    if join and histories is None:
        raise UserError("--join without --histories; expected both")
    path = workdir / "recommendations.parquet" if output is None else output
    check_ending(path)
    trained = open_for_use(workdir, step)
    model = recommender_of(trained)
    console = Console(quiet=model.config.quiet)
    if users_file is not None:
        users = read_ids(users_file, "users_file")
    if histories is not None:
        graph_of = trained if join else None
        model, who = of_file(model, histories, config, seen, console, graph_of)
    elif users is not None:
        who = of_ids(model, users, seen, console)
    else:
        who = _everybody(model, seen, console)
    popular = who.cold if cold == "popular" else who.cold[:0]
    if len(who.asked) + len(popular) == 0:
        known = ", ".join(map(str, model.users[:3]))
        raise UserError(
            f"none of the {len(who.cold):,} listeners is known; expected ids such as {known}, "
            "--histories with what they have listened to, or --cold=popular"
        )
    candidates = listable(model, items_file, console)
    names = [*who.asked.names.tolist(), *popular.tolist()]
    hidden = excluded(model, exclude_file, names, console)
    candidates[hidden.items] = False
    asked = hidden.of(who.asked)
    unheard = hidden.of(without_history(model, popular))
    if exclude_file is not None:
        check_some_left((asked, unheard), candidates, items_file, exclude_file)
    if asked.names.dtype != unheard.names.dtype and len(unheard):  # numbers, and text
        asked = dataclasses.replace(asked, names=asked.names.astype(str).astype(object))

    count = len(asked) + len(unheard)
    lists = functools.partial(
        model.lists,
        k=k,
        because=because,
        candidates=candidates,
    )
    tables = lists(asked) if len(asked) or not len(unheard) else iter(())
    if len(unheard):  # last
        by_all = dataclasses.replace(model, model=popularity.of(model.split.train))
        tables = itertools.chain(
            tables, by_all.lists(unheard, k=k, because=because, candidates=candidates)
        )
    with console.progress(count, "recommending", unit="users") as bar:
        write = write_lists if together.is_first() else read_lists
        rows = write(tables, path, lambda users: bar.update(users))
        together.by_first("lists", lambda: None)  # the others end when the file is whole
    console.note(f"wrote {rows:,} recommendations for {count:,} users to {path}")


def _everybody(model: Recommender, seen: SeenRule, console: Console) -> Who:
    train = model.split.train
    cold = np.setdiff1d(np.arange(train.num_users), train.user)
    if len(cold):
        console.warning(f"{len(cold):,} users without training listens are left out")
    return Who(model.asked(model.user_indices(None), seen), train.users.ids[:0])
