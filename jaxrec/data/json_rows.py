"""JSON to rows: an array of records, or records one after the other (JSON lines)."""

import contextlib
import itertools
import json
import re
from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from jaxrec.data import text_blocks
from jaxrec.data.inputs import InputFile
from jaxrec.data.rows import LONGEST_FIELD, TOO_LONG, Rows, missing_column, shown
from jaxrec.errors import UserError

BATCH_ROWS = 1 << 16
_BLANK = " \t\r\n"
_BLANKS = re.compile(r"[ \t\r\n]*")
_EXPECTED = "expected JSON, an array of records or a record per line"

Record = dict[str, Any]


def read_json(
    file: InputFile,
    wanted: Mapping[str, str],
    *,
    encoding: str = "utf-8",
    optional: frozenset[str] = frozenset(),
) -> Generator[Rows]:
    """Rows of JSON, a batch at a time, every value as text, unpacked if it is compressed.

    A name with dots such as `track_metadata.track_name` leads into a record within the record,
    unless the record has that very name. A record whose `item` is a list stands for a row per
    entry; its other lists must be as long, its other values are repeated. A record whose `item` is
    null stands for no item. After a broken record in JSON lines, reading goes on at the next line.

    Args:
      file: the file.
      wanted: column name by role.
      encoding: as Python calls it.
      optional: keys of `wanted` that no record of the file need have.

    Raises:
      UserError: the file can't be read, is no JSON, or no record has a wanted column.
    """
    seen: set[str] = set()
    known: dict[str, None] = {}  # the columns of the first records, for the error
    batch = _Batch(file, wanted)
    empty = True
    with contextlib.closing(text_blocks.read_blocks(file, encoding)) as blocks:
        for line, record in _records(file, blocks):
            if isinstance(record, str):
                batch.problems.append((line, record))
            else:
                empty = False
                found = {key: _value(record, name) for key, name in wanted.items()}
                seen |= {key for key, (there, _) in found.items() if there}
                if len(known) < 50:
                    known |= dict.fromkeys(_names(record))
                batch.add(line, {key: value for key, (_, value) in found.items()})
            if batch.size >= BATCH_ROWS:
                yield batch.rows()
                batch = _Batch(file, wanted)
    if not empty:
        for key, name in wanted.items():
            if key not in seen | optional:
                raise missing_column(str(file), key, name, list(known))
    yield batch.rows()


class _Batch:
    """Rows on their way to Arrow."""

    def __init__(self, file: InputFile, wanted: Mapping[str, str]) -> None:
        self.file, self.wanted = file, wanted
        self.lines: list[int] = []
        self.columns: dict[str, list[str | None]] = {key: [] for key in wanted}
        self.in_text: set[str] = set()
        self.problems: list[tuple[int, str]] = []

    @property
    def size(self) -> int:
        return len(self.lines) + len(self.problems)

    def add(self, line: int, values: Mapping[str, Any]) -> None:
        """Adds the row or rows of a record, or what is wrong with it."""
        items = values.get("item")
        count = len(items) if isinstance(items, list) else 1
        columns: dict[str, list[str | None]] = {}
        in_text = set()
        for key, value in values.items():
            entries = value if isinstance(value, list) and isinstance(items, list) else [value]
            if len(entries) != count:
                if isinstance(value, list):
                    self._refuse(line, key, f"a list of {len(entries)}, and item one of {count}")
                    return
                entries = entries * count
            if any(isinstance(entry, list | dict) for entry in entries):
                what = "a list" if any(isinstance(entry, list) for entry in entries) else "a record"
                self._refuse(line, key, what)
                return
            if any(isinstance(entry, str) and not isinstance(entry, _Number) for entry in entries):
                in_text.add(key)
            columns[key] = [_as_text(entry) for entry in entries]
            for text in columns[key]:
                if text is not None and (len(text) > LONGEST_FIELD or _is_unclean(text)):
                    long = len(text) > LONGEST_FIELD
                    broken = "broken UTF-8 or a NUL character, expected text"
                    name = shown(self.wanted[key])
                    self.problems.append((line, f"in {name} {TOO_LONG if long else broken}"))
                    return
        self.in_text |= in_text
        self.lines += [line] * count
        for key, texts in columns.items():
            self.columns[key] += texts

    def _refuse(self, line: int, key: str, what: str) -> None:
        role = key.partition(":")[0]
        self.problems.append(
            (line, f"{shown(self.wanted[key])} (wanted as {role}) is {what}, expected one value")
        )

    def rows(self) -> Rows:
        """What has been added."""
        return Rows(
            self.file,
            np.array(self.lines, np.int64),
            {key: pa.array(values, pa.string()) for key, values in self.columns.items()},
            self.problems,
            frozenset(self.in_text),
            null_is_no_item=True,
        )


def _value(record: Record, name: str) -> tuple[bool, Any]:
    """Whether a record has a column, and its value (None where it hasn't)."""
    if name in record:
        return True, record[name]
    head, dot, rest = name.partition(".")
    while dot:
        if head in record and isinstance(record[head], dict):
            there, value = _value(record[head], rest)
            if there:
                return True, value
        more, dot, rest = rest.partition(".")
        head = f"{head}.{more}"
    return False, None


def _names(record: Record) -> Iterator[str]:
    """The names of a record's columns, those of records in it with dots."""
    for name, value in record.items():
        if isinstance(value, dict) and value:
            yield from (f"{name}.{inner}" for inner in _names(value))
        else:
            yield name


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return "true" if value else "false"


def _is_unclean(text: str) -> bool:
    """Whether text can't be written in UTF-8 (half of a pair, as \\ud800 in JSON) or has a NUL."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return "\0" in text


class _Number(str):
    """A number as it is written, so that none is rounded and an id keeps its digits."""


# NaN is no JSON, but what pandas writes for nothing.
_DECODER = json.JSONDecoder(
    parse_int=_Number, parse_float=_Number, parse_constant=lambda name: None
)
_BROKEN = (ValueError, RecursionError)


def _records(
    file: InputFile, blocks: Iterator[text_blocks.Lines]
) -> Iterator[tuple[int, Record | str]]:
    """Each record, or what is wrong with it, and the line on which it begins."""
    for lines in blocks:
        texts = lines.text.to_pylist()
        begin = next((text.strip(_BLANK) for text in texts if text.strip(_BLANK)), "")
        if begin:
            stream = itertools.chain([lines], blocks)
            if begin.startswith("{") and begin.endswith("}"):
                return _records_of_lines(stream)
            return _records_of_stream(file, stream, array=begin.startswith("["))
    raise UserError(f"{file}: the file is empty, {_EXPECTED}")


def _records_of_lines(blocks: Iterable[text_blocks.Lines]) -> Iterator[tuple[int, Record | str]]:
    for lines in blocks:
        for index, text in enumerate(lines.text.to_pylist()):
            line = lines.first + index
            if index in lines.broken:
                yield line, lines.broken[index]
            elif text := text.strip(_BLANK):
                try:
                    yield line, _record(_DECODER.decode(text))
                except _BROKEN:
                    yield line, f"broken JSON, {_EXPECTED}"


def _records_of_stream(
    file: InputFile, blocks: Iterator[text_blocks.Lines], *, array: bool
) -> Iterator[tuple[int, Record | str]]:
    """Records over several lines, in an array or one after the other."""
    buffer, at, line = "", 0, 0
    opened = closed = False
    while True:
        blank = _BLANKS.match(buffer, at)
        assert blank is not None
        line += buffer.count("\n", at, blank.end())
        at = blank.end()
        if at < len(buffer) and (closed or (array and buffer[at] in ("]" if opened else "["))):
            if closed:
                raise UserError(f"{file}:{line}: text after the array, {_EXPECTED}")
            opened, closed, at = True, opened, at + 1
            continue
        if array and opened and buffer[at : at + 1] == ",":
            at += 1
            continue
        try:
            if at == len(buffer):
                raise ValueError
            value, end = _DECODER.raw_decode(buffer, at)
        except _BROKEN as error:
            lines = next(blocks, None)
            if lines is not None and len(buffer) - at <= text_blocks.LONGEST_RECORD_BYTES:
                for index in sorted(lines.broken):
                    raise UserError(f"{lines.place(index)}: {lines.broken[index]}") from error
                line = line or lines.first
                buffer, at = buffer[at:] + "".join(lines.text.to_pylist()), 0
                continue
            if at == len(buffer) and (closed or not array):
                return
            raise UserError(f"{file}:{line}: broken or cut off JSON, {_EXPECTED}") from error
        yield line, _record(value)
        line += buffer.count("\n", at, end)
        at = end


def _record(value: object) -> Record | str:
    if isinstance(value, dict):
        return value
    return f"{'a list' if isinstance(value, list) else 'a value'}, expected a record"
