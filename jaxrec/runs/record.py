"""What a run is made of, written once into its folder and checked when it is opened again.

`config.json`, the ids and interactions as Parquet; beside them, written by others, the
checkpoints, metric files and results. With it `evaluate`, `recommend` and `similar` need no data.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jaxrec.config import RunConfig, read_config, to_json
from jaxrec.data.events import Events
from jaxrec.data.interactions import IdMap, Interactions
from jaxrec.data.splits import Split
from jaxrec.errors import UserError
from jaxrec.files import replacing, write_json
from jaxrec.runs.checkpoint import saved_steps
from jaxrec.runs.identity import (
    FINGERPRINT,
    first_difference,
    scored_by,
    training_identity,
    untrained_identity,
)
from jaxrec.runs.run_folder import RunFolder

PARTS = ("train", "validation", "test", "known")


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
) -> None:
    """Makes the folder a home for this run, or checks that it already is.

    Args:
      folder: where.
      config: the run's configuration, which replaces the one there.
      split: its data.
      steps_per_epoch: of each fit that has epochs, by its folder: tells how far it has come.

    Raises:
      UserError: the folder holds a run that differs, and the message names the first field that
        does; or one that is already further than this one is to go.
    """
    wanted, scores = training_identity(config, split), scored_by(config)
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
            _write_ids(folder.users, split.train.users)
            _write_ids(folder.items, split.train.items)
            _write_interactions(folder.interactions, split)
            if split.train.events is not None:
                _write_events(folder.events, split.train.events)
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
    users, items = _read_ids(folder.users), _read_ids(folder.items)
    table = _read_table(folder.interactions)
    part_of_row = table["part"].to_numpy()
    parts: dict[str, Interactions | None] = {}
    for number, name in enumerate(PARTS):
        rows = table.filter(part_of_row == number)
        timestamp = rows["timestamp"].to_numpy() if "timestamp" in table.column_names else None
        parts[name] = Interactions(
            user=rows["user"].to_numpy(),
            item=rows["item"].to_numpy(),
            plays=rows["plays"].to_numpy(),
            timestamp=timestamp,
            users=users,
            items=items,
        )
        if name != "train" and saved["identity"].get(FINGERPRINT.format(name)) is None:
            parts[name] = None
    train = parts["train"]
    assert train is not None
    if folder.events.exists():
        train = dataclasses.replace(train, events=_read_events(folder.events))
    split = Split(
        train, parts["validation"], parts["test"], saved["protocol"], known=parts["known"]
    )
    return Run(config=config, split=split)


def _write_ids(path: Path, id_map: IdMap) -> None:
    columns = {
        "index": pa.array(np.arange(len(id_map), dtype=np.int32)),
        "id": pa.array(id_map.ids),
    }
    if id_map.names is not None:
        columns["name"] = pa.array(id_map.names, pa.string())
    _write_table(pa.table(columns), path)


def _read_ids(path: Path) -> IdMap:
    table = _read_table(path)
    names = table["name"].to_numpy() if "name" in table.column_names else None
    return IdMap(table["id"].to_numpy(), names)


def _write_interactions(path: Path, split: Split) -> None:
    parts = [(number, getattr(split, name)) for number, name in enumerate(PARTS)]
    present = [(number, part) for number, part in parts if part is not None]
    columns = {
        "part": pa.array(
            np.concatenate([np.full(len(p), number, np.int8) for number, p in present])
        ),
        "user": pa.array(np.concatenate([p.user for _, p in present])),
        "item": pa.array(np.concatenate([p.item for _, p in present])),
        "plays": pa.array(np.concatenate([p.plays for _, p in present])),
    }
    if split.train.timestamp is not None:
        columns["timestamp"] = pa.array(np.concatenate([p.timestamp for _, p in present]))
    _write_table(pa.table(columns), path)


def _write_events(path: Path, events: Events) -> None:
    columns = {
        "pair": pa.array(events.pairs()),
        "timestamp": pa.array(events.timestamp),
        "plays": pa.array(events.plays),
    }
    about = {"until": "" if events.until is None else str(events.until)}
    about["adds_up"] = str(events.adds_up)
    _write_table(pa.table(columns).replace_schema_metadata(about), path)


def _read_events(path: Path) -> Events:
    """The listens of train's pairs, which are numbered in the order of the interactions."""
    table = _read_table(path)
    pair, about = table["pair"].to_numpy(), table.schema.metadata or {}
    until = about.get(b"until", b"")
    return Events(
        offsets=np.r_[0, np.cumsum(np.bincount(pair))].astype(np.int64),
        timestamp=table["timestamp"].to_numpy(),
        plays=table["plays"].to_numpy(),
        adds_up=about.get(b"adds_up") != b"False",
        until=int(until) if until else None,
    )


def _write_table(table: pa.Table, path: Path) -> None:
    with replacing(path) as temporary:
        pq.write_table(table, temporary)


def _read_table(path: Path) -> pa.Table:
    try:
        return pq.read_table(path)
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
