"""Reads a listening history from files into `Listens`, refusing bad rows by file and line.

`delimited.py` and `parquet.py` give the rows, `listen_table.py` checks, filters and numbers them.
"""

import contextlib
import dataclasses
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

from jaxrec.data.delimited import read_delimited, read_edges
from jaxrec.data.interactions import Listens
from jaxrec.data.listen_table import ListenTable, ReadReport
from jaxrec.data.options import Format, OnBadRows
from jaxrec.data.parquet import read_parquet
from jaxrec.data.rows import Rows, file_format, find_files
from jaxrec.errors import UserError


@dataclasses.dataclass(frozen=True)
class Columns:
    """The names of a history's columns; in text without a header their positions from "0".

    Attributes:
      user: who listened.
      item: what was listened to.
      timestamp: when: seconds since 1970 below 1e11 in size, else milliseconds; or ISO 8601 text,
        UTC where it has no offset; or a Parquet timestamp or date. Fractions are rounded down.
      plays: how often; one play per row where there is no such column.
      ms_played: for how long, in milliseconds.
      item_name: the item's title.
      artist: the item's artist.
    """

    user: str
    item: str
    timestamp: str | None = None
    plays: str | None = None
    ms_played: str | None = None
    item_name: str | None = None
    artist: str | None = None


def read_listens(
    paths: Sequence[str | Path],
    *,
    columns: Columns | None = None,
    format: Format = "auto",
    header: bool = True,
    delimiter: str | None = None,
    quoted: bool | None = None,
    on_bad_rows: OnBadRows = "error",
    time_from: int | str | None = None,
    time_until: int | str | None = None,
    min_ms_played: int = 0,
    names_path: str | Path | None = None,
    names_columns: tuple[str, str] = ("id", "name"),
    names_format: Format = "auto",
    names_header: bool = True,
    names_delimiter: str | None = None,
    names_encoding: str = "utf-8",
) -> tuple[list[Listens], ReadReport]:
    """Reads histories that share their ids, such as one, or a train and a test part.

    Ids become int64 if every one of them is an integer ("12" or "-3", not "007", "1.0" or text
    in Parquet), else text, separately for users and items. An item's name is "title — artist"
    from its first row that has one, or from the names file.

    Args:
      paths: one file, folder or glob per history.
      columns: the columns' names; not needed for edge lists, which have none.
      format: of the files; `auto` goes by their endings.
      header: whether text files begin with the columns' names.
      delimiter: between the fields of text files, one character or more; by default a comma in
        `csv` and a tab in `tsv`.
      quoted: whether fields of text files may be in double quotes; by default only if the
        delimiter is a comma or semicolon.
      on_bad_rows: `error`, or `skip` to leave bad rows out and report them.
      time_from: the first moment to keep, as in a `timestamp` column of text.
      time_until: the moment after the last to keep.
      min_ms_played: listens shorter than this are dropped, milliseconds.
      names_path: a file with the items' names.
      names_columns: its columns of ids and names.
      names_format: as `format`.
      names_header: as `header`.
      names_delimiter: as `delimiter`.
      names_encoding: `utf-8`, or `latin-1` as in MovieLens.

    Returns:
      A `Listens` per path, its rows in the order of the files' names and lines, and the report.

    Raises:
      UserError: a bad row (unless skipped), file or argument, or no row is left.
    """
    given = {} if columns is None else dataclasses.asdict(columns)
    wanted = {role: name for role, name in given.items() if name is not None}
    _check_arguments(wanted, on_bad_rows, time_from, time_until, min_ms_played)
    with ListenTable(
        skip_bad_rows=on_bad_rows == "skip",
        time_from=time_from,
        time_until=time_until,
        min_ms_played=min_ms_played,
    ) as table:
        for entry, path in enumerate(paths):
            for file in find_files(path):
                with _open(file, wanted, format, header, delimiter, quoted, "utf-8") as rows:
                    table.add_listens(entry, rows)
            if not table.num_kept(entry):
                raise UserError(f"{path}: no listens left, expected at least one ({table.report})")
        if names_path is not None:
            roles = dict(zip(("item", "item_name"), names_columns, strict=True))
            for file in find_files(names_path):
                with _open(
                    file, roles, names_format, names_header, names_delimiter, None, names_encoding
                ) as rows:
                    table.add_names(rows)
        parts = table.parts(
            len(paths),
            with_times="timestamp" in wanted,
            with_names=names_path is not None or bool(wanted.keys() & {"item_name", "artist"}),
        )
        return parts, table.report


def _check_arguments(
    wanted: Mapping[str, str],
    on_bad_rows: str,
    time_from: int | str | None,
    time_until: int | str | None,
    min_ms_played: int,
) -> None:
    if on_bad_rows not in ("error", "skip"):
        raise UserError(f"on_bad_rows is {on_bad_rows!r}, expected error or skip")
    if wanted and wanted["user"] == wanted["item"]:
        raise UserError(
            f"the columns of user and item are both {wanted['user']!r}, expected two columns"
        )
    if min_ms_played > 0 and "ms_played" not in wanted:
        raise UserError(
            f"min_ms_played is {min_ms_played}, expected 0 where no column is set for ms_played"
        )
    for name, moment in (("time_from", time_from), ("time_until", time_until)):
        if moment is not None and "timestamp" not in wanted:
            raise UserError(
                f"{name} is {moment!r}, expected none where no column is set for timestamp"
            )


def _open(
    file: Path,
    wanted: Mapping[str, str],
    format: Format,
    header: bool,
    delimiter: str | None,
    quoted: bool | None,
    encoding: str,
) -> contextlib.closing[Generator[Rows]]:
    """The reader of a file's rows."""
    kind = file_format(file, format, delimiter)
    if kind == "edges":
        more = [role for role in wanted if role not in ("user", "item")]
        if more:
            raise UserError(f"{file}: an edge list has users and items only, no {more[0]}")
        return contextlib.closing(read_edges(file))
    if not wanted:
        raise UserError(f"{file}: no columns are set, expected at least those of user and item")
    if kind == "parquet":
        return contextlib.closing(read_parquet(file, wanted))
    delimiter = delimiter if delimiter is not None else {"csv": ",", "tsv": "\t"}[kind]
    quoted = delimiter in (",", ";") if quoted is None else quoted
    if delimiter in ("", '"', "\r", "\n") or (quoted and len(delimiter) > 1):
        raise UserError(
            f"delimiter is {delimiter!r}, expected a character (or several, with quoted off)"
        )
    return contextlib.closing(
        read_delimited(
            file, wanted, delimiter=delimiter, quoted=quoted, header=header, encoding=encoding
        )
    )
