"""Idomaar events, the format of 30Music: a line of type, id, time, properties and entities."""

from collections.abc import Generator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jaxrec.data.inputs import InputFile
from jaxrec.data.rows import LONGEST_FIELD, Rows, find_columns
from jaxrec.data.text_blocks import read_blocks
from jaxrec.errors import UserError

COLUMNS = ("event", "id", "timestamp", "user", "track")
_ID = r'"id"\s*:\s*"?(?P<{0}>[^\s",}}]+)'
_LINE = (
    r"^(?P<event>\S+)\s+(?P<id>\S+)\s+(?P<timestamp>\S+)\s+\{.*"
    rf'"subjects".*"type"\s*:\s*"user"\s*,\s*{_ID.format("user")}.*'
    rf'"objects".*"type"\s*:\s*"track"\s*,\s*{_ID.format("track")}'
)
_WRONG = (
    "no event of a user and a track, expected a line such as "
    'event.play 1 1400000000 {} {"subjects":[{"type":"user","id":1}],"objects":[…]}'
)


def read_idomaar(file: InputFile, wanted: Mapping[str, str]) -> Generator[Rows]:
    """Rows of Idomaar events, a block at a time, unpacked if the file is compressed.

    Args:
      file: the file.
      wanted: by role one of `COLUMNS`.

    Raises:
      UserError: the file can't be read or is empty, or there is no such column.
    """
    find_columns(str(file), COLUMNS, wanted)
    empty = True
    for lines in read_blocks(file, "utf-8"):
        keep = pc.not_equal(pc.utf8_trim(lines.text, characters=" \t\r\n"), "")
        filled = keep.to_numpy(zero_copy_only=False)
        empty = empty and not filled.any()
        problems = dict(lines.broken)
        found = pc.extract_regex(lines.text, _LINE)
        long = pc.fill_null(pc.greater(pc.utf8_length(lines.text), LONGEST_FIELD), False)
        good = filled & ~pc.is_null(found).to_numpy(zero_copy_only=False)
        good &= ~long.to_numpy(zero_copy_only=False)
        good[list(problems)] = False
        for index in np.flatnonzero(filled & ~good).tolist():
            problems.setdefault(index, _WRONG)
        rows = found.filter(pa.array(good))
        columns = {role: pc.struct_field(rows, name) for role, name in wanted.items()}
        yield Rows(file, lines.number(np.flatnonzero(good)), columns, lines.numbered(problems))
    if empty:
        raise UserError(f"{file}: the file is empty, expected lines of events")
