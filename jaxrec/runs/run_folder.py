"""The run's folder: what a run is made of, written once and checked when it is opened again.

`config.json`, the ids and interactions as Parquet; beside them, written by others, the
checkpoints, metric files and results. With it `evaluate`, `recommend` and `similar` need no data.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jaxrec.config import RunConfig, read_config, to_json
from jaxrec.data.interactions import IdMap, Interactions
from jaxrec.data.splits import Split
from jaxrec.errors import UserError
from jaxrec.files import replacing, write_json
from jaxrec.runs.checkpoint import saved_steps
from jaxrec.runs.methods import method_of

# `evaluate --final` keeps what it measures in choice.json, beside a run's folder seed-<number> for
# each seed.
FROZEN_NAME, SEED_PREFIX = "choice.json", "seed-"
PARTS = ("train", "validation", "test", "known")
_FINGERPRINT = "data ({} interactions, SHA-256)"


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """The paths of a run's folder."""

    root: Path

    @property
    def config(self) -> Path:
        """The configuration and the identity of the run."""
        return self.root / "config.json"

    @property
    def checkpoints(self) -> Path:
        """The Orbax checkpoints, a folder per step."""
        return self.root / "model.ckpt"

    @property
    def members(self) -> Path:
        """The members of a blend, a run's folder each without data of its own."""
        return self.root / "members"

    def member(self, name: str) -> "RunFolder":
        """Where a member of a blend is fitted."""
        return RunFolder(self.members / name)

    @property
    def for_use(self) -> "RunFolder":
        """What was chosen here, fitted to all listens, test included: to be used, not measured."""
        return RunFolder(self.root / "for-use")

    @property
    def fitted_to_all(self) -> Path:
        """Says of such a folder that it is one, and that it is whole."""
        return self.root / "fitted-to-all.json"

    @property
    def users(self) -> Path:
        """The users' ids by index."""
        return self.root / "users.parquet"

    @property
    def items(self) -> Path:
        """The items' ids and names by index."""
        return self.root / "items.parquet"

    @property
    def interactions(self) -> Path:
        """Every interaction by part."""
        return self.root / "interactions.parquet"

    @property
    def metrics(self) -> Path:
        """Loss and metrics by epoch, a line of JSON each."""
        return self.root / "metrics.jsonl"

    @property
    def results(self) -> Path:
        """The final figures."""
        return self.root / "results.json"

    @property
    def per_user(self) -> Path:
        """The final figures of each user."""
        return self.root / "per_user.parquet"

    @property
    def profile(self) -> Path:
        """A trace of some steps, where one was asked for."""
        return self.root / "profile"

    @property
    def curves(self) -> Path:
        """The picture of loss and recall by epoch."""
        return self.root / "curves.png"


def is_run_of_final(workdir: Path) -> bool:
    """Whether this is the folder of `--final` or a seed's in it: only that may write there."""
    folder = workdir.resolve()
    of_seed = folder.name.startswith(SEED_PREFIX) and (folder.parent / FROZEN_NAME).exists()
    return of_seed or (folder / FROZEN_NAME).exists()


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """A run as its folder tells it."""

    config: RunConfig
    split: Split


def identity(config: RunConfig, split: Split) -> dict[str, Any]:
    """What a run's lists depend on, by field, but for how long it trains."""
    return training_identity(config, split) | method_of(config).ranking(config)


def training_identity(config: RunConfig, split: Split) -> dict[str, Any]:
    """What must agree for a run to go on in a folder, by field.

    The data count by content, not by where they lie. Left out is what may change between two
    starts: how long to train, what only the ranking depends on, what to measure, when to save.
    """
    fields = {"method": config.method} | method_of(config).identity(config)
    return fields | _data_identity(config, split)


def _data_identity(config: RunConfig, split: Split) -> dict[str, Any]:
    fields: dict[str, Any] = {"data.weight": config.data.weight}
    for name, fingerprint in split.fingerprints.items():
        fields[_FINGERPRINT.format(name)] = fingerprint
    if split.known is not None:
        fields[_FINGERPRINT.format("known")] = split.known.fingerprint()
    plays = split.train.plays.astype("<f8").tobytes()
    fields["data (train plays, SHA-256)"] = hashlib.sha256(plays).hexdigest()
    return fields


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
    wanted, scored_by = training_identity(config, split), _scored_by(config)
    if folder.config.exists():
        saved = _read_saved(folder.config)
        known, asked = saved["identity"], wanted
        if config.eval.patience and steps_per_epoch:  # the best is the best of comparable scores
            known, asked = known | saved["scored_by"], asked | scored_by
        if difference := first_difference(known, asked):
            field, there, here = difference
            raise UserError(
                f"{folder.root} holds a run with {field} = {there}, this one has {here}; expected "
                "the same, or a --workdir of its own"
            )
        scored_by = {
            name: value if saved["scored_by"].get(name) == value else "several"
            for name, value in scored_by.items()
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
        # Last, since its presence says that the rest is whole.
        write_json(
            folder.config,
            {
                "config": to_json(config),
                "identity": wanted,
                "scored_by": scored_by,
                "protocol": split.protocol,
                "counts": split.counts(),
            },
        )
    except OSError as error:
        raise UserError(
            f"--workdir={folder.root}: {error.strerror}; expected a folder to write to"
        ) from error


def _scored_by(config: RunConfig) -> dict[str, Any]:
    """What the scores that early stopping goes by depend on, beside what is trained."""
    scores = {"eval.metric": config.eval.metric, "eval.users": config.eval.users}
    return scores | method_of(config).ranking(config)


def first_difference(
    first: Mapping[str, Any], second: Mapping[str, Any]
) -> tuple[str, str, str] | None:
    """The first field that two records don't agree in, or None: `method`, then by alphabet.

    Returns:
      The field, with those of groups written `group.field`, and both values, each short enough for
      a line; None stands for a field that isn't there.
    """
    flat = _flatten(first), _flatten(second)
    fields = flat[0].keys() | flat[1].keys()
    for field in sorted(fields, key=lambda name: (name != "method", name)):
        values = [each.get(field) for each in flat]
        if values[0] != values[1]:
            return field, _short(values[0]), _short(values[1])
    return None


def _flatten(record: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            # As JSON has them, where there are no tuples.
            flat[prefix + name] = list(value) if isinstance(value, tuple) else value
    return flat


def load_run(folder: RunFolder) -> Run:
    """Reads a run back from its folder alone.

    Raises:
      UserError: no run there, or a file of it is missing or damaged.
    """
    if not folder.config.exists():
        raise UserError(
            f"--workdir={folder.root}: no run there (no config.json); "
            "expected a folder that `train` has written"
        )
    saved = _read_saved(folder.config)
    try:
        config = read_config(saved["config"])
    except UserError as error:
        raise UserError(f"{folder.config}: {error} (`train` there writes it anew)") from error
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
        if name != "train" and saved["identity"].get(_FINGERPRINT.format(name)) is None:
            parts[name] = None
    train = parts["train"]
    assert train is not None
    split = Split(
        train, parts["validation"], parts["test"], saved["protocol"], known=parts["known"]
    )
    return Run(config=config, split=split)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 20 else text[:12] + "…"


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


def _write_table(table: pa.Table, path: Path) -> None:
    with replacing(path) as temporary:
        pq.write_table(table, temporary)


def _read_table(path: Path) -> pa.Table:
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(f"{path}: unreadable ({error}); expected the file `train` wrote") from error


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
