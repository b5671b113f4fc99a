"""Reads a listening history from files into `Listens`, refusing bad rows by file and line.

`formats.py` tells what a file is; `delimited.py`, `parquet.py` and `json_rows.py` give its rows,
`meaning.py` makes of their columns who listened to what, `listen_table.py` checks, filters and
numbers them.
"""

import contextlib
import dataclasses
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

from jaxrec.data.conditions import JOINED, Condition, columns_of, parse
from jaxrec.data.delimited import read_delimited, read_edges
from jaxrec.data.formats import find_kind
from jaxrec.data.idomaar import read_idomaar
from jaxrec.data.inputs import InputFile, find_files
from jaxrec.data.interactions import Listens
from jaxrec.data.json_rows import read_json
from jaxrec.data.listen_table import ListenTable
from jaxrec.data.meaning import (
    Filters,
    FixedUser,
    Layout,
    Names,
    Source,
    raw_columns,
    with_meaning,
)
from jaxrec.data.parquet import read_parquet
from jaxrec.data.read_report import ReadReport, without_identical
from jaxrec.data.rows import Rows
from jaxrec.data.times import check_format
from jaxrec.errors import UserError

EVERYTHING = Filters()
Note = Callable[[str], None]


def read_listens(
    histories: Sequence[Sequence[Source]],
    *,
    names: Names | None = None,
    filters: Filters = EVERYTHING,
) -> tuple[list[Listens], ReadReport]:
    """Reads histories that share their ids, such as one, or a train and a test part.

    Ids become int64 if every one of them is an integer ("12" or "-3", not "007", "1.0" or text
    in Parquet), else text, separately for users and items. An item's name is "title — artist"
    from its first row that has one, or from the names file.

    Args:
      histories: the sources of each.
      names: a table of the items' names.
      filters: which rows are learnt from.

    Returns:
      A `Listens` per history, its rows in the order of the files' names and lines, and the report.

    Raises:
      UserError: a bad row (unless skipped), file or argument, or no row is left.
    """
    sources = [source for history in histories for source in history]
    all_roles = check_sources(sources, filters)
    by_name = any(source.by_name for source in sources)
    with ListenTable(filters, by_name=by_name) as table:
        for entry, history in enumerate(histories):
            for source in history:
                _add(table, entry, source, filters)
        table.finish()
        for entry, history in enumerate(histories):
            if not table.num_kept(entry):
                place = ", ".join(dict.fromkeys(str(_place(source)) for source in history))
                raise UserError(f"{place}: no listens left, expected at least one ({table.report})")
        if names is not None:
            add_names(table, names)
        parts = table.parts(
            len(histories),
            with_times="timestamp" in all_roles,
            with_names=names is not None or bool(all_roles & {"item_name", "artist"}),
        )
        report = table.report
    if filters.identical_rows == "drop":
        before = sum(map(len, parts))
        parts = [without_identical(part) for part in parts]
        report = dataclasses.replace(report, identical=before - sum(map(len, parts)))
    return parts, report


def check_sources(sources: Sequence[Source], filters: Filters) -> set[str]:
    """The roles that the sources' columns have, when they and the filters fit together.

    Raises:
      UserError: they don't, or an argument can't be used.
    """
    roles = [{} if source.columns is None else source.columns.roles() for source in sources]
    for source, named in zip(sources, roles, strict=True):
        _check_columns(source, named)
    all_roles = {role for named in roles for role in named}
    _check_filters(filters, all_roles)
    return all_roles


def _place(source: Source) -> object:
    if isinstance(source.files, tuple):
        return source.files[0].path if source.files else "config.data.path"
    return source.files


def files_of(source: Source) -> tuple[list[InputFile], list[str]]:
    """The files of a source, and notes on what was left out.

    Raises:
      UserError: as `find_files`.
    """
    if isinstance(source.files, tuple):
        return list(source.files), []
    return find_files(source.files, format=source.layout.format)


def files_of_names(names: Names) -> tuple[list[InputFile], list[str]]:
    """Likewise of a table of names; raises as `find_files`, by the names' own fields."""
    with _named_after_names():
        return find_files(names.path, format=names.layout.format)


def _add(table: ListenTable, entry: int, source: Source, filters: Filters) -> None:
    conditions = conditions_of(source, filters)
    files, notes = files_of(source)
    table.note(*notes)
    for file in files:
        with open_rows(file, source, conditions, table.note) as rows:
            table.add_listens(entry, rows, conditions, learnt=source.learnt)


def conditions_of(source: Source, filters: Filters) -> dict[str, list[Condition]]:
    """What a source's rows are told apart by, by setting.

    Raises:
      UserError: a condition can't be read.
    """
    settings = {
        "keep": filters.keep,
        "drop": filters.drop,
        "against": filters.against,
        "learnt_if": source.learnt_if,
        "no_item": source.no_item,
        "defects": source.defects,
    }
    return {name: parse(name, settings[name]) for name in JOINED}


def add_names(table: ListenTable, names: Names) -> None:
    """Adds a table of the items' names.

    Raises:
      UserError: it can't be read, or has a bad row, unless those are skipped.
    """
    roles = dict(zip(("item", "item_name"), names.columns, strict=True))
    wanted = raw_columns(roles)
    files, notes = files_of_names(names)
    table.note(*notes)
    with _named_after_names():
        for file in files:
            with _reader(file, names.layout, wanted, frozenset(), table.note) as rows:
                table.add_names(with_meaning(rows, roles, {}))


@contextlib.contextmanager
def _named_after_names() -> Iterator[None]:
    """The names' own fields are called after those of the listens, also in what is refused."""
    try:
        yield
    except UserError as error:
        own = r"config\.data\.(path|format|header|delimiter|quoted|escape|encoding|columns)\b"
        raise UserError(re.sub(own, r"config.data.names_\1", str(error))) from error


@contextlib.contextmanager
def open_rows(
    file: InputFile,
    source: Source,
    conditions: Mapping[str, list[Condition]],
    note: Note,
) -> Iterator[Iterator[Rows]]:
    """The rows of a file of listens, by role, in batches; `note` is told what was found out."""
    roles = {} if source.columns is None else source.columns.roles()
    user = source.user.of(file)
    if user is not None:
        roles["user"] = "user"
    wanted = raw_columns(roles)
    for name in JOINED:
        wanted |= columns_of(name, conditions[name])
    constants: dict[str, str | None] = {}
    if user is not None:
        constants["user"] = user
    partition = file.partition
    constants |= {
        key: partition[name]
        for key, name in wanted.items()
        if key not in constants and name in partition
    }
    read = {key: name for key, name in wanted.items() if key not in constants}
    with _reader(file, source.layout, read, source.optional, note) as rows:
        roles = roles or {"user": "user", "item": "item"}
        yield with_meaning(rows, roles, constants)


def _reader(
    file: InputFile,
    layout: Layout,
    wanted: Mapping[str, str],
    optional: frozenset[str],
    note: Note,
) -> contextlib.closing[Generator[Rows]]:
    """The reader of a file's columns."""
    kind = find_kind(file, layout, wanted)
    note(kind.note)
    if kind.format == "edges":
        more = [key for key in wanted if key not in ("user", "item")]
        if more:
            role = more[0].partition(":")[0]
            raise UserError(f"{file}: an edge list has users and items only, no {role}")
        if wanted and "user" not in wanted:
            raise UserError(
                f"{file}: an edge list has its users in it, expected none in config.data.user "
                "and config.data.user_from"
            )
        return contextlib.closing(read_edges(file))
    if kind.format == "idomaar":
        return contextlib.closing(read_idomaar(file, wanted))
    if kind.format == "parquet":
        return contextlib.closing(read_parquet(file, wanted))
    if kind.format == "json":
        keys = frozenset(key for key, name in wanted.items() if name in optional)
        return contextlib.closing(read_json(file, wanted, encoding=layout.encoding, optional=keys))
    assert kind.dialect is not None
    return contextlib.closing(read_delimited(file, wanted, kind.dialect))


def _check_columns(source: Source, roles: Mapping[str, str]) -> None:
    if not roles:
        return
    if source.user.name is not None and source.user.source != "column":
        raise UserError(
            f"config.data.user is {source.user.name!r} and config.data.user_from is "
            f"{source.user.source!r}; expected one of them"
        )
    name = source.user.name
    if name is not None and not name.strip():
        raise UserError(f"config.data.user is {name!r}; expected the name of the listener")
    has_column = source.user == FixedUser()
    if has_column and roles["user"] == roles.get("item"):
        raise UserError(
            f"the columns of user and item are both {roles['user']!r}, expected two columns"
        )


def _check_filters(filters: Filters, roles: set[str]) -> None:
    if filters.on_bad_rows not in ("error", "skip"):
        raise UserError(f"on_bad_rows is {filters.on_bad_rows!r}, expected error or skip")
    if filters.identical_rows not in ("keep", "drop"):
        raise UserError(f"identical_rows is {filters.identical_rows!r}, expected keep or drop")
    if filters.min_ms_played > 0 and "ms_played" not in roles:
        raise UserError(
            f"min_ms_played is {filters.min_ms_played}, expected 0 where no column is set for "
            "ms_played"
        )
    if filters.min_rating is not None and "rating" not in roles:
        raise UserError(
            f"min_rating is {filters.min_rating}, expected none where no column is set for rating"
        )
    if filters.min_rating is None and "rating" in roles:
        raise UserError(
            "config.data.columns.rating is set and config.data.min_rating isn't; expected the "
            "least rating that says that a song is liked, such as 4 (lower ones are known, not "
            "learnt from)"
        )
    if filters.identical_rows == "drop" and "timestamp" not in roles:
        raise UserError(
            "identical_rows is 'drop', expected 'keep' where no column is set for timestamp: "
            "without times, rows of a user and an item are plays"
        )
    check_format(filters.time_format)
    for name in ("time_from", "time_until"):
        moment = getattr(filters, name)
        if moment is not None and "timestamp" not in roles:
            raise UserError(
                f"{name} is {moment!r}, expected none where no column is set for timestamp"
            )
        if moment is not None and not re.search(r"\d", str(moment)):  # before all is read
            raise UserError(
                f"{name} is {moment!r}, expected seconds since 1970, or ISO 8601 such as 2024-05-31"
            )
    for name in ("keep", "drop"):
        parse(name, getattr(filters, name))
