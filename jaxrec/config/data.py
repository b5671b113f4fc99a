"""The fields of `config.data`: what is learnt from."""

import dataclasses

from jaxrec.config.fields import group, setting
from jaxrec.data.options import Format, OnBadRows, SplitKind, ValidationRule, Weight


@dataclasses.dataclass(frozen=True, kw_only=True)
class ColumnsConfig:
    """Names of the columns of a listening history; None where there is no such column."""

    user: str = setting("user", "column with the listener's id")
    item: str = setting("item", "column with the song's id")
    timestamp: str | None = setting(None, "seconds since 1970, or ISO 8601 text")
    plays: str | None = setting(None, "number of plays the row stands for; without it, 1")
    ms_played: str | None = setting(None, "milliseconds played")
    item_name: str | None = setting(None, "the song's title")
    artist: str | None = setting(None, "the song's artist")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where the listening history comes from and how it is filtered and split."""

    source: str = setting(
        "synthetic", "synthetic, listens (your own files), or a dataset of the catalogue"
    )
    path: str | None = setting(None, "your file, folder or glob; or where a dataset's files lie")
    test_path: str | None = setting(None, "the test part of a fixed pair (split = given)")
    format: Format = setting(
        "auto", "auto (by the file's ending), csv, tsv, parquet, or edges (user item item …)"
    )
    delimiter: str | None = setting(
        None, "between fields of csv and tsv, where it's not the usual one"
    )
    header: bool = setting(
        True, 'the first line of csv and tsv names the columns; else they are "0", "1", …'
    )
    columns: ColumnsConfig = group(ColumnsConfig)
    names_path: str | None = setting(None, "a separate table with the songs' names")
    names_columns: tuple[str, str] = setting(("id", "name"), "its columns: song id, name")
    on_bad_rows: OnBadRows = setting(
        "error", "error: stop at the first; skip: count them, show the first ten"
    )
    time_from: str | None = setting(None, "ISO 8601; earlier listens are left out")
    time_until: str | None = setting(None, "ISO 8601; listens from then on are left out")
    min_ms_played: int = setting(0, "milliseconds; shorter listens are left out", minimum=0)
    weight: Weight = setting(
        "binary", "an edge's weight from its plays: binary (1), log (log(1 + plays)), raw (plays)"
    )
    min_plays: float = setting(1.0, "plays; pairs with fewer are left out", minimum=0)
    core: int = setting(
        0,
        "k-core: every listener and song keeps at least so many interactions; 0 is off",
        minimum=0,
    )
    split: SplitKind = setting(
        "random", "none, random (per listener), last_n (by time), time (one moment), given"
    )
    test_fraction: float = setting(
        0.2, "share of listens that random and time hold out as test", above=0, below=1
    )
    last_n: int = setting(1, "interactions per listener that last_n holds out as test", minimum=1)
    moment: str | None = setting(None, "ISO 8601, where time splits; without it, by test_fraction")
    validation_fraction: float = setting(
        0.1, "share of train as validation (random, time, given); 0 is off", minimum=0, below=1
    )
    validation_rule: ValidationRule = setting(
        "random", "which of a listener's: random, or alike (that go together)"
    )
    validation_last_n: int = setting(
        0, "with last_n: interactions per listener cut off as validation", minimum=0
    )
