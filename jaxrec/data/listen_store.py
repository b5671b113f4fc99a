"""DuckDB as the place for a history's rows: from memory alone, with room on the disk to spill.

DuckDB gets rows from memory and no access to files, except for a temporary folder in which it
keeps what memory can't hold.
"""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any, Self

import duckdb
import numpy as np
import pyarrow as pa

from jaxrec.errors import UserError

SETTINGS: dict[str, str | bool | int] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "enable_external_access": False,
}
TABLES = ("listens", "known", "against")
_ROWS = 'entry INTEGER, row BIGINT, "user" VARCHAR, item VARCHAR, plays DOUBLE, timestamp BIGINT'


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


class ListenStore:
    """The tables `listens` (what is learnt from), `known` (what else users know), `against` and
    `names`; what speaks against an item is in `known`, too.

    To be used in a `with` statement.

    Attributes:
      by_name: whether the first three have a column `title_key`, artist and title normalised.
    """

    def __init__(self, *, by_name: bool) -> None:
        """Makes empty tables.

        Raises:
          UserError: there is no room for a temporary folder.
        """
        self.by_name = by_name
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
        self.query("SET TimeZone = 'UTC'")
        self.query("SET lock_configuration = true")
        for table in TABLES:
            title_key = ", title_key VARCHAR" if by_name else ""
            self.query(f"CREATE TEMP TABLE {table} ({_ROWS}{title_key})")
        self.query(
            "CREATE TEMP TABLE names (item VARCHAR, name VARCHAR, row BIGINT, first_artist VARCHAR,"
            " last_artist VARCHAR)"
        )

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
          UserError: neither memory nor disk has room for it.
        """
        # DuckDB takes nothing more on a connection until a result has been fetched to its end.
        with _room_errors():
            return self._duckdb.execute(query, values).fetchall()

    def arrays(self, query: str, values: object = None) -> dict[str, np.ndarray]:
        """The columns of an answer; raises as `query`."""
        with _room_errors():
            return self._duckdb.execute(query, values).fetchnumpy()

    def number(self, query: str) -> int:
        """The one number of an answer; raises as `query`."""
        return int(self.query(query)[0][0])
