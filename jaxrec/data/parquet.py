"""Parquet files to rows of text that know their row number."""

from collections.abc import Generator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as pt

from jaxrec.data.rows import Rows, find_columns
from jaxrec.errors import UserError

BATCH_ROWS = 1 << 18
IDS = ("user", "item")


def read_parquet(path: Path, wanted: Mapping[str, str]) -> Generator[Rows]:
    """Rows of a Parquet file, a batch at a time, every value as text.

    Times come as ISO 8601 text in UTC.

    Args:
      path: the file.
      wanted: column name by role.

    Raises:
      UserError: the file can't be read, or lacks a wanted column or has it in an unusable type.
    """
    row = 0
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            schema = file.schema_arrow
            find_columns(str(path), schema.names, wanted)
            in_text = frozenset(
                role for role, name in wanted.items() if _is_text(path, role, schema.field(name))
            )
            names = list(dict.fromkeys(wanted.values()))
            for batch in file.iter_batches(BATCH_ROWS, columns=names):
                yield _rows(path, batch, wanted, in_text, row)
                row += len(batch)
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        where = f"{path}: row {row + 1}: damaged from here on" if row else f"{path}: damaged"
        raise UserError(f"{where} ({reason}), expected a whole Parquet file") from error


def _is_text(path: Path, role: str, field: pa.Field) -> bool:
    """Whether a column's values are text by their type; an error if its type can't serve."""
    kind = field.type.value_type if pt.is_dictionary(field.type) else field.type
    text: bool = (
        pt.is_string(kind)
        or pt.is_large_string(kind)
        or pt.is_string_view(kind)
        or pt.is_binary(kind)
        or pt.is_large_binary(kind)
    )
    number = pt.is_floating(kind) or pt.is_decimal(kind)
    allowed = text or pt.is_null(kind) or pt.is_integer(kind) or (role not in IDS and number)
    expected = "integers or text" if role in IDS else "numbers or text"
    if role == "timestamp":
        allowed = allowed or pt.is_timestamp(kind) or pt.is_date(kind)
        expected = "a timestamp, a date, numbers or text"
    if not allowed:
        raise UserError(
            f"{path}: column {field.name!r} (wanted as {role}) holds {field.type}, "
            f"expected {expected}"
        )
    return text


def _rows(
    path: Path,
    batch: pa.RecordBatch,
    wanted: Mapping[str, str],
    in_text: frozenset[str],
    first: int,
) -> Rows:
    problems: dict[int, str] = {}
    columns = {}
    for role, name in wanted.items():
        column, broken = _as_text(batch.column(name))
        columns[role] = column
        for index in broken:
            problems.setdefault(
                index, f"broken UTF-8 in column {name!r}, expected text in UTF-8 without NUL"
            )
    line = np.arange(first + 1, first + 1 + len(batch), dtype=np.int64)
    if problems:
        keep = np.ones(len(batch), bool)
        keep[list(problems)] = False
        line = line[keep]
        columns = {role: column.filter(pa.array(keep)) for role, column in columns.items()}
    numbered = [(first + 1 + index, problems[index]) for index in sorted(problems)]
    return Rows(path, line, columns, numbered, in_text, has_lines=False)


def _as_text(column: pa.Array) -> tuple[pa.Array, list[int]]:
    """The column as text, and the rows where that fails."""
    if pt.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pt.is_timestamp(kind):
        # An instant with a time zone is stored in UTC: without the zone, it prints in UTC.
        column = column.cast(pa.timestamp(kind.unit))
    if pt.is_floating(kind) or pt.is_decimal(kind):
        return column.cast(pa.float64()).cast(pa.string()), []
    if pt.is_integer(kind) or pt.is_timestamp(kind) or pt.is_date(kind):
        return column.cast(pa.string()), []
    # Arrow's reader takes text as it finds it; a cast from bytes checks it.
    data = column.cast(pa.large_binary())
    try:
        text = data.cast(pa.string())
        if not pc.any(pc.match_substring(text, "\0")).as_py():
            return text, []
    except pa.ArrowInvalid:
        pass
    values = data.to_pylist()
    broken = [index for index, value in enumerate(values) if value and _is_broken(value)]
    for index in broken:
        values[index] = b""
    return pa.array(values, pa.large_binary()).cast(pa.string()), broken


def _is_broken(value: bytes) -> bool:
    try:
        return "\0" in value.decode()
    except UnicodeDecodeError:
        return True
