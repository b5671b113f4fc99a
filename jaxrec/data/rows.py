"""Rows of a file as text with their line numbers, and how the wanted columns are found.

What the readers of each format share: `delimited.py`, `parquet.py` and `json_rows.py` give `Rows`,
`listen_table.py` checks and adds them up without knowing where they came from.
"""

import collections
import csv
import dataclasses
import re
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from jaxrec.errors import UserError

LONGEST_FIELD = csv.field_size_limit()  # characters; Python's csv keeps to it too
_VALUE = re.compile(r"[\d.:/ -]*\d[\d.:/ -]*|.*[\d.:]{7,}.*|.*@.*\..*")  # no column's name
TOO_LONG = f"a field of over {LONGEST_FIELD} characters, expected a shorter one"


@dataclasses.dataclass(frozen=True, eq=False)
class Rows:
    """Consecutive rows of one file.

    Attributes:
      file: where they are from, as messages name it.
      line: [n] int64, the line on which each row begins, from 1; in Parquet the row, from 1.
      columns: the wanted columns by role (`user`, `item`, ...): [n] text, null where there is none.
        What a role is made of, where that is not one column, goes by `role:number`.
      problems: rows that could not be read and are not in `columns`: line and reason, in order.
      roles_in_text: the roles whose values are text by their type, whatever they look like.
      has_lines: whether `line` counts lines, not rows.
      null_is_no_item: whether a row whose `item` is null stands for something else, as a podcast
        does in JSON, where nothing is said by null.
    """

    file: object
    line: np.ndarray
    columns: Mapping[str, pa.Array]
    problems: Sequence[tuple[int, str]]
    roles_in_text: frozenset[str] = frozenset()
    has_lines: bool = True
    null_is_no_item: bool = False

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
            raise missing_column(place, role, name, names)
    return {role: names.index(name) for role, name in wanted.items()}


def missing_column(place: str, role: str, name: str, names: Sequence[str]) -> UserError:
    """What to say where there is no column of a wanted name; `names` are those there are."""
    role = role.partition(":")[0]
    there = "one of " + ", ".join(map(shown, names[:50]))
    more = f" and {len(names) - 50} more" if len(names) > 50 else ""
    positions = list(map(str, range(len(names))))
    if list(names) != positions and any(map(_VALUE.fullmatch, names)):
        # A row where names should be may hold what nobody asked for, such as an address.
        there, more = f"its name among the {len(names)} of the first line (or is that a row?)", ""
    way = ""
    if role in ("keep", "drop"):
        way = f" in config.data.{role}"
    elif role == "user":
        way = (
            "; where each file is one listener's, set config.data.user=NAME or "
            "config.data.user_from=file"
        )
    if name.isdecimal() or there.startswith("its"):
        way = "; where the first line is a row already, set config.data.header=False"
    return UserError(f"{place}: no column {name!r} (wanted as {role}), expected {there}{more}{way}")
