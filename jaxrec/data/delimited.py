"""Delimited text (CSV, TSV, edge lists) to rows that know their line in the file.

Records are cut here and not by DuckDB's CSV reader: that one counts records instead of lines,
so a quoted line break or a blank line puts its messages on the wrong line, and it passes NUL
bytes. Lines without a quote, nearly all of them, are split by Arrow a block at a time; only
lines with one go through Python's `csv`.
"""

import csv
import dataclasses
from collections.abc import Callable, Generator, Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jaxrec.data.inputs import InputFile
from jaxrec.data.rows import LONGEST_FIELD, TOO_LONG, Rows, find_columns
from jaxrec.data.text_blocks import BYTE_ORDER_MARK, Lines, Problems, read_blocks
from jaxrec.errors import UserError

MARK = BYTE_ORDER_MARK.decode()
MOST_COLUMNS = 10_000
HEADER_AGAIN = "the header once more, expected a row"
IN_QUOTES = " (config.data.quoted=True reads what is in double quotes as one field)"
TEXT_AFTER_QUOTE = (
    'text after a closing quote, expected the delimiter (and a quote inside as ""; or '
    "config.data.escape names the character before it, such as a backslash, or "
    "config.data.quoted=False takes quotes as they stand)"
)
STRAY_RETURN = "a carriage return inside the line, expected lines to end in LF or CRLF"


@dataclasses.dataclass(frozen=True)
class Dialect:
    """How text is fields.

    Attributes:
      delimiter: what separates two fields, one character or more.
      quoted: whether a field may be in double quotes; else a quote is a character like any other.
      escape: the character before a quote inside quotes, None where it is doubled.
      header: whether the first line holds the column names.
      encoding: as Python calls it.
    """

    delimiter: str
    quoted: bool
    escape: str | None = None
    header: bool = True
    encoding: str = "utf-8"

    def in_quotes(self, text: str) -> bool:
        """Whether a line may hold quoted fields."""
        return self.quoted and ('"' in text or (self.escape is not None and self.escape in text))


def read_delimited(path: InputFile, wanted: Mapping[str, str], dialect: Dialect) -> Generator[Rows]:
    """Rows of a CSV or TSV file, a block at a time, unpacked if it is compressed.

    Blank lines are passed over; a line that repeats the header, as where files were joined, is a
    problem. A quoted field may hold delimiters, line breaks and doubled
    quotes (RFC 4180). After a record with broken quoting, reading goes on at its second line.

    Args:
      path: the file.
      wanted: column name by role; without a header its position as text, from "0".
      dialect: how its text is fields.

    Raises:
      UserError: the file can't be read, is empty, lacks a wanted column, has a doubled one or
        too many.
    """
    positions: dict[str, int] | None = None
    names: list[str] = []
    for lines in read_blocks(path, dialect.encoding):
        if positions is None:
            first, names, after = _first_record(lines, dialect)
            if first < 0:
                continue
            if after > lines.end:
                lines.end = first
                continue
            if not dialect.header:
                names, after = [str(position) for position in range(len(names))], first
            positions = find_columns(lines.place(first), names, wanted)
            lines.begin = after
        yield _split(lines, positions, names, dialect)
    if positions is None:
        what = "a header and rows" if dialect.header else "rows"
        raise UserError(f"{path}: the file is empty, expected {what}")


def read_edges(path: InputFile) -> Generator[Rows]:
    """Rows of an edge list, `user item item ...` per line with white space between.

    A line with a user alone has no rows.

    Raises:
      UserError: the file can't be read or is empty.
    """
    empty = True
    for lines in read_blocks(path, "utf-8"):
        text = pc.ascii_trim_whitespace(lines.text)
        keep = pc.not_equal(text, "").to_numpy(zero_copy_only=False)
        empty = empty and not keep.any()
        problems = dict(lines.broken)
        for long in np.flatnonzero(pc.utf8_length(text).to_numpy() > LONGEST_FIELD).tolist():
            if max(map(len, text[long].as_py().split())) > LONGEST_FIELD:
                problems.setdefault(long, TOO_LONG)
        keep[list(problems)] = False
        index = np.flatnonzero(keep)
        split = pc.ascii_split_whitespace(text.take(index))
        offsets = split.offsets.to_numpy()
        is_item = np.ones(len(split.values), bool)
        is_item[offsets[:-1]] = False
        items_of_line = np.diff(offsets) - 1
        columns = {
            "user": split.values.take(np.repeat(offsets[:-1], items_of_line)),
            "item": split.values.filter(pa.array(is_item)),
        }
        line = lines.number(np.repeat(index, items_of_line))
        yield Rows(path, line, columns, lines.numbered(problems))
    if empty:
        raise UserError(f"{path}: the file is empty, expected lines of a user and its items")


def _first_record(lines: Lines, dialect: Dialect) -> tuple[int, list[str], int]:
    """Index, fields and end of the first record.

    The index is -1 where all lines are blank; the end is beyond the lines' where the record is
    not complete without the next block.
    """
    filled = pc.not_equal(pc.utf8_rtrim(lines.text, characters="\r\n"), "")
    index = pc.index(filled, True).as_py()
    if index < 0:
        return -1, [], lines.end
    text = lines.text[index].as_py()
    if not dialect.in_quotes(text):
        end, text = index + 1, text.rstrip("\r\n")
        if "\r" in text:
            raise UserError(f"{lines.place(index)}: {STRAY_RETURN}")
        fields = text.split(dialect.delimiter, MOST_COLUMNS)
    else:
        records = _QuotedRecords(lambda at: lines.text[at].as_py(), lines.end, dialect)
        found = records.read(index)
        end = records.position
        if records.unfinished and not lines.final:
            return index, [], lines.end + 1
        if isinstance(found, str):
            raise UserError(f"{lines.place(index)}: {found}")
        fields = found
    for bad in sorted(lines.broken):
        if bad < end:
            raise UserError(f"{lines.place(bad)}: {lines.broken[bad]}")
    if len(fields) > MOST_COLUMNS:
        raise UserError(f"{lines.place(index)}: over {MOST_COLUMNS:,} columns, expected fewer")
    return index, fields, end


def _split(
    lines: Lines,
    positions: Mapping[str, int],
    names: list[str],
    dialect: Dialect,
) -> Rows:
    fields, delimiter, header = len(names), dialect.delimiter, dialect.header
    expected = f"expected {fields} as in the {'header' if header else 'first line'}"
    text = pc.utf8_rtrim(lines.text, characters="\r\n")
    todo = pc.not_equal(text, "").to_numpy(zero_copy_only=False)
    todo[: lines.begin] = False
    problems: Problems = {}
    starts: list[int] = []
    records: list[list[str]] = []
    if dialect.quoted:
        has_quote = pc.match_substring(text, '"').to_numpy(zero_copy_only=False) & todo
        if dialect.escape is not None:
            escaped = pc.match_substring(text, dialect.escape).to_numpy(zero_copy_only=False)
            has_quote |= escaped & todo
        if has_quote.any():
            starts, records = _quoted(lines, has_quote, todo, problems, dialect)
            for start, record in zip(starts, records, strict=True):
                if len(record) != fields:
                    problems[start] = _miscounted(len(record), expected)
                elif header and _is_header(record, names):
                    problems[start] = HEADER_AGAIN
            records = [
                record
                for start, record in zip(starts, records, strict=True)
                if start not in problems
            ]
            starts = [start for start in starts if start not in problems]
    todo[lines.end :] = False
    for index, reason in lines.broken.items():
        if todo[index]:
            problems[index] = reason
            todo[index] = False

    plain_lines = np.flatnonzero(todo)
    plain = text.take(plain_lines)
    split = pc.split_pattern(plain, pattern=delimiter)
    count = pc.list_value_length(split).to_numpy()
    stray = pc.match_substring(plain, "\r").to_numpy(zero_copy_only=False)
    good = (count == fields) & ~stray
    reasons: Problems = {
        wrong: STRAY_RETURN
        if stray[wrong]
        else _miscounted(int(count[wrong]), expected)
        + (IN_QUOTES if not dialect.quoted and '"' in plain[wrong].as_py() else "")
        for wrong in np.flatnonzero(~good).tolist()
    }
    if header:
        line = delimiter.join(names)
        again = pc.is_in(plain, pa.array([line, MARK + line])).to_numpy(zero_copy_only=False)
        reasons |= dict.fromkeys(np.flatnonzero(again & good).tolist(), HEADER_AGAIN)
    for long in np.flatnonzero(pc.utf8_length(plain).to_numpy() > LONGEST_FIELD).tolist():
        if good[long] and pc.max(pc.utf8_length(split[long].values)).as_py() > LONGEST_FIELD:
            reasons[long] = TOO_LONG
    for wrong, reason in reasons.items():
        problems[int(plain_lines[wrong])] = reason
        good[wrong] = False
    values, first = split.values, split.offsets.to_numpy()[:-1][good]
    columns = {role: values.take(first + position) for role, position in positions.items()}
    begins = plain_lines[good]
    if records:
        order = np.argsort(np.concatenate([begins, starts]))
        begins = np.concatenate([begins, starts])[order]
        for role, position in positions.items():
            more = pa.array([record[position] for record in records], pa.string())
            columns[role] = pa.concat_arrays([columns[role], more]).take(order)
    return Rows(lines.path, lines.number(begins), columns, lines.numbered(problems))


def _quoted(
    lines: Lines, has_quote: np.ndarray, todo: np.ndarray, problems: Problems, dialect: Dialect
) -> tuple[list[int], list[list[str]]]:
    """The records that begin on a line with a quote: those lines and the fields.

    Takes their lines out of `todo`, adds what is wrong to `problems`, and gives the last record
    back (`lines.end`) if more text may complete it.
    """
    raw = lines.text.to_pylist()
    reader = _QuotedRecords(raw.__getitem__, lines.end, dialect)
    starts, records = [], []
    for start in np.flatnonzero(has_quote).tolist():
        if start < reader.position:
            continue
        record = reader.read(start)
        if reader.unfinished and not lines.final:
            lines.end = start
            break
        if reader.position > start + 1:
            todo[start : reader.position] = False
        if lines.broken and (broken := lines.broken.keys() & set(range(start, reader.position))):
            problems[min(broken)] = lines.broken[min(broken)]
        elif isinstance(record, str):
            problems[start] = record
        else:
            starts.append(start)
            records.append(record)
    todo &= ~has_quote
    return starts, records


def _is_header(record: list[str], names: list[str]) -> bool:
    first = record[0].removeprefix(MARK)
    return record[1:] == names[1:] and names[0] in (first, first.strip('"'))


def _miscounted(found: int, expected: str) -> str:
    return f"{found} field{'s' if found != 1 else ''}, {expected}"


class _QuotedRecords:
    """Reads the record that begins on a given line, over as many lines as its quotes span.

    Attributes:
      position: index after the last line of the record read; after an error the line after its
        first, so that a stray quote costs one line.
      unfinished: whether the lines ended inside the record.
    """

    def __init__(self, line: Callable[[int], str], end: int, dialect: Dialect):
        self._line, self._end, self._dialect = line, end, dialect
        self._next = self.position = 0
        self.unfinished = False
        self._reader = self._new_reader()

    def _new_reader(self) -> Iterator[list[str]]:
        return csv.reader(
            self._feed(),
            delimiter=self._dialect.delimiter,
            escapechar=self._dialect.escape,
            strict=True,
        )

    def _feed(self) -> Iterator[str]:
        while self._next < self._end:
            self._next += 1
            yield self._line(self._next - 1)

    def read(self, start: int) -> list[str] | str:
        """The fields of the record that begins on line `start`, or what is wrong with it."""
        self._next = start
        try:
            fields = next(self._reader)
        except csv.Error as error:
            self.unfinished = self._next == self._end and "unexpected end" in str(error)
            self.position = start + 1
            self._reader = self._new_reader()
            if self.unfinished:
                return 'a quote is opened and never closed, expected a closing "'
            if "field limit" in str(error):
                return TOO_LONG
            if "new-line" in str(error):
                return STRAY_RETURN
            return TEXT_AFTER_QUOTE
        self.unfinished = False
        self.position = self._next
        return fields
