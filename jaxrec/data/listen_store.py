"""DuckDB as the place for a history's rows, with room on the disk to spill.

DuckDB gets rows from memory and no access to files, except for a temporary folder in which it
keeps what memory can't hold, and those folders of our own that it is told to read.
"""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import duckdb
import numpy as np
import pyarrow as pa

from jaxrec.errors import UserError

SETTINGS: dict[str, str | bool | int] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}
TABLES = ("listens", "known", "against")
_ROWS = 'entry INTEGER, row BIGINT, "user" VARCHAR, item VARCHAR, plays DOUBLE, timestamp BIGINT'
_BATCH_ROWS = 1 << 20
SPILLED = "jaxrec-"  # how the name of a folder begins that holds what memory couldn't


class NoRoomError(UserError):
    """Neither memory nor the disk has room for a history."""


class Store:
    """A database of its own. To be used in a `with` statement."""

    def __init__(
        self,
        *,
        spill_to: Path | None = None,
        may_read: Path | None = None,
        memory_mb: int | None = None,
    ) -> None:
        """Opens an empty one.

        Args:
          spill_to: an existing folder for what memory can't hold; None for the system's own.
          may_read: the one folder whose files may be queried.
          memory_mb: MiB that it may hold in memory; None for DuckDB's usual share.

        Raises:
          NoRoomError: there is no room for a temporary folder.
        """
        self._exit = contextlib.ExitStack()
        try:
            folder = self._exit.enter_context(
                tempfile.TemporaryDirectory(prefix=SPILLED, dir=spill_to)
            )
        except OSError as error:
            where = "the environment variable TMPDIR points" if spill_to is None else str(spill_to)
            raise NoRoomError(
                f"no temporary folder can be made: {error.strerror or error}; expected room where "
                f"{where}"
            ) from error
        self._where = "where the environment variable TMPDIR points"
        if spill_to is not None:
            self._where = f"in {spill_to}"
        limit = {} if memory_mb is None else {"memory_limit": f"{memory_mb}MiB"}
        self._duckdb = self._exit.enter_context(
            duckdb.connect(config={**SETTINGS, **limit, "temp_directory": folder})
        )
        if may_read is not None:
            self.query("SET allowed_directories = ?", [[str(may_read)]])
        self.query("SET enable_external_access = false")
        self.query("SET TimeZone = 'UTC'")
        self.query("SET lock_configuration = true")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def register(self, name: str, columns: Mapping[str, pa.Array]) -> None:
        """Makes columns in memory known as a table."""
        self._duckdb.register(name, pa.table(dict(columns)))

    def query(self, query: str, values: object = None) -> list[tuple[Any, ...]]:
        """The rows of an answer.

        Raises:
          NoRoomError: neither memory nor disk has room for it.
        """
        # DuckDB takes nothing more on a connection until a result has been fetched to its end.
        with self._room_errors():
            return self._duckdb.execute(query, values).fetchall()

    def arrays(self, query: str, values: object = None) -> dict[str, np.ndarray]:
        """The columns of an answer; raises as `query`."""
        with self._room_errors():
            return self._duckdb.execute(query, values).fetchnumpy()

    def batches(self, query: str) -> Iterator[pa.RecordBatch]:
        """The rows of an answer, some at a time; raises as `query`."""
        with self._room_errors():
            reader: pa.RecordBatchReader = self._duckdb.sql(query).to_arrow_reader(_BATCH_ROWS)
            yield from reader

    def number(self, query: str) -> int:
        """The one number of an answer; raises as `query`."""
        return int(self.query(query)[0][0])

    @contextlib.contextmanager
    def _room_errors(self) -> Iterator[None]:
        try:
            yield
        except (duckdb.OutOfMemoryException, duckdb.IOException, MemoryError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise NoRoomError(
                f"the history is larger than memory and the temporary folder can hold ({reason}); "
                f"expected more room {self._where}, or a shorter history"
            ) from error


class ListenStore(Store):
    """The tables `listens` (what is learnt from), `known` (what else users know), `against` and
    `names`; what speaks against an item is in `known`, too.

    Attributes:
      by_name: whether the first three have a column `title_key`, artist and title normalised.
    """

    def __init__(
        self, *, by_name: bool, spill_to: Path | None = None, memory_mb: int | None = None
    ) -> None:
        """Makes empty tables, with room as of `Store`.

        Raises:
          NoRoomError: there is no room for a temporary folder.
        """
        super().__init__(spill_to=spill_to, memory_mb=memory_mb)
        self.by_name = by_name
        for table in TABLES:
            title_key = ", title_key VARCHAR" if by_name else ""
            self.query(f"CREATE TEMP TABLE {table} ({_ROWS}{title_key})")
        self.query(
            "CREATE TEMP TABLE names (item VARCHAR, name VARCHAR, row BIGINT, first_artist VARCHAR,"
            " last_artist VARCHAR)"
        )
