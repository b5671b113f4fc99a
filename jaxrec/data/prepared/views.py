"""The staged rows as tables of a database: `listens`, `known` and `names`, as a store has them."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxrec.data.finish_listens import are_compact, read_window, time_column
from jaxrec.data.listen_store import Store
from jaxrec.data.meaning import Filters
from jaxrec.data.prepared.journal import Journal
from jaxrec.data.prepared.stage import Staged, chunk_path
from jaxrec.data.times import TimeColumn, compact_date

_NONE = {
    "listens": 'NULL::BIGINT AS row, NULL::VARCHAR AS "user", NULL::VARCHAR AS item, '
    "NULL::DOUBLE AS plays, NULL::BIGINT AS timestamp",
    "names": "NULL::VARCHAR AS item, NULL::VARCHAR AS name, NULL::BIGINT AS row, "
    "NULL::VARCHAR AS first_artist, NULL::VARCHAR AS last_artist",
}
_NONE["known"] = _NONE["listens"]


@dataclasses.dataclass(frozen=True)
class Timing:
    """What the times turned out to be.

    Attributes:
      column: what the column of times holds, None without one.
      first: the first moment of the window, seconds since 1970, None where it has no beginning.
      end: the moment after its last.
      before: rows before it.
      after: rows after it.
      notes: what its ends were taken for.
    """

    column: TimeColumn | None = None
    first: int | None = None
    end: int | None = None
    before: int = 0
    after: int = 0
    notes: tuple[str, ...] = ()

    @classmethod
    def read(cls, found: dict[str, Any]) -> "Timing":
        """From what the journal has."""
        column = None if found["column"] is None else TimeColumn(**found["column"])
        return cls(**found | {"column": column, "notes": tuple(found["notes"])})


def show_rows(store: Store, work: Path, chunks: Sequence[str], timing: Timing) -> None:
    """Makes the rows of some chunks known as `listens`, `known` and `names`.

    Args:
      store: may read the folder.
      work: where the chunks lie.
      chunks: their names.
      timing: says how times are read, and which rows are in the window.
    """
    compact = timing.column is not None and timing.column.compact
    time = compact_date("timestamp") if compact else "timestamp"
    rows = {name: _rows(work, chunks, name, time) for name in ("listens", "known")}
    listens, known = rows["listens"], rows["known"]
    if timing.first is not None:
        early = f"coalesce(timestamp < {timing.first}, false)"
        known = f"({known} UNION ALL BY NAME SELECT * FROM ({listens}) WHERE {early})"
        listens = f"SELECT * FROM ({listens}) WHERE NOT {early}"
    if timing.end is not None:
        late = f"coalesce(timestamp >= {timing.end}, false)"
        known = f"SELECT * FROM ({known}) WHERE NOT {late}"
        listens = f"SELECT * FROM ({listens}) WHERE NOT {late}"
    store.query(f"CREATE OR REPLACE TEMP VIEW listens AS {listens}")
    store.query(f"CREATE OR REPLACE TEMP VIEW known AS {known}")
    names = _files(work, chunks, "names")
    every = f"* FROM read_parquet({names})" if names else f"{_NONE['names']} WHERE false"
    store.query(f"CREATE OR REPLACE TEMP VIEW names AS SELECT {every}")


def _rows(work: Path, chunks: Sequence[str], table: str, time: str) -> str:
    files = _files(work, chunks, table)
    if not files:
        return f"SELECT {_NONE[table]} WHERE false"
    return f'SELECT row, "user", item, plays, {time} AS timestamp FROM read_parquet({files})'


def _files(work: Path, chunks: Sequence[str], table: str) -> list[str]:
    paths = (chunk_path(work, chunk, table) for chunk in chunks)
    return [str(path) for path in paths if path.stat().st_size]


def read_timing(
    store: Store, work: Path, staged: Staged, filters: Filters, journal: Journal
) -> Timing:
    """What the times of all rows are, and where the window cuts them.

    Raises:
      UserError: a moment can't be read, or the window is empty.
    """
    if (found := journal.found("timing")) is not None:
        return Timing.read(found)
    timing = Timing()
    show_rows(store, work, staged.chunks, timing)
    if staged.times.all:
        compact = are_compact(store, staged.times, filters.time_format)
        timing = Timing(TimeColumn(compact=compact))
        show_rows(store, work, staged.chunks, timing)
        column = time_column(store, staged.times, filters.time_format, compact=compact)
        timing = Timing(column)
    first, end, notes = read_window(filters, timing.column or TimeColumn())
    before = 0 if first is None else _count(store, f"timestamp < {first}")
    after = 0
    if end is not None:
        within = "" if first is None else f" AND timestamp >= {first}"
        after = _count(store, f"timestamp >= {end}{within}")
    timing = Timing(timing.column, first, end, before, after, tuple(notes))
    journal.done("timing", dataclasses.asdict(timing))
    return timing


def _count(store: Store, condition: str) -> int:
    return store.number(f"SELECT count(*) FROM listens WHERE {condition}")
