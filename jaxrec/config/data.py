"""The fields of `config.data`: what is learnt from."""

import dataclasses

from jaxrec.config.fields import group, setting
from jaxrec.data.options import (
    Format,
    IdenticalRows,
    OnBadRows,
    SplitKind,
    UserFrom,
    ValidationRule,
    Weight,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ColumnsConfig:
    """Names of the columns of a listening history; None where there is no such column.

    "artist + title" joins two columns; "mbid | title" takes the second where the first is empty.
    """

    user: str = setting("user", "column with the listener's id")
    item: str = setting("item", "column with the song's id")
    timestamp: str | None = setting(
        None, "when: seconds or milliseconds since 1970, ISO 8601, dates such as 20150601"
    )
    plays: str | None = setting(None, "number of plays the row stands for; without it, 1")
    ms_played: str | None = setting(None, "milliseconds played")
    rating: str | None = setting(None, "stars or a vote; min_rating says what is liked")
    item_name: str | None = setting(None, "the song's title")
    artist: str | None = setting(None, "the song's artist")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where the listening history comes from and how it is filtered and split."""

    source: str = setting(
        "synthetic",
        "synthetic, listens (your own files), spotify, lastfm-csv or listenbrainz (their exports), "
        "or a dataset of the catalogue",
    )
    path: str | None = setting(None, "your file, folder or glob; or where a dataset's files lie")
    test_path: str | None = setting(None, "the test part of a fixed pair (split = given)")
    format: Format = setting(
        "auto",
        "auto (what the file is), csv, tsv, parquet, json (an array, or lines), edges (user item "
        "item …), or idomaar",
    )
    delimiter: str | None = setting(None, "between fields of csv and tsv; without it, it is found")
    header: bool = setting(
        True, 'the first line of csv and tsv names the columns; else they are "0", "1", …'
    )
    quoted: bool | None = setting(
        None, "fields of text may be in double quotes; without it, those of csv, or as they look"
    )
    escape: str | None = setting(
        None, "the character before a quote inside quotes, where it isn't doubled"
    )
    encoding: str = setting("utf-8", "of text, such as latin-1, cp1252 or utf-16")
    columns: ColumnsConfig = group(ColumnsConfig)
    user: str | None = setting(None, "the listener of all rows, where no column says it")
    user_from: UserFrom = setting(
        "column", "who listened: column, file (its name is the listener), or folder (its name is)"
    )
    keep: str | None = setting(
        None, "conditions on columns, such as 'event_type in listen like and played_pct >= 50'"
    )
    drop: str | None = setting(
        None, "rows to leave out, such as 'skipped == true or song is empty'"
    )
    against: str | None = setting(
        None,
        "rows that speak against their song, such as 'skipped == true or played_pct < 25'; it is "
        "known",
    )
    against_plays: float = setting(
        1.0,
        "plays that each such row takes off the listener's of the song; with none left nothing is "
        "learnt of it",
        above=0,
    )
    names_path: str | None = setting(None, "a separate table with the songs' names")
    names_columns: tuple[str, str] = setting(("id", "name"), "its columns: song id, name")
    names_format: Format = setting("auto", "as format")
    names_header: bool = setting(True, "as header")
    names_delimiter: str | None = setting(None, "as delimiter")
    names_quoted: bool | None = setting(None, "as quoted")
    names_escape: str | None = setting(None, "as escape")
    names_encoding: str = setting("utf-8", "as encoding")
    on_bad_rows: OnBadRows = setting(
        "error", "error: stop at the first; skip: count them, show the first ten"
    )
    identical_rows: IdenticalRows = setting(
        "keep", "rows of the same listener, song and time: keep all, or drop all but one"
    )
    time_format: str | None = setting(
        None,
        "of the times, as strptime has it, such as '%d/%m/%Y %H:%M'; or seconds, milliseconds, "
        "microseconds, nanoseconds",
    )
    time_from: str | None = setting(
        None, "a date, or a time as in the column; earlier listens are known, not learnt from"
    )
    time_until: str | None = setting(None, "likewise; listens from then on are left out")
    min_ms_played: int = setting(
        0, "milliseconds; shorter listens are known, not learnt from", minimum=0
    )
    min_rating: float | None = setting(
        None, "the least rating that is liked; songs rated lower are known, not learnt from"
    )
    weight: Weight = setting(
        "binary", "an edge's weight from its plays: binary (1), log (log(1 + plays)), raw (plays)"
    )
    min_plays: float = setting(1.0, "plays; pairs with fewer are known, not learnt from", minimum=0)
    core: int = setting(
        0,
        "k-core: every listener and song keeps at least so many interactions; 0 is off",
        minimum=0,
    )
    split: SplitKind = setting(
        "random",
        "none, random (per listener), last_n (by time), time (one moment), yambda (as that "
        "benchmark does, with eval.seen = include), given",
    )
    test_fraction: float = setting(
        0.2, "share of listens that random and time hold out as test", above=0, below=1
    )
    last_n: int = setting(1, "interactions per listener that last_n holds out as test", minimum=1)
    moment: str | None = setting(
        None,
        "where time (or yambda) splits, a date or a time as in the column; without it, by "
        "test_fraction (or the last day)",
    )
    validation_fraction: float = setting(
        0.1,
        "share of train as validation (random, time, given); of yambda a day; 0 is off",
        minimum=0,
        below=1,
    )
    validation_rule: ValidationRule = setting(
        "random", "which of a listener's: random, or alike (that go together)"
    )
    validation_last_n: int = setting(
        0, "with last_n: interactions per listener cut off as validation", minimum=0
    )
