"""What a text says of time: as SQL for a column, and for the moments that settings name.

Numbers below 1e11 in size are seconds since 1970, those below 1e14 milliseconds. Where all values
of a column are dates such as 20150601, they are dates; some counts of seconds look like dates. ISO
8601 has years 0000 to 9999 and is UTC where it has no offset. Dates with a month's name, as Last.fm
exports them (13 Sep 2020 20:46), are UTC. A format that the user gives is the only one then.
"""

import dataclasses
import datetime
import re

import duckdb

from jaxrec.data.rows import shown
from jaxrec.errors import UserError

EXPECTED = (
    "seconds or milliseconds since 1970, ISO 8601 such as 2024-05-31T12:00:00Z, a date such as 31 "
    "May 2024 12:00, or the form that config.data.time_format names"
)
_DAY = r"\d{4}-\d\d-\d\d"
_TIME = r"\d\d:\d\d(:\d\d(\.\d+)?)?"
_OFFSET = r"(Z|UTC|[+-](0\d|1[0-5])(:?[0-5]\d)?)"
ISO_8601 = rf"{_DAY}([T ]{_TIME}( ?{_OFFSET})?)?"
_NAMED_MONTH = r"\d{1,2} [A-Za-z]{3,9} \d{4},?( \d\d:\d\d(:\d\d)?)?"
_NAMED_FORMS = [
    f"%d %{month} %Y{time}"
    for month in "bB"
    for time in ("", " %H:%M", ", %H:%M", " %H:%M:%S", ", %H:%M:%S")
]
_LARGEST_SECONDS = "1e11"  # the year 5138; as milliseconds it is 1973
_LARGEST_MILLISECONDS = "1e14"
# Per second.
UNITS = {"seconds": 1, "milliseconds": 1_000, "microseconds": 1_000_000, "nanoseconds": 10**9}
_LARGEST = 253_402_300_800  # seconds; the year 10000
# What a compact date is as a number.
COMPACT_FIRST, COMPACT_LAST = 19_000_101, 21_001_231
# Counts of seconds from 1970 to 1973: in a column of them a 2016 may be a count too.
_SMALL_SECONDS = 100_000_000


@dataclasses.dataclass(frozen=True)
class TimeColumn:
    """What a column of times turned out to hold.

    Attributes:
      numbers: whether all its values are numbers that count from 1970.
      compact: whether they were dates such as 20150601.
      largest: the largest time in it, seconds since 1970.
      form: the form that the user gave, None without.
    """

    numbers: bool = False
    compact: bool = False
    largest: int = 0
    form: str | None = None


def number(text: str) -> str:
    """SQL: the text as a DOUBLE, null where it is no number."""
    # DuckDB would take 1_000 for a number.
    return f"TRY_CAST(replace({text}, '_', '?') AS DOUBLE)"


def seconds(text: str, form: str | None = None) -> str:
    """SQL: the text as whole seconds since 1970-01-01 UTC, null where it is no time.

    The session's time zone must be UTC.

    Args:
      text: SQL of the text.
      form: `Filters.time_format`.
    """
    value = number(text)
    if form is not None:
        if form in UNITS:
            counted = f"floor({value} / {UNITS[form]})"
            return f"CASE WHEN abs({counted}) < {_LARGEST} THEN {counted}::BIGINT END"
        parsed = f"try_strptime({text}, '{form.replace(chr(39), chr(39) * 2)}')"
        return f"epoch(date_trunc('second', {parsed}))::BIGINT"
    forms = ", ".join(f"'{each}'" for each in _NAMED_FORMS)
    return f"""CASE
        WHEN {value} IS NULL THEN CASE
            WHEN regexp_full_match({text}, '{ISO_8601}')
            THEN epoch(date_trunc('second', TRY_CAST({text} AS TIMESTAMPTZ)))::BIGINT
            WHEN regexp_full_match({text}, '{_NAMED_MONTH}')
            THEN epoch(try_strptime({text}, [{forms}]))::BIGINT END
        WHEN abs({value}) < {_LARGEST_SECONDS} THEN floor({value})::BIGINT
        WHEN abs({value}) < {_LARGEST_MILLISECONDS} THEN floor({value} / 1000)::BIGINT END"""


def compact_date(number: str) -> str:
    """SQL: seconds since 1970 of a compact date given as a number, null where it is none."""
    return f"epoch(try_strptime({number}::VARCHAR, '%Y%m%d'))::BIGINT"


def check_format(form: str | None) -> None:
    """Refuses a form that can't be one.

    Raises:
      UserError: it is neither a unit nor what strptime reads.
    """
    if form is None or form in UNITS:
        return
    try:
        if "%" not in form:
            raise ValueError("it has no % in it")
        _ask(f"SELECT {seconds('x', form)} FROM (SELECT '1' AS x)")
    except (duckdb.Error, ValueError) as error:
        raise UserError(
            f"config.data.time_format is {shown(form)}; expected {', '.join(UNITS)}, or a form "
            "such as '%d/%m/%Y %H:%M' as strptime has it"
        ) from error


def read_moment(field: str, moment: int | str, column: TimeColumn) -> int:
    """A moment that a setting names, read as the values of the column that it is compared with.

    ISO 8601 is always read as such. A year such as 2016 and a date such as 20160531 are those, but
    in a column that counts seconds from another start than 1970, where a small number is a count.

    Args:
      field: the setting, for the error.
      moment: its value.
      column: what the column holds.

    Returns:
      Seconds since 1970-01-01 UTC.

    Raises:
      UserError: it can't be read.
    """
    text = str(moment).strip()
    if re.fullmatch(r"\d{4}-\d\d", text):
        text += "-01"
    digits = re.fullmatch(r"(\d{4})(\d{4})?", text)
    counts = column.numbers and column.form is None and column.largest < _SMALL_SECONDS
    if digits and not counts and column.form not in UNITS:
        try:
            day = f"{text}0101" if digits[2] is None else text
            date = datetime.datetime.strptime(day, "%Y%m%d").replace(tzinfo=datetime.UTC)
        except ValueError:
            date = None
        if date is not None and 1900 <= date.year <= 2100:
            return int(date.timestamp())
    is_iso = re.fullmatch(ISO_8601, text) is not None
    if not is_iso and column.form is not None:
        found = _ask(f"SELECT {seconds('x', column.form)} FROM (SELECT ? AS x)", text)
        if found is not None:
            return found
    found = _ask(f"SELECT {seconds('x')} FROM (SELECT ? AS x)", text)
    number_of_dates = not is_iso and not column.numbers and abs(found or 0) < _SMALL_SECONDS
    if found is None or (number_of_dates and re.fullmatch(r"[-+.\d]+", text)):
        raise UserError(
            f"{field} is {moment!r}, expected {EXPECTED}; a year such as 2016 or a date such as "
            "20160531 will do too"
        )
    return found


def _ask(query: str, *values: str) -> int | None:
    with duckdb.connect(config={"autoload_known_extensions": False}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        (row,) = connection.execute(query, values).fetchall()
    return None if row[0] is None else int(row[0])


def shown_moment(moment: int) -> str:
    """A moment as a person reads it: 2016-01-01, or with the time of day where it has one."""
    try:
        date = datetime.datetime.fromtimestamp(moment, datetime.UTC)
    except (OverflowError, ValueError, OSError):
        return f"{moment} s"
    return f"{date:%Y-%m-%d}" if moment % 86_400 == 0 else f"{date:%Y-%m-%d %H:%M:%S}"
