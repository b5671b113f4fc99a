"""What makes a row of a history bad, and what drops it: as SQL over columns of text."""

from collections.abc import Container

from jaxrec.data.rows import shown

EXPECTED = {
    "user": "an id of up to 2,000 bytes",
    "item": "an id of up to 2,000 bytes",
    "plays": "a number from 0 to 1e15, and 1e-9 or more if it is not 0",
    "ms_played": "a number from 0",
    "timestamp": "seconds or milliseconds since 1970, or ISO 8601 such as 2024-05-31T12:00:00Z",
}
DAY = r"\d{4}-\d\d-\d\d"
TIME = r"\d\d:\d\d(:\d\d(\.\d+)?)?"
OFFSET = r"(Z|UTC|[+-](0\d|1[0-5])(:?[0-5]\d)?)"
ISO_8601 = rf"{DAY}([T ]{TIME}( ?{OFFSET})?)?"
LONGEST_ID = 2_000  # bytes in UTF-8; longer ones are no ids, and memory is bounded by it
# Sums, their logarithms and the weights made of them stay finite and above 0 in float32.
LEAST_PLAYS, MOST_PLAYS = "1e-9", "1e15"
LARGEST_SECONDS = "1e11"  # the year 5138; as milliseconds it is 1973
LARGEST_MILLISECONDS = "1e14"


def is_empty(text: str) -> str:
    """SQL: whether there is no text but spaces."""
    return f"(coalesce(trim({text}), '') = '')"


def number(text: str) -> str:
    """SQL: the text as a DOUBLE, null where it is no number."""
    # DuckDB would take 1_000 for a number.
    return f"TRY_CAST(replace({text}, '_', '?') AS DOUBLE)"


def seconds(text: str) -> str:
    """SQL: the text as whole seconds since 1970-01-01 UTC, null where it is no time.

    Numbers below 1e11 in size are seconds, those below 1e14 milliseconds. ISO 8601 has years 0000
    to 9999 and is UTC where it has no offset (the session's time zone must be UTC).
    """
    value = number(text)
    return f"""CASE
        WHEN {value} IS NULL THEN CASE WHEN regexp_full_match({text}, '{ISO_8601}')
            THEN epoch(date_trunc('second', TRY_CAST({text} AS TIMESTAMPTZ)))::BIGINT END
        WHEN abs({value}) < {LARGEST_SECONDS} THEN floor({value})::BIGINT
        WHEN abs({value}) < {LARGEST_MILLISECONDS} THEN floor({value} / 1000)::BIGINT END"""


def check_listens(roles: Container[str]) -> str:
    """A SELECT from the table `incoming`: its rows, numbers read, and the fate of each.

    It takes the parameters `time_from`, `time_until` and `min_ms_played`. Columns beside
    incoming's: `play_count`, `milliseconds`, `seconds`, `fate` (`kept`, `bad`, `zero_plays`,
    `too_short` or `outside_window`) and for bad rows `problem`, a role, and `found`, its text.

    Args:
      roles: those which the file has; the columns of others are null in `incoming`.
    """
    return f"""SELECT
        row, line, "user", item, item_name, artist,
        {number("plays") if "plays" in roles else "1::DOUBLE"} AS play_count,
        {number("ms_played") if "ms_played" in roles else "0::DOUBLE"} AS milliseconds,
        {seconds("timestamp")} AS seconds,
        CASE WHEN {is_empty('"user"')} OR strlen("user") > {LONGEST_ID} THEN 'user'
            WHEN {is_empty("item")} OR strlen(item) > {LONGEST_ID} THEN 'item'
            WHEN NOT coalesce(play_count = 0 OR play_count BETWEEN {LEAST_PLAYS} AND {MOST_PLAYS},
                false) THEN 'plays'
            WHEN NOT coalesce(isfinite(milliseconds) AND milliseconds >= 0, false)
                THEN 'ms_played'
            WHEN {"timestamp" in roles} AND seconds IS NULL THEN 'timestamp' END AS problem,
        CASE problem WHEN 'user' THEN "user" WHEN 'item' THEN item WHEN 'plays' THEN plays
            WHEN 'ms_played' THEN ms_played WHEN 'timestamp' THEN timestamp END AS found,
        CASE WHEN problem IS NOT NULL THEN 'bad'
            WHEN play_count = 0 THEN 'zero_plays'
            WHEN milliseconds < $min_ms_played THEN 'too_short'
            WHEN seconds < $time_from OR seconds >= $time_until THEN 'outside_window'
            ELSE 'kept' END AS fate
        FROM incoming"""


def reason(role: str, text: str | None) -> str:
    """What is wrong with a row whose column of that role holds this text."""
    if text is None:
        found = "null"
    elif not text.strip(" "):
        found = "empty"
    else:
        found = shown(text)
    return f"{role} is {found}, expected {EXPECTED[role]}"
