"""Rows of a file as text with their line numbers, and how the wanted columns are found.

What the readers of each format share: `delimited.py` and `parquet.py` give `Rows`,
`listens.py` checks and adds them up without knowing where they came from.
"""

import collections
import csv
import dataclasses
import glob
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow as pa

from jaxrec.data.options import Format
from jaxrec.errors import UserError

FORMATS = get_args(Format)
ENDINGS = {".csv": "csv", ".tsv": "tsv", ".dat": "tsv", ".parquet": "parquet", ".txt": "edges"}
LONGEST_FIELD = csv.field_size_limit()  # characters; Python's csv keeps to it too
TOO_LONG = f"a field of over {LONGEST_FIELD} characters, expected a shorter one"


@dataclasses.dataclass(frozen=True, eq=False)
class Rows:
    """Consecutive rows of one file.

    Attributes:
      file: where they are from.
      line: [n] int64, the line on which each row begins, from 1; in Parquet the row, from 1.
      columns: the wanted columns by role (`user`, `item`, ...): [n] text, null where there is none.
      problems: rows that could not be read and are not in `columns`: line and reason, in order.
      roles_in_text: the roles whose values are text by their type, whatever they look like.
      has_lines: whether `line` counts lines, not rows.
    """

    file: Path
    line: np.ndarray
    columns: Mapping[str, pa.Array]
    problems: Sequence[tuple[int, str]]
    roles_in_text: frozenset[str] = frozenset()
    has_lines: bool = True

    def place(self, line: int) -> str:
        """How a message names one of the rows."""
        return f"{self.file}:{line}" if self.has_lines else f"{self.file}: row {line}"


def shown(text: str) -> str:
    """A text from a file as a message shows it: quoted, and cut where it is long."""
    return repr(text) if len(text) <= 50 else repr(text[:50]) + "..."


def find_columns(place: str, names: Sequence[str], wanted: Mapping[str, str]) -> dict[str, int]:
    """The position of each wanted column.

    Args:
      place: the file (and line) to name in an error.
      names: the columns there are.
      wanted: column name by role.

    Raises:
      UserError: two columns have the same name, or a wanted one is missing.
    """
    twice = sorted(name for name, count in collections.Counter(names).items() if name and count > 1)
    if twice:
        raise UserError(
            f"{place}: the column name {shown(twice[0])} occurs {names.count(twice[0])} times, "
            "expected each name once"
        )
    for role, name in wanted.items():
        if name not in names:
            there = ", ".join(map(shown, names[:50]))
            more = f" and {len(names) - 50} more" if len(names) > 50 else ""
            raise UserError(
                f"{place}: no column {name!r} (wanted as {role}), expected one of {there}{more}"
            )
    return {role: names.index(name) for role, name in wanted.items()}


def find_files(path: str | Path) -> list[Path]:
    """The files that a path stands for: itself, a folder's files or a glob's, in sorted order.

    A folder is searched with its subfolders; names that begin with `.` or `_` (markers such as
    `_SUCCESS`) are passed over.

    Raises:
      UserError: there is no such file, or the folder or glob has none.
    """
    path = Path(path)
    try:
        return _find_files(path)
    except (OSError, ValueError) as error:  # a name too long, or with a NUL; no permission
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(
            f"{shown(str(path))}: {reason}, expected a file, a folder or a glob"
        ) from error


def _find_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if path.is_dir():
        files = sorted(
            Path(folder, name)
            for folder, subfolders, names in os.walk(path)
            for name in names
            if not _is_hidden(Path(folder, name).relative_to(path))
        )
        what = "the folder has no files"
    elif os.path.lexists(path):
        raise UserError(f"{path}: not a regular file, expected a file, a folder or a glob")
    elif glob.has_magic(str(path)):
        files = sorted(Path(name) for name in glob.glob(str(path), recursive=True))
        what = "no file matches"
    else:
        raise UserError(f"{path}: no such file, expected a file, a folder or a glob")
    files = [file for file in files if file.is_file()]
    if not files:
        raise UserError(f"{path}: {what}, expected at least one")
    return files


def _is_hidden(path: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.parts)


def file_format(file: Path, format: Format, delimiter: str | None = None) -> str:
    """The format of a file: as given, or with `auto` by its ending (before any `.gz`).

    A delimiter makes a text file of unknown ending, or of `.dat` or `.txt`, a `csv`.

    Raises:
      UserError: the ending says nothing, or `format` is unknown.
    """
    if format not in FORMATS:
        raise UserError(f"format is {format!r}, expected one of {', '.join(FORMATS)}")
    if format != "auto":
        return format
    name = file.name.lower().removesuffix(".gz")
    known = ENDINGS.get(os.path.splitext(name)[1])
    if delimiter is not None and known != "parquet":
        return "csv"
    if known is None:
        endings = ", ".join(f"{ending} ({known})" for ending, known in ENDINGS.items())
        raise UserError(
            f"{file}: the format can't be told by this ending, expected {endings}, with or "
            f"without .gz, or a format of {', '.join(FORMATS[1:])}"
        )
    return known
