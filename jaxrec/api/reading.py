"""Histories in: from files, Arrow tables and data frames, and cut into train and test."""

import dataclasses
import datetime
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jaxrec.api.words import plain_errors
from jaxrec.config import read_config
from jaxrec.data import splits
from jaxrec.data.interactions import Listens
from jaxrec.data.meaning import raw_columns
from jaxrec.data.options import SplitKind, ValidationRule
from jaxrec.data.split_rules import Rules
from jaxrec.data.splits import Split
from jaxrec.data.times import TimeColumn, read_moment
from jaxrec.errors import UserError
from jaxrec.report.console import Console
from jaxrec.runs.prepare import read_history

_TABLE = "table.parquet"


def read(
    source: Any,
    *,
    user: str = "user",
    item: str = "item",
    timestamp: str | None = None,
    plays: str | None = None,
    ms_played: str | None = None,
    rating: str | None = None,
    name: str | None = None,
    artist: str | None = None,
    quiet: bool = True,
    **fields: Any,
) -> Listens:
    """Reads a listening history.

    >>> import pyarrow as pa
    >>> table = pa.table({"user": ["ann", "ann", "bob"], "song": ["s1", "s2", "s1"]})
    >>> listens = jr.read(table, item="song")
    >>> len(listens), listens.users.ids.tolist()
    (3, ['ann', 'bob'])

    Args:
      source: a path (a file, a folder or a glob), an Arrow table, or any data frame that speaks
        Arrow, such as one of pandas, Polars or DuckDB.
      user: the column of who listened.
      item: the column of what was listened to.
      timestamp: the column of when, or None.
      plays: the column of how often, or None.
      ms_played: the column of for how long, in milliseconds, or None.
      rating: the column of stars or votes, or None; `min_rating` says what is liked.
      name: the column of the items' names, or None.
      artist: the column of the items' artists, or None.
      quiet: False to be told what was read.
      **fields: any other field of `config.data`, such as `format`, `on_bad_rows` or `time_from`.

    Raises:
      UserError: a bad row, column, file or argument.
    """
    columns = {
        "user": user,
        "item": item,
        "timestamp": timestamp,
        "plays": plays,
        "ms_played": ms_played,
        "rating": rating,
        "item_name": name,
        "artist": artist,
    }
    table = _as_table(source)
    with plain_errors(), tempfile.TemporaryDirectory() as folder:
        path, more = str(source), dict(fields)
        if table is not None:
            path = str(Path(folder) / _TABLE)
            # Conditions may be on any column; else none but those that are named is looked at.
            conditions = {"keep", "drop", "against"} & fields.keys()
            used = table if conditions else table.select(_used(table, columns))
            pq.write_table(used, path)
            more["format"] = "parquet"
        own = {"source": "listens", "split": "none", "path": path, "columns": columns}
        config = read_config({"quiet": quiet, "data": own | more})
        try:
            listens = read_history(config, Console(quiet=quiet)).listens
        except UserError as error:
            what = "the table" if table is not None else path
            raise UserError(str(error).replace(path, what)) from error
        return listens


def _as_table(source: Any) -> pa.Table | None:
    """A table of what holds rows itself; None of a path."""
    if isinstance(source, str | Path):
        return None
    if isinstance(source, pa.Table):
        return source
    if hasattr(source, "__arrow_c_stream__"):
        return pa.table(source)
    raise UserError(
        f"source is a {type(source).__name__}; expected a path, an Arrow table, or a data frame "
        "that speaks Arrow (has __arrow_c_stream__), such as pandas' from 2.2 on or Polars'"
    )


def _used(table: pa.Table, columns: dict[str, str | None]) -> list[str]:
    """The columns that are named; no other is looked at."""
    roles = {role: name for role, name in columns.items() if name is not None}
    names = list(raw_columns(roles).values())
    for name in names:
        if name not in table.column_names:
            raise UserError(
                f"the table has no column {name!r}; expected one of "
                f"{', '.join(map(repr, table.column_names))}"
            )
    return list(dict.fromkeys(names))


def split(
    listens: Listens,
    kind: SplitKind = "random",
    *,
    seed: int = 0,
    test_fraction: float = 0.2,
    validation_fraction: float = 0.0,
    validation_rule: ValidationRule = "random",
    last_n: int = 1,
    moment: str | datetime.date | int | None = None,
    min_plays: float = 1,
    core: int = 0,
) -> Split:
    """Cuts a history into train, validation and test.

    >>> parts = jr.split(everyone, seed=0, test_fraction=0.3)
    >>> len(parts.train), len(parts.test)
    (16, 8)

    Args:
      listens: the history, from `read`.
      kind: `random` (a share of each user's items), `last_n` (each user's last items), `time`
        (everything from a moment on), `yambda` (that benchmark's windows; measured with
        `eval.seen=include`), or `none` (all is train).
      seed: of what is random.
      test_fraction: the share of test, for `random` and `time`.
      validation_fraction: the share of train that is held out to choose by.
      validation_rule: `random`, or `alike`: from users and items like those of test.
      last_n: items per user, for `last_n`.
      moment: for `time` and `yambda`: seconds since 1970, text as of a column of times, a date or a
        datetime (UTC where there is no zone; fractions of a second are rounded down, as in the
        column); None takes the moment that leaves `test_fraction` after it, or the last day.
      min_plays: pairs with fewer plays are left out.
      core: users and items with fewer interactions are left out, again and again.

    Raises:
      UserError: the history can't be cut so.
    """
    if not isinstance(listens, Listens):
        raise UserError(f"listens is a {type(listens).__name__}; expected what read(...) returns")
    with plain_errors():
        parts = splits.split(
            listens,
            Rules(
                kind=kind,
                seed=seed,
                test_fraction=test_fraction,
                last_n=last_n,
                moment=_seconds(moment),
                validation_fraction=validation_fraction,
                validation_rule=validation_rule,
                min_plays=min_plays,
                core=core,
            ),
        )
    # So that a model fitted to split.train alone lists none of it either.
    train = dataclasses.replace(parts.train, known=parts.known)
    return dataclasses.replace(parts, train=train)


def _seconds(moment: str | datetime.date | int | None) -> int | None:
    if isinstance(moment, datetime.date):  # a datetime is one, too
        moment = moment.isoformat()
    if isinstance(moment, str):
        return read_moment("moment", moment, TimeColumn())
    if moment is None:
        return None
    if isinstance(moment, int | np.integer) and not isinstance(moment, bool):
        return int(moment)
    raise UserError(
        f"moment is {moment!r}; expected seconds since 1970, ISO 8601 such as 2024-05-31, or a "
        "date or datetime"
    )


def item_rows(histories: Iterable[Iterable[Any]]) -> list[list[Any]]:
    """The histories as lists, refused where one is a single text, which is a sequence too."""
    rows = []
    for row in histories:
        if isinstance(row, str | bytes) or not isinstance(row, Iterable):
            raise UserError(f"histories has {row!r}; expected a list of items for each listener")
        rows.append(list(row))
    return rows
