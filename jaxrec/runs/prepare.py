"""From the configuration to a split: the data stage as a command uses it."""

import dataclasses
import datetime
import math
from pathlib import Path
from typing import Any

from jaxrec.config import RunConfig, with_fields
from jaxrec.data import catalog, synthetic
from jaxrec.data.interactions import Listens
from jaxrec.data.listen_table import ReadReport
from jaxrec.data.listens import Columns, read_listens
from jaxrec.data.splits import Split, split
from jaxrec.errors import UserError
from jaxrec.report.console import Console


def prepare_split(config: RunConfig, console: Console) -> Split:
    """Reads the listening history, filters and splits it, and says what came of it."""
    result = _split(config, *read_history(config, console))
    _say_counts(result, console)
    return result


def prepare_cuts(config: RunConfig, console: Console) -> list[Split]:
    """As `prepare_split`, but for `config.tune.cuts` validation parts of one train part.

    Test is the same in all. The first is that of `prepare_split`; the k-th, from 0, is cut with
    the seed `config.seed` + k.

    Raises:
      UserError: as `prepare_split`, or there are to be several cuts where the seed has no say.
    """
    if config.tune.cuts > 1 and config.data.split not in ("random", "given"):
        raise UserError(
            f"config.tune.cuts is {config.tune.cuts} and config.data.split is "
            f"{config.data.split!r}, whose validation part no seed decides; expected 1 cut, or "
            "random or given"
        )
    with_fields(config, {"seed": config.seed + config.tune.cuts - 1})  # refused if too great
    history = read_history(config, console)
    first = _split(config, *history)
    _say_counts(first, console)
    seeds = range(config.seed + 1, config.seed + config.tune.cuts)
    return [first, *(_split(config, *history, validation_seed=seed) for seed in seeds)]


def read_history(config: RunConfig, console: Console) -> tuple[Listens, Listens | None]:
    """All listens, and those of a given test part."""
    if config.data.source == "synthetic":
        return synthetic.generate(config.seed), None
    return _read(config, console)


def _split(
    config: RunConfig,
    listens: Listens,
    given_test: Listens | None,
    *,
    validation_seed: int | None = None,
) -> Split:
    data = config.data
    return split(
        listens,
        kind=data.split,
        seed=config.seed,
        test_fraction=data.test_fraction,
        last_n=data.last_n,
        moment=None if data.moment is None else _seconds(data.moment, "config.data.moment"),
        validation_fraction=data.validation_fraction,
        validation_rule=data.validation_rule,
        validation_last_n=data.validation_last_n,
        validation_seed=validation_seed,
        given_test=given_test,
        min_plays=data.min_plays,
        core=data.core,
    )


def _read(config: RunConfig, console: Console) -> tuple[Listens, Listens | None]:
    data = config.data
    if data.source == "listens":
        if data.path is None:
            raise UserError(
                "config.data.path is not set; expected your file, folder or glob of listens"
            )
        paths: list[str | Path] = [path for path in (data.path, data.test_path) if path is not None]
        columns = Columns(**dataclasses.asdict(data.columns))
        settings: dict[str, Any] = {
            "format": data.format,
            "header": data.header,
            "delimiter": data.delimiter,
            "names_path": data.names_path,
            "names_columns": data.names_columns,
            "columns": columns,
        }
    else:
        found, settings = catalog.locate(
            data.source, data_path=data.path, say=console.note, progress=console.progress
        )
        paths = list(found)
    if (len(paths) == 2) != (data.split == "given"):
        raise UserError(
            f"config.data.split is {data.split!r} with {len(paths)} part(s) of data; expected "
            "given for a fixed train/test pair and only for it"
        )
    console.note(f"reading {', '.join(map(str, paths))}")
    parts, report = read_listens(
        paths,
        on_bad_rows=data.on_bad_rows,
        time_from=data.time_from,
        time_until=data.time_until,
        min_ms_played=data.min_ms_played,
        **settings,
    )
    _say_report(report, console)
    return parts[0], parts[1] if len(parts) == 2 else None


def _say_report(report: ReadReport, console: Console) -> None:
    dropped = {
        "without plays": report.zero_plays,
        "shorter than config.data.min_ms_played": report.too_short,
        "outside the time window": report.outside_window,
    }
    left_out = ", ".join(f"{count:,} {why}" for why, count in dropped.items() if count)
    console.note(f"read {report.rows:,} rows" + (f"; left out {left_out}" if left_out else ""))
    if report.skipped:
        console.warning(f"skipped {report.skipped:,} bad rows, the first of them:")
        for example in report.examples:
            console.warning(example)


def _seconds(moment: str, field: str) -> int:
    try:
        parsed = datetime.datetime.fromisoformat(moment)
    except ValueError as error:
        raise UserError(f"{field} is {moment!r}; expected ISO 8601 such as 2024-05-31") from error
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=datetime.UTC)
    return math.ceil(parsed.timestamp())


def _say_counts(result: Split, console: Console) -> None:
    counts = result.counts()
    columns = ["users", "items", "interactions", "cold_users", "cold_items", "cold_interactions"]
    console.table(
        f"Data, split: {result.protocol['kind']}",
        ["part", *(name.replace("_", " ") for name in columns)],
        [[part, *(row[name] for name in columns)] for part, row in counts.items()],
    )
    cold = sum(row["cold_interactions"] for row in counts.values())
    if cold:
        console.note(
            f"{cold:,} held-out interactions are of users or songs that train doesn't know (cold); "
            "they are left out of the metrics"
        )
