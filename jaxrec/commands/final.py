"""`evaluate --final`: the frozen choice, trained on train + validation, measured on test once."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jaxrec import baselines
from jaxrec.commands.choice import FROZEN_NAME, SEED_PREFIX, Choice, read_choice
from jaxrec.commands.measure import show_results
from jaxrec.commands.prepare import prepare_split
from jaxrec.commands.results import read_results, write_results
from jaxrec.commands.train import say_device, train_on
from jaxrec.config import RunConfig, to_json, with_fields
from jaxrec.data.splits import Split
from jaxrec.errors import UserError
from jaxrec.files import remove_leftovers, write_json
from jaxrec.rank.metrics import bootstrap_intervals
from jaxrec.report.console import Console
from jaxrec.train.lock import locked
from jaxrec.train.run_folder import RunFolder, first_difference, identity
from jaxrec.train.stop import StopRequest

FOLDER_NAME = "final"


def final(workdir: Path, *, config: RunConfig | None, seeds: int) -> None:
    """Trains the choice with several seeds in `workdir`/final and measures each on test, once.

    The data are split by `config.seed`, without a validation part: what would go there stays in
    train. The k-th run, from 0, is trained with the seed `config.seed` + k, never looks at test
    before its last epoch, and goes on where it was stopped. A figure that is there is shown, never
    measured again; more seeds may be added.

    Args:
      workdir: the folder of the choice.
      config: the choice; None for the one in `workdir`/best_config.json.
      seeds: how many runs. A method that chance has no part in is fitted once.

    Raises:
      UserError: there is no choice, it leaves the number of epochs open or holds out no test part,
        or another one has been measured there.
      RunError: a run failed.
      Stopped: by SIGTERM or Ctrl-C; what there was to save is saved.
    """
    choice = read_choice(workdir) if config is None else Choice(config, None)
    _check(choice.config)
    whole = without_validation(choice.config)
    console = Console(quiet=whole.quiet)
    folder = workdir / FOLDER_NAME
    with StopRequest(whole.checkpoint.grace_seconds) as stop:
        say_device(whole, console)
        split = prepare_split(whole, console)
        with locked(folder, console.warning):
            remove_leftovers(folder)
            _freeze(folder, whole, split, choice)
            measured = _seeds_measured(folder)
            wanted = max(seeds, len(measured)) if _is_random(whole) else 1
            runs: list[tuple[dict[str, Any], pa.Table]] = []
            for seed in range(whole.seed, whole.seed + wanted):
                run = folder / f"{SEED_PREFIX}{seed}"
                # Also where a stop came between a seed's figures and those of all.
                if not RunFolder(run).results.exists():
                    console.note(f"\nseed {seed} ({len(runs) + 1} of {wanted})")
                    config_of_seed = with_fields(whole, {"seed": seed})
                    train_on(split, config_of_seed, run, stop, console, peek=False)
                runs.append(read_results(run))
            if len(measured) == wanted:
                results, _ = read_results(folder)
                console.note(f"measured before, in {folder}; nothing is measured again")
            else:
                results, per_user = _over_seeds(runs, whole, choice)
                write_results(folder, results, per_user)
    show_results(results, console)
    console.files(
        {
            RunFolder(folder).results: "the figures above, those of each seed, and their protocol",
            RunFolder(folder).per_user: "the same for each user, mean over the seeds",
            folder: "a run's folder for each seed",
        }
    )


def without_validation(config: RunConfig) -> RunConfig:
    """The configuration whose split leaves in train what would go to validation.

    Validation is always cut from train, after test, so test stays what it is; but pairs that only
    validation made known are no longer cold.
    """
    return with_fields(config, {"data.validation_fraction": 0.0, "data.validation_last_n": 0})


def _check(config: RunConfig) -> None:
    if config.eval.patience:
        raise UserError(
            f"config.eval.patience is {config.eval.patience}; expected 0 with --final, whose "
            "number of epochs is frozen (as `tune` does in best_config.json)"
        )
    if config.data.split == "none":
        raise UserError(
            "config.data.split is 'none'; expected one with a test part to measure on with --final"
        )


def _is_random(config: RunConfig) -> bool:
    return config.method == "gcn" or config.method in baselines.RANDOM


def _freeze(folder: Path, config: RunConfig, split: Split, choice: Choice) -> None:
    """Writes down what is going to be measured before anything is, or checks that it's the same.

    Else one could look at test, change a setting and look again.
    """
    path = folder / FROZEN_NAME
    frozen = {
        **identity(config, split),
        "epochs": config.epochs if config.method == "gcn" else None,
        "eval.ks": list(config.eval.ks),
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
    write_json(
        path,
        {"identity": frozen, "config": to_json(choice.config), "validation": choice.validation},
    )


def _seeds_measured(folder: Path) -> list[int]:
    if not RunFolder(folder).results.exists():
        return []
    results, _ = read_results(folder)
    return list(results["seeds"])


def _over_seeds(
    runs: Sequence[tuple[Mapping[str, Any], pa.Table]], config: RunConfig, choice: Choice
) -> tuple[dict[str, Any], pa.Table]:
    """The figures over all seeds, and each user's mean over them."""
    results, tables = [each for each, _ in runs], [table for _, table in runs]
    first = results[0]
    names = list(first["metrics"]["model"])
    per_user = {
        name: np.mean([table[name].to_numpy() for table in tables], axis=0) for name in names
    }
    intervals = bootstrap_intervals(per_user, seed=config.seed)
    figures = {}
    for name in names:
        values = [each["metrics"]["model"][name]["mean"] for each in results]
        figures[name] = {
            "mean": float(per_user[name].mean()),
            "low": intervals[name][0],
            "high": intervals[name][1],
            "deviation": float(np.std(values, ddof=1)) if len(values) > 1 else None,
            "seeds": values,
        }
    beyond = {
        name: float(np.mean([each["beyond_accuracy"]["model"][name] for each in results]))
        for name in first["beyond_accuracy"]["model"]
    }
    return {
        "part": first["part"],
        "seeds": list(range(config.seed, config.seed + len(runs))),
        "definitions": {
            "mean": "of the users' means over the seeds",
            "low, high": "95% bootstrap interval over users of that mean; the deviation over "
            "seeds is beside it, not in it",
            "deviation": "standard deviation over the seeds' means, divided by n - 1",
        },
        "trained_on": "train and validation",
        "chosen_by": choice.validation,
        "protocol": first["protocol"],
        "metrics": {"model": figures, "most_popular": first["metrics"]["most_popular"]},
        "beyond_accuracy": {
            "model": beyond,
            "most_popular": first["beyond_accuracy"]["most_popular"],
        },
    }, pa.table({"user": tables[0]["user"], **{n: pa.array(v) for n, v in per_user.items()}})
