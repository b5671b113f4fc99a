"""A measured run on disk: `results.json` for people, `per_user.parquet` for paired tests."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jaxrec.data.interactions import IdMap
from jaxrec.errors import UserError
from jaxrec.files import replacing, write_json
from jaxrec.models.method import Show
from jaxrec.models.model import Model
from jaxrec.rank.measure import Measure
from jaxrec.runs.run_folder import RunFolder, is_run_of_final


def measure_finally(
    measure: Measure, model: Model, *, step: int | None, show: Show
) -> tuple[dict[str, Any], pa.Table]:
    """The figures of all users beside the most-popular list's, with their protocol, for JSON.

    Measured on test where there is one, else on validation, else as reconstruction.

    Args:
      measure: how.
      model: what to rank with.
      step: the updates it took; None where that says nothing.
      show: shows how far it is.

    Returns:
      What `write_results` takes: the figures, and the model's for each user.
    """
    part = measure.final_part
    columns = {
        name: measure.of_all(part, candidate, measure.settings.ks, show)
        for name, candidate in (("model", model), ("most_popular", measure.most_popular()))
    }
    results = {
        "step": step,
        "part": part,
        "protocol": columns["model"].protocol,
        "metrics": {name: each.summary(seed=measure.seed) for name, each in columns.items()},
        "beyond_accuracy": {name: each.beyond for name, each in columns.items()},
    }
    own = columns["model"]
    return results, per_user_table(own.per_user, own.users, measure.split.train.users)


def per_user_table(per_user: Mapping[str, np.ndarray], users: np.ndarray, ids: IdMap) -> pa.Table:
    """The figures of each user beside the user's id.

    Args:
      per_user: [n] float64 by metric.
      users: [n] int32, whose figures these are.
      ids: the users' external ids.

    Returns:
      Column `user`, the external id as text, and a float64 column per metric.
    """
    names = pa.array([str(each) for each in ids.ids[users].tolist()], pa.string())
    return pa.table({"user": names, **{name: pa.array(each) for name, each in per_user.items()}})


def write_results(folder: Path, results: Mapping[str, Any], per_user: pa.Table) -> None:
    """Writes both files, each whole or not at all; `results.json` last, as the sign of both.

    Args:
      folder: exists.
      results: as JSON; `results["metrics"]["model"]` has the mean of each column of `per_user`.
      per_user: as of `per_user_table`.
    """
    paths = RunFolder(folder)
    with replacing(paths.per_user) as temporary:
        pq.write_table(per_user, temporary)
    write_json(paths.results, results)


def read_results(folder: Path) -> tuple[dict[str, Any], pa.Table]:
    """Reads what `write_results` wrote.

    Raises:
      UserError: a file is missing or damaged, or the two are not of one measurement.
    """
    paths = RunFolder(folder)
    if not paths.results.exists():
        raise UserError(
            f"{folder}: no results there (no results.json); expected the folder of a run that "
            "`train` or `evaluate` has measured"
        )
    try:
        results: dict[str, Any] = json.loads(paths.results.read_text(encoding="utf-8"))
        means = {name: each["mean"] for name, each in results["metrics"]["model"].items()}
        if not {"part", "protocol", "beyond_accuracy"} <= results.keys():
            raise KeyError
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{paths.results}: unreadable ({type(error).__name__}); expected what `train` or "
            "`evaluate` writes"
        ) from error
    try:
        table = pq.read_table(paths.per_user)
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(
            f"{paths.per_user}: missing or unreadable; expected the figures of each user, "
            f"{_remedy(folder)}"
        ) from error
    if not _agree(table, means):
        raise UserError(
            f"{paths.per_user}: not of the measurement in results.json; expected both of one, "
            f"{_remedy(folder)}"
        )
    return results, table


def _remedy(folder: Path) -> str:
    if is_run_of_final(folder):
        return f"which `evaluate --final` writes again without {RunFolder(folder).results}"
    return f"which `evaluate --workdir={folder}` writes"


def _agree(table: pa.Table, means: Mapping[str, float]) -> bool:
    """A kill between the two files leaves a new one beside an old one; their means tell."""
    return set(table.column_names) == {"user", *means} and all(
        math.isclose(table[name].to_numpy().mean(), mean, rel_tol=1e-9, abs_tol=1e-12)
        for name, mean in means.items()
    )
