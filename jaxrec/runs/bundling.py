"""A run's model and all that its lists are made of, put together for a bundle."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jaxrec.config import RunConfig
from jaxrec.data.splits import Split
from jaxrec.errors import UserError
from jaxrec.models.blend import Blend, settled
from jaxrec.models.filters import Filter
from jaxrec.models.model import Model
from jaxrec.models.popularity import item_users
from jaxrec.rank.measure import all_seen, histories_of
from jaxrec.report.console import Console
from jaxrec.runs.lock import locked
from jaxrec.runs.methods import METHODS, method_of
from jaxrec.runs.results import read_results
from jaxrec.runs.run_folder import RunFolder
from jaxrec.runs.saved_models import save_model
from jaxrec.runs.trained import known_items
from jaxrec.serve.bundle import Bundle, check_place, read_bundle, write_bundle
from jaxrec.serve.ids import item_table


def bundle_of(model: Model, config: RunConfig, split: Split, told: dict[str, Any]) -> Bundle:
    """What goes into a bundle.

    Args:
      model: what ranks.
      config: by which it was fitted.
      split: to what.
      told: what else is told of it, such as `figures_of`.

    Raises:
      UserError: the model sums over the whole graph, which no bundle holds.
    """
    _check_no_sums(model, config)
    saved = save_model(settled(model, histories_of(split.train, config)))
    assert saved.about is not None
    about = {name: saved.about[name] for name in ("kind", "settings")}
    return Bundle(
        about=about
        | {
            "method": config.method,
            "weight": config.ranking_weights.plays,
            "half_life_days": config.ranking_weights.half_life_days,
            "learnt": dataclasses.asdict(config.learnt_weights),
            "protocol": split.protocol,
        }
        | told,
        model={name: _narrow(np.asarray(each)) for name, each in saved.arrays.items()},
        histories=_histories(split, config),
        items=item_table(split.train.items),
        users=pa.table({"id": pa.array(split.train.users.ids)}),
    )


def _narrow(array: np.ndarray) -> np.ndarray:
    """Whole numbers in half the bytes where they fit: half of a matrix's entries are some."""
    fits = array.dtype == np.int64 and np.abs(array).max(initial=0) < 2**31
    return array.astype(np.int32) if fits else array


def figures_of(workdir: Path | None, step: int | None = None) -> dict[str, Any]:
    """`part` and `metrics` of a run as it was measured; none where it wasn't."""
    if workdir is None or step is not None or not RunFolder(workdir).results.exists():
        return {"part": None, "metrics": {}}
    results = read_results(workdir)
    return {
        "part": results.part,
        "metrics": {name: each["mean"] for name, each in results.metrics["model"].items()},
    }


def _histories(split: Split, config: RunConfig) -> dict[str, np.ndarray]:
    histories = histories_of(split.train, config)
    seen = all_seen(split)
    return {
        "offsets": histories.offsets,
        "items": histories.items,
        "weights": histories.weights,
        "seen_offsets": seen.user_offsets(),
        "seen_items": seen.item,
        "listed": known_items(split),
        "users": item_users(split.train).astype(np.int32),
    }


def _check_no_sums(model: Model, config: RunConfig) -> None:
    """Raises UserError where the model or a member of it sums over the graph."""
    sums = _sums(model)
    if sums:
        raise UserError(
            f"config.method is {config.method!r}, whose model sums over the graph of all listens, "
            f"which a bundle doesn't hold; expected {_way_on(sums, config)}"
        )


def _sums(model: Model) -> list[Filter]:
    if isinstance(model, Blend):
        return [each for member in model.members for each in _sums(member)]
    return [model] if isinstance(model, Filter) else []


def _way_on(sums: list[Filter], config: RunConfig) -> str:
    """How to train a model that a bundle holds."""
    ends = "--config.walks.ends=500"
    names = method_of(config).members(config) or (config.method,)
    held = tuple(name for name in names if not _always_sums(name, config))
    if not held:
        return (
            f"another config.method than {names[0]}; where auto chose it, --config.blend.models "
            "for what auto is to try"
        )
    if held != names:
        also = f" and {ends}" if any(each.low_rank is None for each in sums) else ""
        return (
            f"a blend without {', '.join(name for name in names if name not in held)}: train in "
            f'another --workdir with --config.blend.models="{held}"{also}'
        )
    if any(field.endswith("walks.ends") for field in method_of(config).identity(config)):
        return f"walks cut to their best ends: train in another --workdir with {ends}"
    return (
        f"walks cut to their best ends: train with {ends} in the same --workdir, where nothing is "
        "learnt again; where auto chose the method, in another --workdir"
    )


def _always_sums(name: str, config: RunConfig) -> bool:
    """Whether a method's sums over the graph are no walks, which could be cut."""
    method = METHODS[name]
    return method.sums and not method.owns("walks.ends", config)


def put_bundle(folder: Path, bundle: Bundle) -> int:
    """Writes a bundle to a folder, reads it back, and returns its size in bytes.

    Raises:
      UserError: the folder holds something else, is being written to, or can't be.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        check_place(folder)
        with locked(folder, Console().warning):
            write_bundle(folder, bundle)
    except OSError as error:
        raise UserError(
            f"{folder}: {error.strerror}; expected a folder to write a bundle to"
        ) from error
    read_bundle(folder)
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
