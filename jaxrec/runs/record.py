"""What a run is made of, written once into its folder and checked when it is opened again.

`config.json`, the ids and interactions as Parquet; beside them, written by others, the
checkpoints, metric files and results. With it `evaluate`, `recommend` and `similar` need no data.
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jaxrec.config import RunConfig, read_config, to_json
from jaxrec.data.events import Events
from jaxrec.data.id_files import read_ids, write_ids
from jaxrec.data.interactions import Interactions
from jaxrec.data.splits import Split
from jaxrec.errors import UserError
from jaxrec.files import replacing, write_json
from jaxrec.runs.checkpoint_folder import saved_steps
from jaxrec.runs.identity import (
    FINGERPRINT,
    first_difference,
    scored_by,
    training_identity,
    untrained_identity,
)
from jaxrec.runs.run_folder import RunFolder
from jaxrec.train.carrying import Start

PARTS = ("train", "validation", "test", "known", "newcomers")
ROWS_AT_ONCE = 1 << 22  # pairs that are written at a time


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """A run as its folder tells it."""

    config: RunConfig
    split: Split


def open_run(
    folder: RunFolder,
    config: RunConfig,
    split: Split,
    *,
    steps_per_epoch: Mapping[RunFolder, int],
    start: Start | None = None,
) -> None:
    """Makes the folder a home for this run, or checks that it already is.

    Args:
      folder: where.
      config: the run's configuration, which replaces the one there.
      split: its data.
      steps_per_epoch: of each fit that has epochs, by its folder: tells how far it has come.
      start: what its network begins with; None for chance.

    Raises:
      UserError: the folder holds a run that differs, and the message names the first field that
        does; or one that is already further than this one is to go.
    """
    wanted, scores = training_identity(config, split, start), scored_by(config)
    if folder.config.exists():
        saved = _read_saved(folder.config)
        known, asked = saved["identity"], wanted
        if config.eval.patience and steps_per_epoch:  # the best is the best of comparable scores
            known, asked = known | saved["scored_by"], asked | scores
        if difference := first_difference(known, asked):
            field, there, here = difference
            raise UserError(
                f"{folder.root} holds a run with {field} = {there}, this one has {here}; expected "
                "the same, or a --workdir of its own"
            )
        scores = {
            name: value if saved["scored_by"].get(name) == value else "several"
            for name, value in scores.items()
        }
        for place, steps in steps_per_epoch.items():
            newest = max(saved_steps(place.checkpoints), default=0)
            if newest > config.epochs * steps:
                raise UserError(
                    f"{place.root} holds a run that has come to step {newest}, and config.epochs "
                    f"is {config.epochs}; expected at least {-(-newest // steps)}, or a --workdir "
                    "of its own"
                )
    try:
        folder.root.mkdir(parents=True, exist_ok=True)
        if not folder.config.exists():
            write_ids(folder.users, split.train.users)
            write_ids(folder.items, split.train.items)
            _write_interactions(folder.interactions, split)
            _write_events(folder.events, split)
        # Last, since its presence says that the rest is whole.
        write_json(
            folder.config,
            {
                "config": to_json(config),
                "identity": wanted,
                "scored_by": scores,
                "protocol": split.protocol,
                "counts": split.counts(),
            },
        )
    except OSError as error:
        raise UserError(
            f"--workdir={folder.root}: {error.strerror}; expected a folder to write to"
        ) from error


def saved_identity(folder: RunFolder) -> dict[str, Any]:
    """What the lists of the run there depend on, by field, from its configuration alone.

    Raises:
      UserError: as `load_run`.
    """
    saved, config = _read_config(folder)
    return saved["identity"] | untrained_identity(config)


def load_run(folder: RunFolder) -> Run:
    """Reads a run back from its folder alone.

    Raises:
      UserError: no run there, or a file of it is missing or damaged.
    """
    saved, config = _read_config(folder)
    users, items = read_ids(folder.users), read_ids(folder.items)
    columns = _read_columns(folder.interactions)
    part_of_row = columns.pop("part")
    parts: dict[str, Interactions | None] = {}
    for number, name in enumerate(PARTS):
        start, stop = np.searchsorted(part_of_row, np.array([number, number + 1], np.int8))
        rows = {name: column[start:stop] for name, column in columns.items()}
        parts[name] = Interactions(
            user=rows["user"],
            item=rows["item"],
            plays=rows["plays"],
            timestamp=rows.get("timestamp"),
            users=users,
            items=items,
        )
        if name != "train" and saved["identity"].get(FINGERPRINT.format(name)) is None:
            parts[name] = None
    train = parts["train"]
    assert train is not None
    newcomers = parts["newcomers"]
    if folder.events.exists():
        train, newcomers = _with_events(folder.events, train, newcomers)
    split = Split(
        train,
        parts["validation"],
        parts["test"],
        saved["protocol"],
        known=parts["known"],
        newcomers=newcomers,
    )
    return Run(config=config, split=split)


def _write_interactions(path: Path, split: Split) -> None:
    """Writes the parts one after another, a block of rows at a time."""
    names = ["user", "item", "plays"] + ["timestamp"] * (split.train.timestamp is not None)

    def blocks() -> Iterator[dict[str, np.ndarray]]:
        for number, name in enumerate(PARTS):
            part: Interactions | None = getattr(split, name)
            for start in range(0, 0 if part is None else len(part), ROWS_AT_ONCE):
                rows = slice(start, start + ROWS_AT_ONCE)
                found = {each: getattr(part, each)[rows] for each in names}
                yield {"part": np.full(len(found["user"]), number, np.int8)} | found

    _write_columns(path, blocks())


def _write_events(path: Path, split: Split) -> None:
    """The listens of train's pairs, numbered by their rows, then of those of newcomers."""
    events, later = split.train.events, split.newcomers and split.newcomers.events
    if events is None:
        return
    parts = [(events, 0)] + ([(later, len(split.train))] if later else [])
    about = {"until": "" if events.until is None else str(events.until)}
    about["adds_up"] = str(events.adds_up)

    def blocks() -> Iterator[dict[str, np.ndarray]]:
        for each, first in parts:
            for start in range(0, len(each.offsets) - 1, ROWS_AT_ONCE):
                offsets = each.offsets[start : start + ROWS_AT_ONCE + 1]
                rows = slice(offsets[0], offsets[-1])
                pair = np.arange(first + start, first + start + len(offsets) - 1)
                yield {
                    "pair": np.repeat(pair, np.diff(offsets)),
                    "timestamp": each.timestamp[rows],
                    "plays": each.plays[rows],
                }

    _write_columns(path, blocks(), about)


def _with_events(
    path: Path, train: Interactions, newcomers: Interactions | None
) -> tuple[Interactions, Interactions | None]:
    """Both with what `_write_events` wrote."""
    columns = _read_columns(path)
    about = pq.read_schema(path).metadata or {}
    until = about.get(b"until", b"")
    every = Events(
        offsets=np.r_[0, np.cumsum(np.bincount(columns["pair"]))].astype(np.int64),
        timestamp=columns["timestamp"],
        plays=columns["plays"],
        adds_up=about.get(b"adds_up") != b"False",
    )
    own = every
    if newcomers is not None:
        own = every.select(np.arange(len(train)))
        later = every.select(np.arange(len(train), len(every.offsets) - 1))
        newcomers = dataclasses.replace(newcomers, events=later)
    events = dataclasses.replace(own, until=int(until) if until else None)
    return dataclasses.replace(train, events=events), newcomers


def _write_columns(
    path: Path, blocks: Iterator[dict[str, np.ndarray]], about: Mapping[str, str] | None = None
) -> None:
    """Writes a table of at least one block."""
    first = pa.table(next(blocks)).replace_schema_metadata(about)
    with replacing(path) as temporary, pq.ParquetWriter(temporary, first.schema) as writer:
        writer.write_table(first)
        for block in blocks:
            writer.write_table(pa.table(block).cast(first.schema))


def _read_columns(path: Path) -> dict[str, np.ndarray]:
    """The columns of a table, each read by itself, so that none is in memory twice for long."""
    try:
        names = pq.read_schema(path).names
        return {name: pq.read_table(path, columns=[name])[name].to_numpy() for name in names}
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(f"{path}: unreadable ({error}); expected the file `train` wrote") from error


def _read_config(folder: RunFolder) -> tuple[dict[str, Any], RunConfig]:
    """What `open_run` has written, and the configuration in it."""
    if not folder.config.exists():
        raise UserError(
            f"--workdir={folder.root}: no run there (no config.json); "
            "expected a folder that `train` has written"
        )
    saved = _read_saved(folder.config)
    try:
        return saved, read_config(saved["config"])
    except UserError as error:
        raise UserError(f"{folder.config}: {error} (`train` there writes it anew)") from error


def _read_saved(path: Path) -> dict[str, Any]:
    """What `open_run` has written."""
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: unreadable ({error}); expected the file `train` wrote") from error
    for name in ("config", "identity", "scored_by", "protocol"):
        if not isinstance(saved, dict) or not isinstance(saved.get(name), dict):
            raise UserError(f"{path}: has no {name}; expected the file `train` wrote")
    return dict(saved)
