"""What format a file has: what it is and what the user says, its ending where neither tells."""

import collections
import csv
import dataclasses
import io
import re
from collections.abc import Mapping
from typing import get_args

from jaxrec.data.compression import UNPACKING_ERRORS, Unpacked, refuse_archives
from jaxrec.data.delimited import Dialect
from jaxrec.data.inputs import ENDINGS, PACKED, InputFile
from jaxrec.data.meaning import Layout
from jaxrec.data.options import Format
from jaxrec.data.rows import shown
from jaxrec.data.text_blocks import check_encoding, unreadable
from jaxrec.errors import UserError

FORMATS = get_args(Format)
SAMPLE_BYTES = 1 << 16  # of the beginning, by which a text file is told
DELIMITERS = ("\t", ",", ";", "|")
_NAMES = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "bars", " ": "blanks"}
_JSON = re.compile(r'\s*(\[\s*)?\{\s*("|\})|\s*\[\s*\]\s*$')
_COLUMNS_HINT = (
    "expected config.data.format=tsv or csv, with config.data.header=False where the first line is "
    "a row already, and the columns in config.data.columns; or config.data.format=edges where each "
    "line is a user and its items"
)


@dataclasses.dataclass(frozen=True)
class Kind:
    """How a file is read.

    Attributes:
      format: `parquet`, `json`, `edges`, `idomaar` or `text`.
      dialect: of `text`.
      note: what was found out about it that the user hasn't said, "" where nothing.
    """

    format: str
    dialect: Dialect | None = None
    note: str = ""


def find_kind(file: InputFile, layout: Layout, wanted: Mapping[str, str]) -> Kind:
    """How to read a file.

    Args:
      file: the file.
      layout: what the user says of it.
      wanted: the columns to read, by role; empty where an edge list is all that it can be.

    Raises:
      UserError: the ending says nothing, what the user says can't be, or the file may be one thing
        or another; the message says which field decides it.
    """
    _check(layout)
    head, packed = _head(file)
    if head.startswith(b"PAR1") and (packed != "none" or layout.format not in ("auto", "parquet")):
        was = f"compressed with {packed}" if packed != "none" else "a Parquet file"
        raise UserError(
            f"{file}: {was}, expected Parquet as it is, with config.data.format=parquet or auto"
        )
    if head.startswith(b"PAR1"):
        return Kind("parquet")
    format: str = layout.format
    if format == "auto":
        format = _by_ending(file, layout)
    if format == "parquet":
        if packed != "none":
            raise UserError(
                f"{file}: damaged (compressed with {packed}), expected a whole Parquet file"
            )
        return Kind("parquet")
    if format == "idomaar":
        return Kind("idomaar")
    sample = _text(head, layout.encoding)
    if format == "json" or (layout.format == "auto" and _JSON.match(sample)):
        return Kind("json")
    if format == "edges" and layout.format == "edges":
        return Kind("edges")
    if format == "edges" and (not wanted or _is_edge_list(file, sample, layout, wanted)):
        return Kind("edges")
    if not wanted:
        raise UserError(f"{file}: no columns are set, expected at least those of user and item")
    return _text_kind(file, sample, format, layout, wanted)


def _check(layout: Layout) -> None:
    if layout.format not in FORMATS:
        raise UserError(f"format is {layout.format!r}, expected one of {', '.join(FORMATS)}")
    delimiter, escape = layout.delimiter, layout.escape
    if delimiter is not None and (
        delimiter in ("", '"', "\r", "\n") or (layout.quoted and len(delimiter) > 1)
    ):
        raise UserError(
            f"delimiter is {delimiter!r}, expected a character (or several, with quoted off)"
        )
    if escape is not None and (len(escape) != 1 or escape in ('"', "\r", "\n", delimiter)):
        raise UserError(
            f"escape is {escape!r}, expected a character other than a quote and the delimiter, "
            "such as a backslash"
        )
    check_encoding(layout.encoding)


def _head(file: InputFile) -> tuple[bytes, str]:
    """The first bytes, unpacked, and what they are compressed with."""
    packed = "none"
    try:
        with Unpacked(file) as opened:
            packed = opened.packed
            head = opened.stream.read(SAMPLE_BYTES)
    except (*UNPACKING_ERRORS, OSError) as error:
        raise unreadable(
            file, f"{file}:1: damaged or cut off at or after this line", packed, error
        ) from error
    refuse_archives(file, head)
    return head, packed


def _by_ending(file: InputFile, layout: Layout) -> str:
    known = ENDINGS.get(file.ending)
    if layout.delimiter is not None and known not in ("parquet", "json"):
        return "csv"
    if known is None:
        endings = ", ".join(f"{ending} ({known})" for ending, known in ENDINGS.items())
        raise UserError(
            f"{file}: the format can't be told by this ending, expected {endings}, with or "
            f"without {', '.join(PACKED)}, or one of {', '.join(FORMATS[1:])} in config.data.format"
        )
    return known


def _text(head: bytes, encoding: str) -> str:
    """The sample as text, without what may be half a line at its end."""
    text = head.decode(encoding, errors="replace").removeprefix("\ufeff")
    return text.rpartition("\n")[0] if len(head) == SAMPLE_BYTES and "\n" in text else text


def _lines(sample: str) -> list[str]:
    return [line.rstrip("\r") for line in sample.split("\n") if line.strip("\r")]


def _is_edge_list(file: InputFile, sample: str, layout: Layout, wanted: Mapping[str, str]) -> bool:
    """Whether a `.txt` is an edge list; else it has columns.

    Raises:
      UserError: it may be either.
    """
    lines = _lines(sample)
    if not lines:
        return True
    if not layout.header:
        return False
    if any(_has_columns(lines[0], mark, wanted) for mark in (*DELIMITERS, " ")):
        return False
    if set(wanted.values()) != {"user", "item"}:
        raise UserError(
            f"{file}: the first line has no columns {', '.join(map(shown, wanted.values()))}; "
            + _COLUMNS_HINT
        )
    between = next((mark for mark in DELIMITERS if any(mark in line for line in lines)), None)
    if between is not None:
        raise UserError(f"{file}: has {_NAMES[between]}, as columns have; {_COLUMNS_HINT}")
    ((width, count),) = collections.Counter(len(line.split()) for line in lines).most_common(1)
    if width >= 3 and len(lines) > 1 and count >= 0.9 * len(lines):
        raise UserError(
            f"{file}: {count:,} of the first {len(lines):,} lines have {width} words, as columns "
            f"have; {_COLUMNS_HINT}"
        )
    return True


def _has_columns(line: str, delimiter: str, wanted: Mapping[str, str]) -> bool:
    fields = {field.strip('"') for field in line.split(delimiter)}
    return set(wanted.values()) <= fields


def _text_kind(
    file: InputFile, sample: str, format: str, layout: Layout, wanted: Mapping[str, str]
) -> Kind:
    lines = _lines(sample)
    usual = {"csv": ",", "tsv": "\t"}.get(format, "\t")
    delimiter = layout.delimiter
    notes = []
    if delimiter is None:
        find = _by_names if layout.header else _by_counts
        delimiter = find(file, lines, usual, wanted)
        if delimiter != usual and ENDINGS.get(file.ending) != "edges":
            notes.append(f"fields between {_NAMES[delimiter]}")
    quoted = layout.quoted
    if quoted is None:
        quoted = delimiter in (",", ";")
        if not quoted and len(delimiter) == 1 and _shows_quotes(lines, delimiter):
            quoted = True
            notes.append("fields in double quotes")
    note = f"{file.name}: read with {' and '.join(notes)}" if notes else ""
    dialect = Dialect(
        delimiter,
        quoted,
        escape=layout.escape,
        header=layout.header,
        encoding=layout.encoding,
    )
    return Kind("text", dialect, note)


def _by_names(file: InputFile, lines: list[str], usual: str, wanted: Mapping[str, str]) -> str:
    """The delimiter with which the header has the wanted columns, the usual one if none."""
    first = lines[0] if lines else ""
    marks = (
        (usual, *DELIMITERS, " ") if ENDINGS.get(file.ending) == "edges" else (usual, *DELIMITERS)
    )
    return next((mark for mark in marks if _has_columns(first, mark, wanted)), usual)


def _by_counts(file: InputFile, lines: list[str], usual: str, wanted: Mapping[str, str]) -> str:
    """The delimiter that makes equally many fields, and enough, of each line without a header.

    Raises:
      UserError: several do.
    """
    needed = 1 + max((int(name) for name in wanted.values() if name.isdecimal()), default=0)
    marks = dict.fromkeys((usual, *DELIMITERS))
    if ENDINGS.get(file.ending) == "edges":
        marks[" "] = None
    widths = {mark: _width(lines, mark) for mark in marks}
    fitting = [mark for mark, width in widths.items() if width >= max(needed, 2)]
    if len(fitting) > 1:
        raise UserError(
            f"{file}: the lines may be fields between {_NAMES[fitting[0]]} or between "
            f"{_NAMES[fitting[1]]}; expected one of them in config.data.delimiter"
        )
    return fitting[0] if fitting else usual


def _width(lines: list[str], delimiter: str) -> int:
    """How many fields nearly all lines have, 0 where they differ."""
    quoted = delimiter in (",", ";")
    counts: collections.Counter[int] = collections.Counter()
    for line in lines:
        if quoted and '"' in line:
            try:
                counts[len(next(csv.reader(io.StringIO(line), delimiter=delimiter)))] += 1
            except (csv.Error, StopIteration):
                counts[0] += 1
        else:
            counts[line.count(delimiter) + 1] += 1
    if not counts:
        return 0
    ((width, count),) = counts.most_common(1)
    return width if count >= 0.9 * len(lines) else 0


def _shows_quotes(lines: list[str], delimiter: str) -> bool:
    """Whether the fields between tabs are in quotes, as CSV has them, and not titles with quotes.

    They are where one has a doubled quote inside, or all of a column are; and none says otherwise.
    """
    edge = re.escape(delimiter)
    whole = re.compile(rf'(?:^|(?<={edge}))"((?:[^"]|"")*)"(?={edge}|$)')
    quoted = [field for line in lines for field in whole.findall(line)]
    broken = sum(
        field.startswith('"') for line in lines for field in whole.sub("", line).split(delimiter)
    )
    if broken * 9 > len(quoted):
        return False
    if any('""' in field for field in quoted):
        return True
    fields = [line.split(delimiter) for line in lines]
    columns = zip(*(row for row in fields if len(row) == len(fields[0])), strict=True)
    return len(fields) > 1 and any(
        all(field.startswith('"') for field in column) for column in columns
    )
