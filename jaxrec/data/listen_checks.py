"""What makes a row of a history bad, and what keeps it from being learnt: SQL over text columns."""

from collections.abc import Container

from jaxrec.data.rows import shown
from jaxrec.data.times import EXPECTED as EXPECTED_TIME
from jaxrec.data.times import number, seconds

EXPECTED = {
    "user": "an id of up to 2,000 bytes",
    "item": "an id of up to 2,000 bytes",
    "plays": "a number from 0 to 1e15, and 1e-9 or more if it is not 0",
    "ms_played": "a number from 0",
    "rating": "a number",
    "timestamp": EXPECTED_TIME,
}
WAY_ON = {
    "item": "; a column to fall back on goes into config.data.columns.item='FIRST | SECOND'",
    "plays": (
        "; for ratings and votes set config.data.columns.rating instead, and config.data.min_rating"
    ),
}
SKIPPED = "; config.data.on_bad_rows=skip leaves such rows out and counts them"
LONGEST_ID = 2_000  # bytes in UTF-8; longer ones are no ids, and memory is bounded by it
# Sums, their logarithms and the weights made of them stay finite and above 0 in float32.
LEAST_PLAYS, MOST_PLAYS = "1e-9", "1e15"
# What keeps a row from being learnt from though its user knows the item.
LEFT_OUT = ("filtered", "against", "too_short", "low_rating")
# Words that programs write for nothing, which as an id become one user or item.
WORDS_FOR_NOTHING = (
    *("null", "NULL", "Null", "None", "none", "NaN", "nan", "NA", "N/A", "n/a", "<NA>", "\\N"),
    *("nil", "undefined", "(null)", "[unknown]"),
)


def is_empty(text: str) -> str:
    """SQL: whether there is no text but spaces."""
    return f"({text} IS NULL OR ltrim({text}) = '')"


def normalised(text: str) -> str:
    """SQL: a name without what spellings differ in: case, kinds of apostrophe, spaces."""
    return (
        f"trim(regexp_replace(replace(lower(nfc_normalize(coalesce({text}, ''))), '\u2019', ''''), "
        "'\\s+', ' ', 'g'))"
    )


def check_listens(
    roles: Container[str],
    *,
    kept: str,
    against: str,
    no_item: str,
    defect: str,
    form: str | None,
    matched: bool,
) -> str:
    """A SELECT from the table `incoming`: its rows, numbers read, and the fate of each.

    It takes the parameter `min_ms_played`, and `min_rating` where there are ratings. Columns beside
    incoming's: `play_count`, `milliseconds`, `seconds`, `time_in_words` and `time_of_8` characters,
    `title_key` (artist and title, normalised, where items are matched by it), `fate` (`kept`,
    `bad`, `zero_plays`, `no_item`, `defects` or one of `LEFT_OUT`) and for bad rows `problem`, a
    role.

    Args:
      roles: those which the file has; the columns of others are null in `incoming`.
      kept: SQL: whether the row meets the conditions.
      against: SQL: whether it speaks against the item, as a skip does.
      no_item: SQL: whether it stands for something else than an item, such as a podcast.
      defect: SQL: whether the publisher is known to have damaged it.
      form: `Filters.time_format`.
      matched: whether a row without an item's id will get that of its artist and title.
    """
    title, artist = normalised("item_name"), normalised("artist")
    empty_item, empty_user = is_empty("item"), is_empty('"user"')
    matching, no_id, long_title = "", empty_item, ""
    if matched:
        title_key = f"CASE WHEN {title} <> '' THEN {artist} || ' — ' || {title} ELSE '' END"
        matching, no_id = f"{title_key} AS title_key,", f"({empty_item} AND title_key = '')"
        long_title = f" OR strlen(title_key) > {LONGEST_ID}"
    of_rating, bad_rating, low_rating = "", "", ""
    if "rating" in roles:
        of_rating = f"{number('rating')} AS stars,"
        bad_rating = "WHEN NOT coalesce(isfinite(stars), false) THEN 'rating'"
        low_rating = "WHEN stars < $min_rating THEN 'low_rating'"
    of_names = "item_name, artist," if "item_name" in roles or "artist" in roles else ""
    of_times = ""
    if "timestamp" in roles:
        of_times = (
            f"{number('timestamp')} IS NULL AS time_in_words, strlen(timestamp) = 8 AS time_of_8,"
        )
    return f"""SELECT row, "user", item, {of_names} {of_times}
        {number("plays") if "plays" in roles else "1::DOUBLE"} AS play_count,
        {number("ms_played") if "ms_played" in roles else "0::DOUBLE"} AS milliseconds,
        {seconds("timestamp", form)} AS seconds, {of_rating} {matching}
        CASE WHEN {no_item} OR {defect} THEN NULL
            WHEN {empty_user} OR strlen("user") > {LONGEST_ID} THEN 'user'
            WHEN {no_id} OR strlen(item) > {LONGEST_ID}{long_title} THEN 'item'
            WHEN NOT {kept} THEN NULL
            WHEN NOT coalesce(play_count = 0 OR play_count BETWEEN {LEAST_PLAYS} AND {MOST_PLAYS},
                false) THEN 'plays'
            WHEN NOT coalesce(isfinite(milliseconds) AND milliseconds >= 0, false)
                THEN 'ms_played'
            {bad_rating}
            WHEN {"timestamp" in roles} AND seconds IS NULL THEN 'timestamp' END AS problem,
        CASE WHEN {no_item} THEN 'no_item'
            WHEN {defect} THEN 'defects'
            WHEN NOT {kept} THEN 'filtered'
            WHEN problem IS NOT NULL THEN 'bad'
            WHEN {against} THEN 'against'
            WHEN play_count = 0 THEN 'zero_plays'
            WHEN milliseconds < $min_ms_played THEN 'too_short'
            {low_rating}
            ELSE 'kept' END AS fate
        FROM incoming"""


# Of the bad rows of the table `checked`: line, role, and what the role's column holds. Most
# histories have none, so that text is looked up here and not written down for every row.
BAD_ROWS = """SELECT line, problem,
        CASE problem WHEN 'user' THEN incoming."user" WHEN 'item' THEN incoming.item
            WHEN 'plays' THEN plays WHEN 'ms_played' THEN ms_played WHEN 'rating' THEN rating
            WHEN 'timestamp' THEN timestamp END
        FROM checked JOIN incoming USING (row) WHERE fate = 'bad'"""


def is_known(roles: Container[str]) -> str:
    """SQL over `check_listens`: whether a row that is not learnt from says that the user knows it.

    A count below 0 is none, but who wrote it for a dislike knows the item.
    """
    fates = ", ".join(f"'{fate}'" for fate in LEFT_OUT)
    timed = "seconds IS NOT NULL" if "timestamp" in roles else "true"
    disliked = "(fate = 'bad' AND problem = 'plays' AND coalesce(play_count < 0, false))"
    return f"((fate IN ({fates}) AND problem IS NULL) OR {disliked}) AND {timed}"


def reason(role: str, text: str | None) -> str:
    """What is wrong with a row whose column of that role holds this text, and the way on."""
    if text is None:
        found = "null"
    elif not text.strip(" "):
        found = "empty"
    else:
        found = shown(text)
    return f"{role} is {found}, expected {EXPECTED[role]}{WAY_ON.get(role, '')}{SKIPPED}"
