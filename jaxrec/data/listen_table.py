"""The listens read so far, in DuckDB: bad rows refused, unwanted ones dropped, ids numbered.

DuckDB gets rows from memory and no access to files, except for a temporary folder in which it
keeps what memory can't hold.
"""

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any, Self

import duckdb
import numpy as np
import pyarrow as pa

from jaxrec.data.interactions import IdMap, Listens
from jaxrec.data.listen_checks import EXPECTED, check_listens, is_empty, reason, seconds
from jaxrec.data.rows import Rows
from jaxrec.errors import UserError

EXAMPLES = 10
ROLES = ("user", "item", "timestamp", "plays", "ms_played", "item_name", "artist")
SETTINGS: dict[str, str | bool | int] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "enable_external_access": False,
}


@dataclasses.dataclass(frozen=True)
class ReadReport:
    """What became of the rows.

    Attributes:
      rows: rows read, the skipped ones included; in an edge list one per edge.
      skipped: bad rows left out, those of the names file included.
      examples: what is wrong with the first ten of them, `file:line: reason, expected ...`.
      zero_plays: rows dropped because they say that nothing was played.
      too_short: rows dropped because of `min_ms_played`.
      outside_window: rows dropped because of `time_from` and `time_until`.
    """

    rows: int = 0
    skipped: int = 0
    examples: tuple[str, ...] = ()
    zero_plays: int = 0
    too_short: int = 0
    outside_window: int = 0

    def __str__(self) -> str:
        return (
            f"{self.rows} rows: {self.skipped} bad and skipped, {self.zero_plays} with 0 plays, "
            f"{self.too_short} too short, {self.outside_window} outside the time window"
        )


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

    To be used in a `with` statement.

    Attributes:
      report: what became of the rows so far.
    """

    def __init__(
        self,
        *,
        skip_bad_rows: bool = False,
        time_from: int | str | None = None,
        time_until: int | str | None = None,
        min_ms_played: int = 0,
    ):
        """Opens an empty table.

        Args:
          skip_bad_rows: whether bad rows are counted, not errors.
          time_from: the first moment to keep, seconds since 1970 or as a timestamp of text.
          time_until: the moment after the last to keep.
          min_ms_played: listens shorter than this are dropped, milliseconds.

        Raises:
          UserError: a moment can't be read, or the window is empty.
        """
        self.report = ReadReport()
        self._skip = skip_bad_rows
        self._text_ids = {"user": False, "item": False}
        self._num_rows = 0
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
        self._query(
            'CREATE TEMP TABLE listens (entry INTEGER, row BIGINT, "user" VARCHAR, item VARCHAR, '
            "plays DOUBLE, timestamp BIGINT)"
        )
        self._query("CREATE TEMP TABLE names (item VARCHAR, name VARCHAR, row BIGINT)")
        try:
            first = self._moment("time_from", time_from)
            end = self._moment("time_until", time_until)
            if first is not None and end is not None and first >= end:
                raise UserError(
                    f"time_until is {time_until!r}, expected a moment after time_from, "
                    f"{time_from!r}"
                )
        except UserError:
            self._exit.close()
            raise
        self._keep = {"time_from": first, "time_until": end, "min_ms_played": min_ms_played}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def _moment(self, name: str, moment: int | str | None) -> int | None:
        if moment is None:
            return None
        query = f"SELECT {seconds('moment')} FROM (SELECT ?::VARCHAR AS moment)"
        found = self._query(query, [str(moment)])[0][0]
        if found is None:
            raise UserError(f"{name} is {moment!r}, expected {EXPECTED['timestamp']}")
        return int(found)

    def add_listens(self, entry: int, batches: Iterable[Rows]) -> None:
        """Checks and adds the rows of one file.

        Args:
          entry: the number of the history they belong to.
          batches: rows with columns `user`, `item` and any of the others.

        Raises:
          UserError: a bad row, unless bad rows are skipped.
        """
        for rows in batches:
            self._register(rows)
            self._query(
                f"CREATE OR REPLACE TEMP TABLE checked AS {check_listens(rows.columns)}", self._keep
            )
            self._refuse(rows, "SELECT line, problem, found FROM checked WHERE fate = 'bad'")
            self._query(
                'INSERT INTO listens SELECT ?, row, "user", item, play_count, seconds '
                "FROM checked WHERE fate = 'kept'",
                [entry],
            )
            self._insert_names("checked WHERE fate = 'kept'", 0)
            fates = dict(self._query("SELECT fate, count(*) FROM checked GROUP BY fate"))
            self.report = dataclasses.replace(
                self.report,
                rows=self.report.rows + len(rows.line) + len(rows.problems),
                zero_plays=self.report.zero_plays + fates.get("zero_plays", 0),
                too_short=self.report.too_short + fates.get("too_short", 0),
                outside_window=self.report.outside_window + fates.get("outside_window", 0),
            )
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

    def _register(self, rows: Rows) -> None:
        """Makes rows known as `incoming`, numbered on from those before."""
        nothing = pa.nulls(len(rows.line), pa.string())
        columns = {role: rows.columns.get(role, nothing) for role in ROLES}
        columns["line"] = pa.array(rows.line)
        columns["row"] = pa.array(np.arange(self._num_rows, self._num_rows + len(rows.line)))
        self._num_rows += len(rows.line)
        self._duckdb.register("incoming", pa.table(columns))

    def _insert_names(self, source: str, offset: int) -> None:
        name = "concat_ws(' — ', nullif(item_name, ''), nullif(artist, ''))"
        self._query(
            f"INSERT INTO names SELECT item, arg_min({name}, row), min(row) + ? "
            f"FROM {source} AND {name} <> '' GROUP BY item",
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
        if examples and not self._skip:
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

    def parts(self, num_entries: int, *, with_times: bool, with_names: bool) -> list[Listens]:
        """The histories, their ids numbered over all of them.

        Args:
          num_entries: how many histories there are.
          with_times: whether they have timestamps.
          with_names: whether items have names.
        """
        users, items = self._number_ids("user"), self._number_ids("item")
        user_map, item_map = IdMap(users), IdMap(items, self._names() if with_names else None)
        parts = []
        for entry in range(num_entries):
            columns = self._arrays(
                "SELECT user_ids.index AS user_index, item_ids.index AS item_index, plays, "
                "timestamp FROM listens "
                'JOIN user_ids ON user_ids.id = "user" JOIN item_ids ON item_ids.id = item '
                "WHERE entry = ? ORDER BY row",
                [entry],
            )
            parts.append(
                Listens(
                    user=columns["user_index"],
                    item=columns["item_index"],
                    plays=columns["plays"],
                    timestamp=columns["timestamp"] if with_times else None,
                    users=user_map,
                    items=item_map,
                )
            )
        return parts

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
            "SELECT coalesce(arg_min(name, row), '') AS name FROM item_ids "
            "LEFT JOIN names ON names.item = item_ids.id GROUP BY index ORDER BY index"
        )
        return np.asarray(names["name"], object)
