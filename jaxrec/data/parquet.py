"""Parquet files to rows of text that know their row number."""

import dataclasses
from collections.abc import Generator, Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as pt

from jaxrec.data.conditions import JOINED
from jaxrec.data.inputs import InputFile
from jaxrec.data.rows import LONGEST_FIELD, TOO_LONG, Rows, find_columns
from jaxrec.errors import UserError

BATCH_ROWS = 1 << 18
LIST_BATCH_ROWS = 1 << 10  # where a row holds lists
BATCH_TEXT_BYTES = 1 << 26
IDS = ("user", "item")


def read_parquet(path: InputFile, wanted: Mapping[str, str]) -> Generator[Rows]:
    """Rows of a Parquet file, a batch at a time, every value as text.

    Times come as ISO 8601 text in UTC. Repeated text stays packed until a piece of a batch is small
    enough to unpack: a file of some kilobytes may hold gigabytes. Where the items are lists, a row
    stands for one per entry: its other lists must be as long, its other values are repeated.

    Args:
      path: the file.
      wanted: column name by role.

    Raises:
      UserError: the file can't be read, or lacks a wanted column or has it in an unusable type.
    """
    row = 0
    try:
        with path.open() as stream:
            source = path.path if path.member is None else stream  # Arrow opens its own faster
            with pq.ParquetFile(source) as file:
                schema, metadata = file.schema_arrow, file.metadata
            find_columns(str(path), schema.names, wanted)
            fields = {key: schema.field(name) for key, name in wanted.items()}
            in_lists = "item" in fields and _is_list(fields["item"].type)
            if in_lists:
                fields = {key: _entry(field) for key, field in fields.items()}
            in_text = frozenset(key for key, field in fields.items() if _is_text(path, key, field))
            with pq.ParquetFile(
                source,
                metadata=metadata,
                page_checksum_verification=True,
                read_dictionary=[] if in_lists else sorted({wanted[key] for key in in_text}),
            ) as file:
                size = LIST_BATCH_ROWS if in_lists else BATCH_ROWS
                for batch in file.iter_batches(size, columns=sorted({*wanted.values()})):
                    for piece in [batch] if in_lists else _pieces(batch):
                        yield (_unnested if in_lists else _rows)(path, piece, wanted, in_text, row)
                        row += len(piece)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        # Arrow quotes bytes of the file, which may be anything.
        reason = " ".join("".join(c if c.isprintable() else " " for c in str(error)).split())
        where = f"{path}: row {row + 1}: damaged from here on" if row else f"{path}: damaged"
        raise UserError(f"{where} ({reason}), expected a whole Parquet file") from error


def _is_text(path: InputFile, key: str, field: pa.Field) -> bool:
    """Whether a column's values are text by their type; an error if its type can't serve."""
    role, kind = key.partition(":")[0], field.type
    kind = kind.value_type if pt.is_dictionary(kind) else kind
    text = _holds_text(kind)
    number = pt.is_floating(kind) or pt.is_decimal(kind)
    allowed = text or pt.is_null(kind) or pt.is_integer(kind) or (role not in IDS and number)
    expected = "integers or text" if role in IDS else "numbers or text"
    if role == "timestamp":
        allowed = allowed or pt.is_timestamp(kind) or pt.is_date(kind)
        expected = "a timestamp, a date, numbers or text"
    elif role in JOINED:
        allowed = allowed or pt.is_boolean(kind) or pt.is_timestamp(kind) or pt.is_date(kind)
    if not allowed:
        raise UserError(
            f"{path}: column {field.name!r} (wanted as {role}) holds {field.type}, "
            f"expected {expected}"
        )
    return text


def _holds_text(kind: pa.DataType) -> bool:
    return bool(
        pt.is_string(kind)
        or pt.is_large_string(kind)
        or pt.is_string_view(kind)
        or pt.is_binary(kind)
        or pt.is_large_binary(kind)
    )


def _is_packed_text(kind: pa.DataType) -> bool:
    return bool(pt.is_dictionary(kind)) and _holds_text(kind.value_type)


def _pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch in pieces of a bounded length as text; too long values stay packed in `_rows`."""
    size = np.zeros(len(batch), np.int64)
    for column in batch.columns:
        if _is_packed_text(column.type):
            length = np.minimum(_lengths(column.dictionary), 4 * LONGEST_FIELD)
            size += np.append(length, 0)[_indices(column)]
    start = 0
    for end in [*(np.flatnonzero(np.diff(np.cumsum(size) // BATCH_TEXT_BYTES)) + 1), len(batch)]:
        yield batch.slice(start, end - start)
        start = end


def _lengths(text: pa.Array) -> np.ndarray:
    """Bytes of each value, 0 for null: [n] int64."""
    return pc.fill_null(pc.binary_length(text), 0).to_numpy(zero_copy_only=False).astype(np.int64)


def _indices(column: pa.DictionaryArray) -> np.ndarray:
    """Place of each value in the dictionary, -1 for null: [n] int64."""
    return pc.fill_null(column.indices.cast(pa.int64()), -1).to_numpy(zero_copy_only=False)


def _is_list(kind: pa.DataType) -> bool:
    return bool(pt.is_list(kind) or pt.is_large_list(kind))


def _entry(field: pa.Field) -> pa.Field:
    """The field of a list's entries; the field itself if it holds none."""
    return pa.field(field.name, field.type.value_type) if _is_list(field.type) else field


def _unnested(
    path: InputFile,
    batch: pa.RecordBatch,
    wanted: Mapping[str, str],
    in_text: frozenset[str],
    first: int,
) -> Rows:
    """The rows that a batch of lists stands for; lists of different lengths are problems."""
    items = batch.column(wanted["item"])
    count = pc.fill_null(pc.list_value_length(items), 0)
    problems: dict[int, str] = {}
    lists = {name for name in wanted.values() if _is_list(batch.schema.field(name).type)}
    for name in sorted(lists):
        length = pc.fill_null(pc.list_value_length(batch.column(name)), 0)
        for index in np.flatnonzero(pc.not_equal(length, count).to_numpy(zero_copy_only=False)):
            problems.setdefault(
                int(index),
                f"column {name!r} has a list of {length[int(index)]}, expected "
                f"{count[int(index)]} entries as in {wanted['item']!r}",
            )
    keep = np.ones(len(batch), bool)
    keep[list(problems)] = False
    kept = batch.filter(pa.array(keep))
    parents = np.repeat(np.flatnonzero(keep), count.to_numpy(zero_copy_only=False)[keep])
    flat = {}
    for name in sorted({*wanted.values()}):
        column = kept.column(name)
        if name in lists:
            flat[name] = pc.list_flatten(column)
        else:
            flat[name] = batch.column(name).take(pa.array(parents))
    rows = _rows(path, pa.RecordBatch.from_pydict(flat), wanted, in_text, 0)
    line = first + 1 + parents[rows.line - 1]
    within = {first + 1 + int(parents[place - 1]): reason for place, reason in rows.problems}
    own = {first + 1 + index: reason for index, reason in problems.items()}
    return dataclasses.replace(rows, line=line, problems=sorted((within | own).items()))


def _rows(
    path: InputFile,
    batch: pa.RecordBatch,
    wanted: Mapping[str, str],
    in_text: frozenset[str],
    first: int,
) -> Rows:
    problems: dict[int, str] = {}
    columns = {}
    for role, name in wanted.items():
        column, long = _without_long(batch.column(name))
        columns[role], broken = _as_text(column)
        for index in long:
            problems.setdefault(index, f"in column {name!r} {TOO_LONG}")
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


def _without_long(column: pa.Array) -> tuple[pa.Array, list[int]]:
    """The column with null for text that is too long, and the rows of that."""
    if not _is_packed_text(column.type):
        return column, []
    # By bytes, not characters: the bytes need not be text.
    long = np.append(_lengths(column.dictionary) > 4 * LONGEST_FIELD, False)[_indices(column)]
    if not long.any():
        return column, []
    indices = pa.array(_indices(column), mask=long | (_indices(column) < 0))
    return pa.DictionaryArray.from_arrays(indices, column.dictionary), np.flatnonzero(long).tolist()


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
    if (
        pt.is_integer(kind)
        or pt.is_timestamp(kind)
        or pt.is_date(kind)
        or pt.is_boolean(kind)
        or pt.is_null(kind)
    ):
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
