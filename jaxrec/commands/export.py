"""`export`: a run's model as a bundle, to deploy where there is no JAX."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jaxrec.data.splits import Split
from jaxrec.errors import UserError
from jaxrec.models.histories import Histories
from jaxrec.models.popularity import item_users
from jaxrec.rank.measure import all_seen
from jaxrec.report.console import Console
from jaxrec.runs.lock import locked
from jaxrec.runs.results import read_results
from jaxrec.runs.run_folder import RunFolder
from jaxrec.runs.saved_models import save_model
from jaxrec.runs.source import source_of
from jaxrec.runs.trained import Trained, known_items, open_for_use
from jaxrec.serve.bundle import Bundle, check_place, read_bundle, write_bundle
from jaxrec.serve.ids import item_table
from jaxrec.serve.models import KINDS


def export(workdir: Path, *, output: Path | None, step: int | None) -> None:
    """Writes the bundle of a run; the data need not be there.

    Args:
      workdir: the run's folder.
      output: where the bundle goes; None for `bundle` in the run's folder.
      step: which checkpoint, None for the one that `train` reported on.

    Raises:
      UserError: no run there, a model that can't be exported, or a folder that holds something
        else or can't be written to.
    """
    folder = RunFolder(workdir).bundle if output is None else output
    console = Console()
    trained = open_for_use(workdir, step)
    told = figures_of(workdir, step) | ({} if step is not None else {"source": source_of(workdir)})
    bundle = bundle_of(trained, told)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        check_place(folder)
        with locked(folder, console.warning):
            write_bundle(folder, bundle)
    except OSError as error:
        raise UserError(
            f"--output={folder}: {error.strerror}; expected a folder to write to"
        ) from error
    read_bundle(folder)  # what is said to be there has been read back
    size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    console.note(
        f"wrote the bundle {folder}, {size / 1e6:,.1f} MB: {len(bundle.items):,} songs, "
        f"{len(bundle.users):,} listeners"
    )


def bundle_of(trained: Trained, told: dict[str, Any]) -> Bundle:
    """What goes into the bundle of a run.

    Args:
      trained: the run.
      told: what else is told of it, such as `figures_of`.

    Raises:
      UserError: the model sums over the whole graph, which no bundle holds.
    """
    saved = save_model(trained.model)
    assert saved.about is not None
    about = {name: saved.about[name] for name in ("kind", "settings")}
    _check_kinds(about, trained.config.method)
    split = trained.split
    return Bundle(
        about=about
        | {
            "method": trained.config.method,
            "weight": trained.config.data.weight,
            "protocol": split.protocol,
        }
        | told,
        model={name: np.asarray(each) for name, each in saved.arrays.items()},
        histories=_histories(split, trained),
        items=item_table(split.train.items),
        users=pa.table({"id": pa.array(split.train.users.ids)}),
    )


def figures_of(workdir: Path, step: int | None) -> dict[str, Any]:
    """`part` and `metrics` of the run as it was measured; of none where it wasn't."""
    folder = RunFolder(workdir)
    if step is not None or not folder.results.exists():
        return {"part": None, "metrics": {}}
    results = read_results(workdir)
    return {
        "part": results.part,
        "metrics": {name: each["mean"] for name, each in results.metrics["model"].items()},
    }


def _histories(split: Split, trained: Trained) -> dict[str, np.ndarray]:
    histories = Histories.of_all(split.train, trained.config.data.weight)
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


def _check_kinds(about: dict[str, Any], method: str) -> None:
    """Raises UserError where the model or a member of it is of a kind that no bundle has."""
    if about["kind"] not in KINDS:
        raise UserError(
            f"config.method is {method!r}, whose model sums over the graph of all listens (walks "
            "or GF-CF), which a bundle doesn't hold; expected a model without, such as one trained "
            "with --config.walks.weight=0"
        )
    own = about["settings"]
    for kind, settings in zip(own.get("kinds", ()), own.get("members", ()), strict=True):
        _check_kinds({"kind": kind, "settings": settings}, method)
