"""`similar`: songs like songs, and listeners like listeners."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from jaxrec.api.lookup import item_index, user_indices
from jaxrec.api.recommender import Recommender, recommender_of
from jaxrec.commands.tables import read_ids
from jaxrec.errors import UserError
from jaxrec.rank.lists import check_ending, similar_lists, write_lists
from jaxrec.rank.measure import histories_of
from jaxrec.rank.similar_users import similar_users
from jaxrec.report.console import Console
from jaxrec.runs.trained import known_items, open_for_use


def similar(
    workdir: Path,
    *,
    k: int,
    item: str | None = None,
    users: Sequence[str] | None = None,
    items_file: Path | None = None,
    output: Path | None = None,
    step: int | None = None,
) -> None:
    """Shows the k songs nearest to a song, or the listeners nearest to one; with a file, of many.

    Args:
      workdir: the run's folder.
      k: how many of each.
      item: the song's id; None for those of `items_file`, or all, where no users are asked for.
      users: ids of listeners whose like are wanted, or None.
      items_file: a file with ids of songs, one per line, or None.
      output: a .parquet or .csv file; None to show them.
      step: which checkpoint, None for the one that `train` reported on.

    Raises:
      UserError: no run there, it doesn't know a song or a listener, or the file can't be written.
    """
    _check(item, users, items_file, output)
    model = recommender_of(open_for_use(workdir, step))
    console = Console(quiet=model.config.quiet)
    if users is not None:
        tables, count = _listeners(model, users, k)
    else:
        tables, count = _songs(model, item, items_file, k)
    what = "songs" if users is None else "listeners"
    if output is None:
        return _show(model, next(tables)[1], what, item if users is None else users[0])
    with console.progress(count, "comparing", unit=what) as bar:
        rows = write_lists(tables, output, lambda done: bar.update(done))
    console.note(f"wrote {rows:,} similar {what} of {count:,} {what} to {output}")
    return None


def _check(
    item: str | None, users: Sequence[str] | None, items_file: Path | None, output: Path | None
) -> None:
    given = {"item": item, "users": users, "items_file": items_file}
    both = [f"--{name}" for name, value in given.items() if value is not None]
    if len(both) > 1:
        raise UserError(f"{' and '.join(both)} are both set; expected one of them")
    if output is not None:
        check_ending(output)
    elif items_file is not None:
        raise UserError("--items_file without --output; expected both, or --item alone")
    elif users is not None and len(users) != 1:
        raise UserError(
            f"--users={','.join(users)} without --output; expected the id of one listener, or "
            "--output for several"
        )
    elif item is None and users is None:
        raise UserError(
            "--item is missing; expected the id of a song, --users with that of a listener, or "
            "--output for all songs or those of --items_file"
        )


def _songs(
    model: Recommender, item: str | None, items_file: Path | None, k: int
) -> tuple[Iterator[tuple[int, pa.Table]], int]:
    """The tables of what is like each song, and how many there are."""
    ids: Sequence[object] = model.items
    if item is not None:
        ids = [item]
    elif items_file is not None:
        ids = read_ids(items_file, "items_file")
    index = np.array([item_index(model.split, each) for each in ids], np.int32)
    candidates = known_items(model.split)
    tables = similar_lists(
        model.model, index, k=k, candidates=candidates, item_ids=model.split.train.items
    )
    return tables, len(index)


def _listeners(
    model: Recommender, users: Sequence[str], k: int
) -> tuple[Iterator[tuple[int, pa.Table]], int]:
    """The tables of who is like each listener, and how many there are."""
    train = model.split.train
    index = user_indices(model.split, users)
    histories = histories_of(train, model.config)
    return similar_users(model.model, histories, index, k=k, ids=train.users), len(index)


def _show(model: Recommender, table: pa.Table, what: str, of: str | None) -> None:
    console, rows = Console(), table.to_pylist()
    if what == "listeners":
        console.table(
            f"Listeners like {of}",
            ["rank", "listener", "similarity"],
            [[row["rank"], str(row["user"]), row["similarity"]] for row in rows],
        )
        return
    items = model.split.train.items
    labels = [items.label(index) for index in items.index_of(table["item"].to_pylist())]
    console.table(
        f"Songs like {items.label(int(items.index_of([of])[0]))}",
        ["rank", "song", "name", "similarity"],
        [
            [row["rank"], str(row["item"]), label, row["similarity"]]
            for row, label in zip(rows, labels, strict=True)
        ],
    )
