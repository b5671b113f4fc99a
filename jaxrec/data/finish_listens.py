"""What needs all rows of a history: items without ids, compact dates, the time window."""

import dataclasses

from jaxrec.data.listen_checks import is_empty
from jaxrec.data.listen_store import TABLES, ListenStore, Store
from jaxrec.data.meaning import Filters
from jaxrec.data.times import TimeColumn, compact_date, read_moment, shown_moment
from jaxrec.errors import UserError


@dataclasses.dataclass
class TimeCounts:
    """Of how many rows the time is such.

    Attributes:
      all: a time at all.
      words: a date or another text, no number.
      compact: a number that may be a date such as 20150601.
    """

    all: int = 0
    words: int = 0
    compact: int = 0


def match_items(store: ListenStore) -> int:
    """Gives rows without an item's id that of the same artist and title, else these as id.

    Returns:
      How many rows of `listens` match none.
    """
    empty = is_empty("item")
    rows = " UNION ALL ".join(f"SELECT title_key, item, row FROM {table}" for table in TABLES)
    store.query(
        "CREATE TEMP TABLE titles AS SELECT title_key, arg_min(item, row) AS id "
        f"FROM ({rows}) WHERE NOT {empty} AND title_key <> '' GROUP BY title_key"
    )
    unmatched = store.number(
        f"SELECT count(*) FROM listens WHERE {empty} "
        "AND title_key NOT IN (SELECT title_key FROM titles)"
    )
    for table in TABLES:
        store.query(
            f"UPDATE {table} SET item = coalesce((SELECT id FROM titles WHERE titles.title_key = "
            f"{table}.title_key), {table}.title_key) WHERE {empty}"
        )
    return unmatched


def read_times(store: ListenStore, counts: TimeCounts, form: str | None) -> TimeColumn:
    """Turns counts of seconds into the compact dates that they are, where all are some."""
    if compact := are_compact(store, counts, form):
        for table in TABLES:
            store.query(f"UPDATE {table} SET timestamp = {compact_date('timestamp')}")
    return time_column(store, counts, form, compact=compact)


def are_compact(store: Store, counts: TimeCounts, form: str | None) -> bool:
    """Whether all times are dates such as 20150601, read as counts of seconds so far."""
    return (
        form is None
        and counts.compact == counts.all
        and not any(
            store.number(
                f"SELECT count(*) FROM {table} "
                f"WHERE timestamp IS NOT NULL AND {compact_date('timestamp')} IS NULL"
            )
            for table in ("listens", "known")  # what is against an item is known, too
        )
    )


def time_column(store: Store, counts: TimeCounts, form: str | None, *, compact: bool) -> TimeColumn:
    """What the column of times holds, when its dates are seconds since 1970."""
    return TimeColumn(
        numbers=not compact and not counts.words,
        compact=compact,
        largest=store.number("SELECT coalesce(max(timestamp), 0) FROM listens"),
        form=form,
    )


def read_window(filters: Filters, column: TimeColumn) -> tuple[int | None, int | None, list[str]]:
    """The first moment of the window and the one after its last, and what they were taken for.

    Raises:
      UserError: a moment can't be read, or the window is empty.
    """
    notes = []
    ends: dict[str, int | None] = {}
    for name, moment in (("time_from", filters.time_from), ("time_until", filters.time_until)):
        ends[name] = end = None if moment is None else read_moment(name, moment, column)
        if end is not None and str(moment) != (shown := shown_moment(end)):
            notes.append(f"{name} {moment} is taken as {shown} UTC")
    first, end = ends["time_from"], ends["time_until"]
    if first is not None and end is not None and first >= end:
        raise UserError(
            f"time_until is {filters.time_until!r}, expected a moment after time_from, "
            f"{filters.time_from!r}"
        )
    return first, end, notes


def cut_window(
    store: ListenStore, filters: Filters, column: TimeColumn
) -> tuple[int, int, list[str]]:
    """Moves rows before the window to those known, and drops those after it, which are not.

    Returns:
      How many of `listens` were before and after it, and what its ends were taken for.

    Raises:
      UserError: as `read_window`.
    """
    first, end, notes = read_window(filters, column)
    before = after = 0
    if first is not None:
        store.query(f"INSERT INTO known SELECT * FROM listens WHERE timestamp < {first}")
        before = store.number(f"SELECT count(*) FROM listens WHERE timestamp < {first}")
        for table in ("listens", "against"):
            store.query(f"DELETE FROM {table} WHERE timestamp < {first}")
    if end is not None:
        after = store.number(f"SELECT count(*) FROM listens WHERE timestamp >= {end}")
        for table in TABLES:
            store.query(f"DELETE FROM {table} WHERE timestamp >= {end}")
    return before, after, notes
