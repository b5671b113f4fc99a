"""What a history's rows mean: who listened to what, when, how much, and which rows count.

A row's meaning is a `Columns`, how a file's bytes are rows is a `Layout`, and what of them is
learnt from is a `Filters`. `with_meaning` turns the columns of a file into the roles of a row.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jaxrec.data.conditions import JOINED
from jaxrec.data.inputs import InputFile
from jaxrec.data.options import Format, IdenticalRows, OnBadRows, UserFrom
from jaxrec.data.rows import Rows
from jaxrec.errors import UserError

JOINED_BY = " — "


@dataclasses.dataclass(frozen=True)
class Columns:
    """The names of a history's columns; in text without a header their positions from "0".

    Each may be made of several columns: "artist + title" joins two, "mbid | title" takes the second
    where the first is empty. In JSON a name with dots leads into a record within a record.

    Attributes:
      user: who listened.
      item: what was listened to; None where `Source.by_name` finds it by artist and title.
      timestamp: when: seconds since 1970 below 1e11 in size, else milliseconds; dates such as
        20150601 where all are; ISO 8601 text, UTC where it has no offset; or a Parquet timestamp or
        date. Fractions are rounded down.
      plays: how often; one play per row where there is no such column.
      ms_played: for how long, in milliseconds.
      rating: how much it was liked; rows below `Filters.min_rating` are known and not learnt from.
      item_name: the item's title.
      artist: the item's artist.
    """

    user: str
    item: str | None
    timestamp: str | None = None
    plays: str | None = None
    ms_played: str | None = None
    rating: str | None = None
    item_name: str | None = None
    artist: str | None = None

    def roles(self) -> dict[str, str]:
        """The columns that there are, by role."""
        given = dataclasses.asdict(self)
        return {role: name for role, name in given.items() if name is not None}


@dataclasses.dataclass(frozen=True)
class FixedUser:
    """Who listened, where no column says it.

    Attributes:
      name: the user of every row, None where it isn't one.
      source: `column`, or `file` or `folder` where a file's or its folder's name is the user.
    """

    name: str | None = None
    source: UserFrom = "column"

    def of(self, file: InputFile) -> str | None:
        """The user of a file, None where a column says it."""
        if self.name is not None:
            return self.name
        if self.source == "file":
            return file.stem
        return file.path.absolute().parent.name if self.source == "folder" else None


@dataclasses.dataclass(frozen=True)
class Layout:
    """How a file's bytes are rows.

    Attributes:
      format: `auto` goes by what the file is, and its ending.
      header: whether text files begin with the columns' names.
      delimiter: between the fields of text, one character or more; None finds it.
      quoted: whether fields of text may be in double quotes; None: where the delimiter is a comma
        or semicolon, or the first rows show it.
      escape: the character before a quote inside quotes, None where it is doubled.
      encoding: of text, as Python calls it.
    """

    format: Format = "auto"
    header: bool = True
    delimiter: str | None = None
    quoted: bool | None = None
    escape: str | None = None
    encoding: str = "utf-8"


@dataclasses.dataclass(frozen=True)
class Source:
    """Files whose rows mean the same.

    Attributes:
      files: a file, a folder or a glob, or the very files.
      columns: what the columns mean; None for edge lists, which have none.
      user: who listened, where no column says it.
      layout: how the bytes are rows.
      no_item: conditions, joined by `and`, of rows that stand for no item, such as a podcast.
      defects: conditions, joined by `or`, of rows that the publisher is known to have damaged.
      learnt: whether its rows are learnt from; else they are known (as dislikes).
      learnt_if: conditions, joined by `and`, of rows that are learnt from; the others are known.
      by_name: whether rows without an item's id are those of the same artist and title.
      optional: columns that a file need not have.
    """

    files: str | Path | tuple[InputFile, ...]
    columns: Columns | None = None
    user: FixedUser = FixedUser()
    layout: Layout = Layout()
    no_item: str | None = None
    defects: str | None = None
    learnt: bool = True
    learnt_if: str | None = None
    by_name: bool = False
    optional: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True)
class Names:
    """A table of the items' names.

    Attributes:
      path: the file, folder or glob.
      columns: of ids and names.
      layout: how it is laid out.
    """

    path: str | Path
    columns: tuple[str, str] = ("id", "name")
    layout: Layout = Layout()


@dataclasses.dataclass(frozen=True)
class Filters:
    """Which rows are learnt from. The others are known all the same, but for bad and later ones.

    Attributes:
      on_bad_rows: `error`, or `skip` to leave bad rows out and report them.
      keep: conditions that a row must meet, such as "event_type in listen like".
      drop: conditions of which a row must meet none, joined by `or`.
      against: conditions, joined by `or`, of rows that speak against the item: `Listens.against`.
      time_from: the first moment to keep, read as the column's values are.
      time_until: the moment after the last to keep; later rows are not known either.
      time_format: of the times, as strptime has it, or seconds, milliseconds, microseconds.
      min_ms_played: shorter listens are not learnt from, milliseconds.
      min_rating: the least rating that is learnt from.
      identical_rows: whether rows of the same user, item and time count once.
    """

    on_bad_rows: OnBadRows = "error"
    keep: str | None = None
    drop: str | None = None
    against: str | None = None
    time_from: int | str | None = None
    time_until: int | str | None = None
    time_format: str | None = None
    min_ms_played: int = 0
    min_rating: float | None = None
    identical_rows: IdenticalRows = "keep"


def parts_of(name: str) -> list[list[str]]:
    """The columns that a role's name stands for: the first alternative that is filled is taken.

    >>> parts_of("mbid | artist + title")
    [['mbid'], ['artist', 'title']]
    """
    return [
        [part.strip() for part in alternative.split(" + ")] for alternative in name.split(" | ")
    ]


def raw_columns(roles: Mapping[str, str]) -> dict[str, str]:
    """The columns to read from a file: name by role, or by `role:number` where there are several.

    Raises:
      UserError: a part of a name is empty.
    """
    found: dict[str, str] = {}
    for role, name in roles.items():
        names = [part for alternative in parts_of(name) for part in alternative]
        if len(names) == 1:
            found[role] = name
            continue
        if not all(names):
            raise UserError(
                f"the column of {role} is {name!r}, expected names on both sides of + and |"
            )
        found |= {f"{role}:{number}": part for number, part in enumerate(names)}
    return found


def with_meaning(
    batches: Iterator[Rows], roles: Mapping[str, str], constants: Mapping[str, str | None]
) -> Iterator[Rows]:
    """Rows by role, of rows by what each role is made of.

    Args:
      batches: with the columns that `raw_columns(roles)` names, but for those of `constants`.
      roles: names by role.
      constants: values that all rows of the file share, by key of `raw_columns`.
    """
    for rows in batches:
        size = len(rows.line)
        raw = dict(rows.columns)
        for key, value in constants.items():
            # A dictionary of one value: a constant column takes no room.
            index = pa.array(np.zeros(size, np.int32))
            raw[key] = pa.DictionaryArray.from_arrays(index, pa.array([value], pa.string()))
        in_text = set(rows.roles_in_text)
        columns = {}
        for role, name in roles.items():
            alternatives = parts_of(name)
            if sum(map(len, alternatives)) == 1:
                columns[role] = raw[role]
                continue
            keys = iter([f"{role}:{number}" for number in range(sum(map(len, alternatives)))])
            values = [[_filled(raw[next(keys)]) for _ in each] for each in alternatives]
            joined = [
                pc.binary_join_element_wise(*each, JOINED_BY) if len(each) > 1 else each[0]
                for each in values
            ]
            columns[role] = pc.coalesce(*joined)
            in_text.add(role)
        columns |= {key: raw[key] for key in raw if key.partition(":")[0] in JOINED}
        yield dataclasses.replace(rows, columns=columns, roles_in_text=frozenset(in_text))


def _filled(column: pa.Array) -> pa.Array:
    """The column as text, null where it is blank."""
    text = column.cast(pa.string())
    blank = pc.equal(pc.utf8_trim(pc.fill_null(text, ""), characters=" "), "")
    return pc.if_else(blank, pa.scalar(None, pa.string()), text)
