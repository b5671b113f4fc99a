"""The listens read so far, in DuckDB: bad rows refused, unwanted ones set apart, ids numbered.

DuckDB gets rows from memory and no access to files, except for a temporary folder in which it
keeps what memory can't hold.
"""

import contextlib
import dataclasses
import math
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any, Self

import duckdb
import numpy as np
import pyarrow as pa

from jaxrec.data.conditions import JOINED, Condition, to_sql
from jaxrec.data.interactions import IdMap, Listens
from jaxrec.data.listen_checks import check_listens, is_empty, is_known, reason
from jaxrec.data.meaning import Filters
from jaxrec.data.read_report import ReadReport
from jaxrec.data.rows import Rows
from jaxrec.data.times import (
    COMPACT_FIRST,
    COMPACT_LAST,
    TimeColumn,
    compact_date,
    read_moment,
    shown_moment,
)
from jaxrec.errors import UserError

EXAMPLES = 10
ROLES = ("user", "item", "timestamp", "plays", "ms_played", "rating", "item_name", "artist")
SETTINGS: dict[str, str | bool | int] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "enable_external_access": False,
}


@contextlib.contextmanager
def _room_errors() -> Iterator[None]:
    try:
        yield
    except (duckdb.OutOfMemoryException, duckdb.IOException, MemoryError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"the history is larger than memory and the temporary folder can hold ({reason}); "
            "expected more room where the environment variable TMPDIR points, or a shorter history"
        ) from error


class ListenTable:
    """Collects rows, then gives `Listens` whose ids are numbered over all of them.

    To be used in a `with` statement: `add_listens` and `add_names` as often as there are files,
    then `finish`, then `parts`.

    Attributes:
      report: what became of the rows so far.
    """

    def __init__(self, filters: Filters, *, by_name: bool = False):
        """Opens an empty table.

        Args:
          filters: which rows are learnt from; its conditions come with the rows.
          by_name: whether rows without an item's id are those of the same artist and title.
        """
        self.report = ReadReport(unmatched=0 if by_name else None)
        self._filters, self._by_name = filters, by_name
        self._text_ids = {"user": False, "item": False}
        self._num_rows = 0
        self._times = {"all": 0, "words": 0, "compact": 0}  # rows whose time is such
        self._exit = contextlib.ExitStack()
        try:
            folder = self._exit.enter_context(tempfile.TemporaryDirectory(prefix="jaxrec-"))
        except OSError as error:
            raise UserError(
                f"no temporary folder can be made: {error.strerror or error}; expected room where "
                "the environment variable TMPDIR points"
            ) from error
        self._duckdb = self._exit.enter_context(
            duckdb.connect(config={**SETTINGS, "temp_directory": folder})
        )
        self._query("SET TimeZone = 'UTC'")
        self._query("SET lock_configuration = true")
        song = ", song VARCHAR" if by_name else ""
        self._query(
            'CREATE TEMP TABLE listens (entry INTEGER, row BIGINT, "user" VARCHAR, item VARCHAR, '
            f"plays DOUBLE, timestamp BIGINT{song})"
        )
        self._query(
            'CREATE TEMP TABLE known (entry INTEGER, row BIGINT, "user" VARCHAR, item VARCHAR, '
            f"plays DOUBLE, timestamp BIGINT{song})"
        )
        self._query(
            "CREATE TEMP TABLE names (item VARCHAR, name VARCHAR, row BIGINT, first_artist VARCHAR,"
            " last_artist VARCHAR)"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def add_listens(
        self,
        entry: int,
        batches: Iterable[Rows],
        conditions: dict[str, list[Condition]] | None = None,
        *,
        learnt: bool = True,
    ) -> None:
        """Checks and adds the rows of one file.

        Args:
          entry: the number of the history they belong to.
          batches: rows with columns `user`, `item` and any of the others.
          conditions: by setting, of which the rows have the columns.
          learnt: whether they are learnt from, where they meet the conditions.

        Raises:
          UserError: a bad row, unless bad rows are skipped.
        """
        conditions = conditions or {}
        tests = {name: to_sql(name, conditions.get(name, [])) for name in JOINED}
        kept = f"({tests['keep']} AND NOT {tests['drop']} AND {tests['learnt_if']} AND {learnt})"
        least = self._filters.min_rating
        values = {
            "min_ms_played": self._filters.min_ms_played,
            "min_rating": -math.inf if least is None else least,
        }
        song = ", song" if self._by_name else ""
        for rows in batches:
            self._register(rows)
            checks = check_listens(
                rows.columns,
                kept=kept,
                no_item=f"({tests['no_item']} OR item IS NULL)"
                if rows.null_is_no_item and not self._by_name
                else tests["no_item"],
                defect=tests["defects"],
                form=self._filters.time_format,
                matched=self._by_name,
            )
            self._query(f"CREATE OR REPLACE TEMP TABLE checked AS {checks}", values)
            self._refuse(rows, "SELECT line, problem, found FROM checked WHERE fate = 'bad'")
            for table, fate in (("listens", "fate = 'kept'"), ("known", is_known(rows.columns))):
                self._query(
                    f'INSERT INTO {table} SELECT ?, row, "user", item, play_count, seconds{song} '
                    f"FROM checked WHERE {fate}",
                    [entry],
                )
            item = f"CASE WHEN {is_empty('item')} THEN song ELSE item END"
            self._insert_names(
                "checked WHERE fate = 'kept'", 0, item=item if self._by_name else "item"
            )
            self._count(rows, timed="timestamp" in rows.columns)

    def _count(self, rows: Rows, *, timed: bool) -> None:
        fates = dict(self._query("SELECT fate, count(*) FROM checked GROUP BY fate"))
        self.report = dataclasses.replace(
            self.report,
            rows=self.report.rows + len(rows.line) + len(rows.problems),
            **{
                name: getattr(self.report, name) + fates.get(name, 0)
                for name in (
                    "zero_plays",
                    "no_item",
                    "defects",
                    "filtered",
                    "too_short",
                    "low_rating",
                )
            },
        )
        if timed:
            ((times, words, compact),) = self._query(
                "SELECT count(seconds), count(*) FILTER (time_number IS NULL), count(*) FILTER "
                f"(seconds BETWEEN {COMPACT_FIRST} AND {COMPACT_LAST} AND strlen(time_text) = 8) "
                "FROM checked WHERE seconds IS NOT NULL"
            )
            self._times["all"] += times
            self._times["words"] += words
            self._times["compact"] += compact
        for role in self._text_ids:
            self._text_ids[role] |= role in rows.roles_in_text

    def add_names(self, batches: Iterable[Rows]) -> None:
        """Checks and adds names from a file of its own: they go before those of the listens.

        Args:
          batches: rows with columns `item` and `item_name`.

        Raises:
          UserError: a row without an id, unless bad rows are skipped.
        """
        for rows in batches:
            self._register(rows)
            no_id = is_empty("item")
            self._refuse(rows, f"SELECT line, 'item', item FROM incoming WHERE {no_id}")
            self._insert_names(f"incoming WHERE NOT {no_id}", -(2**62))

    def note(self, *notes: str) -> None:
        """Adds to the report what was found out about a file."""
        new = [note for note in notes if note and note not in self.report.notes]
        self.report = dataclasses.replace(self.report, notes=(*self.report.notes, *new))

    def _register(self, rows: Rows) -> None:
        """Makes rows known as `incoming`, numbered on from those before."""
        nothing = pa.nulls(len(rows.line), pa.string())
        columns = {role: rows.columns.get(role, nothing) for role in ROLES} | dict(rows.columns)
        columns["line"] = pa.array(rows.line)
        columns["row"] = pa.array(np.arange(self._num_rows, self._num_rows + len(rows.line)))
        self._num_rows += len(rows.line)
        self._duckdb.register("incoming", pa.table(columns))

    def _insert_names(self, source: str, offset: int, *, item: str = "item") -> None:
        name = "concat_ws(' — ', nullif(item_name, ''), nullif(artist, ''))"
        self._query(
            f"INSERT INTO names SELECT {item} AS item_id, arg_min({name}, row), min(row) + ?, "
            "min(nullif(artist, '')), max(nullif(artist, '')) "
            f"FROM {source} AND {name} <> '' GROUP BY item_id",
            [offset],
        )

    def _refuse(self, rows: Rows, query: str) -> None:
        """Counts bad rows, or raises the first: those the reader gave and the query's."""
        found = self._query(f"{query} ORDER BY line LIMIT {EXAMPLES}")
        checked = [(line, reason(role, value)) for line, role, value in found]
        examples = [
            f"{rows.place(line)}: {reason}"
            for line, reason in sorted([*rows.problems[:EXAMPLES], *checked])
        ]
        if examples and self._filters.on_bad_rows != "skip":
            raise UserError(examples[0])
        bad = len(rows.problems) + self._one_number(f"SELECT count(*) FROM ({query})")
        self.report = dataclasses.replace(
            self.report,
            skipped=self.report.skipped + bad,
            examples=(*self.report.examples, *examples)[:EXAMPLES],
        )

    def _query(self, query: str, values: object = None) -> list[tuple[Any, ...]]:
        # DuckDB takes nothing more on a connection until a result has been fetched to its end.
        with _room_errors():
            return self._duckdb.execute(query, values).fetchall()

    def _arrays(self, query: str, values: object = None) -> dict[str, np.ndarray]:
        with _room_errors():
            return self._duckdb.execute(query, values).fetchnumpy()

    def _one_number(self, query: str) -> int:
        return int(self._query(query)[0][0])

    def num_kept(self, entry: int) -> int:
        """How many listens the history `entry` has."""
        return self._one_number(f"SELECT count(*) FROM listens WHERE entry = {int(entry)}")

    def finish(self) -> None:
        """What can be done when all rows are known: songs matched, times read, the window cut.

        Raises:
          UserError: a moment can't be read, or the window is empty.
        """
        if self._by_name:
            self._match_songs()
        if self._times["all"]:
            self._read_times()
        self._cut_window()

    def _match_songs(self) -> None:
        """Gives rows without an item's id that of the same artist and title, else these as id."""
        empty = is_empty("item")
        self._query(
            "CREATE TEMP TABLE songs AS SELECT song, arg_min(item, row) AS id FROM "
            "(SELECT song, item, row FROM listens UNION ALL SELECT song, item, row FROM known) "
            f"WHERE NOT {empty} AND song <> '' GROUP BY song"
        )
        unmatched = self._one_number(
            f"SELECT count(*) FROM listens WHERE {empty} AND song NOT IN (SELECT song FROM songs)"
        )
        for table in ("listens", "known"):
            self._query(
                f"UPDATE {table} SET item = coalesce((SELECT id FROM songs WHERE songs.song = "
                f"{table}.song), {table}.song) WHERE {empty}"
            )
        self.report = dataclasses.replace(self.report, unmatched=unmatched)

    def _read_times(self) -> None:
        compact = self._filters.time_format is None and self._times["compact"] == self._times["all"]
        for table in ("listens", "known"):
            date = compact_date("timestamp")
            compact = compact and not self._one_number(
                f"SELECT count(*) FROM {table} WHERE timestamp IS NOT NULL AND {date} IS NULL"
            )
        if compact:
            for table in ("listens", "known"):
                self._query(f"UPDATE {table} SET timestamp = {compact_date('timestamp')}")
            self.note("times such as 20150601 are taken as dates, as all are some")
        largest = self._one_number("SELECT coalesce(max(timestamp), 0) FROM listens")
        self.report = dataclasses.replace(
            self.report,
            times=TimeColumn(
                numbers=not compact and not self._times["words"],
                compact=compact,
                largest=largest,
                form=self._filters.time_format,
            ),
        )

    def _cut_window(self) -> None:
        """Rows before the window are known, those after it are not."""
        column = self.report.times or TimeColumn()
        ends = {}
        for name in ("time_from", "time_until"):
            moment = getattr(self._filters, name)
            if moment is not None:
                ends[name] = read_moment(name, moment, column)
                if str(moment) != (shown := shown_moment(ends[name])):
                    self.note(f"{name} {moment} is taken as {shown} UTC")
        first, end = ends.get("time_from"), ends.get("time_until")
        if first is not None and end is not None and first >= end:
            raise UserError(
                f"time_until is {self._filters.time_until!r}, expected a moment after time_from, "
                f"{self._filters.time_from!r}"
            )
        if first is not None:
            self._query(f"INSERT INTO known SELECT * FROM listens WHERE timestamp < {first}")
        counts: dict[str, Any] = {}
        for name, outside in (("before_window", f"< {first}"), ("after_window", f">= {end}")):
            if "None" not in outside:
                counts[name] = self._one_number(
                    f"SELECT count(*) FROM listens WHERE timestamp {outside}"
                )
                self._query(f"DELETE FROM listens WHERE timestamp {outside}")
        if end is not None:
            self._query(f"DELETE FROM known WHERE timestamp >= {end}")
        self.report = dataclasses.replace(self.report, **counts)

    def parts(self, num_entries: int, *, with_times: bool, with_names: bool) -> list[Listens]:
        """The histories, their ids numbered over all of them.

        Args:
          num_entries: how many histories there are.
          with_times: whether they have timestamps.
          with_names: whether items have names.
        """
        users, items = self._number_ids("user"), self._number_ids("item")
        user_map, item_map = IdMap(users), IdMap(items, self._names() if with_names else None)
        rates = self._filters.min_rating is not None

        def history(entry: int, source: str, known: Listens | None) -> Listens:
            columns = self._arrays(
                "SELECT user_ids.index AS user_index, item_ids.index AS item_index, plays, "
                f"timestamp FROM {source} AS rows "
                'JOIN user_ids ON user_ids.id = rows."user" '
                "JOIN item_ids ON item_ids.id = rows.item WHERE entry = ? ORDER BY row",
                [entry],
            )
            return Listens(
                user=columns["user_index"],
                item=columns["item_index"],
                plays=columns["plays"],
                timestamp=columns["timestamp"] if with_times else None,
                users=user_map,
                items=item_map,
                known=known,
                adds_up=not rates,
            )

        # A pair once, from the first time that it was known.
        pairs = (
            '(SELECT entry, min(row) AS row, "user", item, 1::DOUBLE AS plays, '
            'min(timestamp) AS timestamp FROM known GROUP BY entry, "user", item)'
        )
        any_known = self._one_number("SELECT count(*) FROM known") > 0
        found = []
        for entry in range(num_entries):
            known = history(entry, pairs, None) if any_known else None
            # Whom or what nothing is learnt from has no id.
            found.append(history(entry, "listens", known if known else None))
        return found

    def _number_ids(self, role: str) -> np.ndarray:
        """Numbers the ids from 0 in sorted order, in a table `<role>_ids`: the ids."""
        self._query(
            f'CREATE TEMP TABLE distinct_{role} AS SELECT DISTINCT "{role}" AS id FROM listens'
        )
        numbers = not self._text_ids[role] and not self._one_number(
            f"SELECT count(*) FROM distinct_{role} "
            "WHERE TRY_CAST(id AS BIGINT)::VARCHAR IS DISTINCT FROM id"
        )
        key = "id::BIGINT" if numbers else "id"
        self._query(
            f"CREATE TEMP TABLE {role}_ids AS SELECT id, "
            f"(row_number() OVER (ORDER BY {key}) - 1)::INTEGER AS index FROM distinct_{role}"
        )
        query = f"SELECT {key} AS id FROM {role}_ids ORDER BY index"
        ids = self._arrays(query)
        return np.asarray(ids["id"], np.int64 if numbers else object)

    def _names(self) -> np.ndarray:
        names = self._arrays(
            "SELECT coalesce(arg_min(name, row), '') AS name, "
            "min(first_artist) IS DISTINCT FROM max(last_artist) AS several "
            "FROM item_ids LEFT JOIN names ON names.item = item_ids.id GROUP BY index "
            "ORDER BY index"
        )
        self.report = dataclasses.replace(self.report, several_artists=int(names["several"].sum()))
        return np.asarray(names["name"], object)
