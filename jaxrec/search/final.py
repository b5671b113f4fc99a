"""Figures of a frozen choice: written down before it is measured, and averaged over seeds."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from jaxrec.config import RunConfig, with_fields
from jaxrec.data.splits import Split
from jaxrec.errors import UserError
from jaxrec.files import write_json
from jaxrec.rank.metrics import bootstrap_intervals
from jaxrec.runs.identity import first_difference, identity
from jaxrec.runs.results import Results, read_results
from jaxrec.runs.run_folder import FROZEN_NAME, RunFolder
from jaxrec.search.choice import Choice

FOLDER_NAME = "final"


def without_validation(config: RunConfig) -> RunConfig:
    """The configuration whose split leaves in train what would go to validation.

    Validation is always cut from train, after test, so test stays what it is; but pairs that only
    validation made known are no longer cold.
    """
    return with_fields(config, {"data.validation_fraction": 0.0, "data.validation_last_n": 0})


def check(config: RunConfig) -> None:
    """Refuses what can't be measured as it was frozen.

    Raises:
      UserError: the number of epochs is left open, or there is no test part.
    """
    if config.eval.patience:
        raise UserError(
            f"config.eval.patience is {config.eval.patience}; expected 0 with --final, whose "
            "number of epochs is frozen (as `tune` does in best_config.json)"
        )
    if config.data.split == "none":
        raise UserError(
            "config.data.split is 'none'; expected one with a test part to measure on with --final"
        )


def freeze(folder: Path, config: RunConfig, split: Split, choice: Choice) -> None:
    """Writes down what is going to be measured before anything is, or checks that it's the same.

    Else one could look at test, change a setting and look again.
    """
    path = folder / FROZEN_NAME
    frozen = {
        **identity(config, split),
        "eval.ks": list(config.eval.ks),
        "eval.seen": config.eval.seen,
        "eval.most_users": config.eval.most_users,
        "eval.cold": config.eval.cold,
        "eval.cold_history": config.eval.cold_history,
    }
    if path.exists():
        try:
            known = json.loads(path.read_text(encoding="utf-8"))["identity"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{path}: unreadable ({type(error).__name__}); expected what --final wrote"
            ) from error
        if difference := first_difference(known, frozen):
            field, there, here = difference
            raise UserError(
                f"{folder} holds the choice {field} = {there}, this one has {here}; a choice is "
                "measured as it was frozen, so expected the same, or a --workdir of its own"
            )
        return
    write_json(path, {"identity": frozen, **choice.to_json()})


def seeds_measured(folder: Path) -> list[int]:
    """The seeds whose mean is written there."""
    return read_results(folder).seeds if RunFolder(folder).results.exists() else []


def over_seeds(runs: Sequence[Results], config: RunConfig, choice: Choice) -> Results:
    """The figures over all seeds, and each user's mean over them; by each view, where there are."""
    first = runs[0]
    views = {
        seen: over_seeds([run.views[seen] for run in runs], config, choice) for seen in first.views
    }
    names = list(first.metrics["model"])
    per_user = {
        name: np.mean([run.per_user[name].to_numpy() for run in runs], axis=0) for name in names
    }
    intervals = bootstrap_intervals(per_user, seed=config.seed)
    figures = {}
    for name in names:
        values = [run.metrics["model"][name]["mean"] for run in runs]
        figures[name] = {
            "mean": float(per_user[name].mean()),
            "low": intervals[name][0],
            "high": intervals[name][1],
            "deviation": float(np.std(values, ddof=1)) if len(values) > 1 else None,
            "seeds": values,
        }
    beyond = {
        name: float(np.mean([run.beyond_accuracy["model"][name] for run in runs]))
        for name in first.beyond_accuracy["model"]
    }
    columns = {name: pa.array(each) for name, each in per_user.items()}
    return Results(
        part=first.part,
        protocol=first.protocol,
        metrics={"model": figures, "most_popular": first.metrics["most_popular"]},
        beyond_accuracy={"model": beyond, "most_popular": first.beyond_accuracy["most_popular"]},
        per_user=pa.table({"user": first.per_user["user"], **columns}),
        over_seeds={
            "seeds": list(range(config.seed, config.seed + len(runs))),
            "definitions": {
                "mean": "of the users' means over the seeds",
                "low, high": "95% bootstrap interval over users of that mean; the deviation over "
                "seeds is beside it, not in it",
                "deviation": "standard deviation over the seeds' means, divided by n - 1",
            },
            "trained_on": "train and validation",
            "chosen_by": choice.validation,
        },
        views=views,
    )
