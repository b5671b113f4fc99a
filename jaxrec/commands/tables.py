"""Small tables that a person hands to a command: ids, and pairs of them."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pyarrow.types as pt

from jaxrec.errors import UserError


def read_ids(path: Path, flag: str) -> list[str]:
    """Ids, one per line of a text file.

    Raises:
      UserError: it can't be read or is empty.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # other ends may be part of an id
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--{flag}={path}: {error}; expected a text file of ids") from error
    found = [line.removesuffix("\r") for line in lines if line.strip()]
    if not found:
        raise UserError(f"--{flag}={path}: empty; expected one id per line")
    return found


def read_pairs(path: Path, flag: str) -> tuple[list[str], list[str]]:
    """The columns `user` and `item` of a .csv or .parquet file, as text.

    Raises:
      UserError: it can't be read, or has no such columns of integers or text.
    """
    table = _read_table(path, flag)
    users, items = (_column(table, name, path, flag) for name in ("user", "item"))
    return users, items


def is_table(path: Path) -> bool:
    """Whether a file is a table by its name, rather than a text of ids."""
    return path.suffix in (".csv", ".parquet")


def _read_table(path: Path, flag: str) -> pa.Table:
    if not is_table(path):
        raise UserError(
            f"--{flag}={path}: expected a .csv or .parquet file with the columns user and item"
        )
    try:
        if path.suffix == ".parquet":
            return pq.read_table(path)
        # As text, so that an id such as 007 stays what it is.
        texts = {name: pa.string() for name in ("user", "item")}
        return pa.csv.read_csv(path, convert_options=pa.csv.ConvertOptions(column_types=texts))
    except (OSError, pa.ArrowInvalid) as error:
        what = " ".join(str(error).split())
        raise UserError(f"--{flag}={path}: {what}; expected a table of user and item") from error


def _column(table: pa.Table, name: str, path: Path, flag: str) -> list[str]:
    if table.column_names.count(name) != 1:
        raise UserError(
            f"--{flag}={path}: no column {name!r} among {_listed(table.column_names)}; expected "
            "the columns user and item"
        )
    column = table[name]
    if column.null_count:
        raise UserError(
            f"--{flag}={path}: {column.null_count:,} rows without a value in {name!r}; expected "
            "an id in each"
        )
    if not (_holds_ids(column.type) or pt.is_null(column.type)):
        raise UserError(
            f"--{flag}={path}: column {name!r} holds {column.type}; expected integers or text, "
            "as ids are"
        )
    return [str(each) for each in column.to_pylist()]


def _holds_ids(kind: pa.DataType) -> bool:
    kind = kind.value_type if pt.is_dictionary(kind) else kind
    text = pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind)
    return bool(text or pt.is_integer(kind))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names)) or "none"
