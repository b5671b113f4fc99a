"""A fitted run, opened from its folder alone: nothing is fitted again."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxrec.config import RunConfig, with_fields
from jaxrec.data.splits import Split
from jaxrec.errors import UserError
from jaxrec.gcn.mesh import mesh_of
from jaxrec.gcn.message_passing import unavailable_reason
from jaxrec.models.method import Fitting
from jaxrec.models.model import Model
from jaxrec.models.popularity import item_users
from jaxrec.report.console import Console
from jaxrec.runs.checkpoint import Checkpoints
from jaxrec.runs.fit import restore
from jaxrec.runs.identity import STARTED_FROM, first_difference
from jaxrec.runs.methods import blended, fitting_of, member_config, method_of
from jaxrec.runs.record import load_run, saved_identity
from jaxrec.runs.run_folder import RunFolder
from jaxrec.runs.saved_models import model_shapes, restore_model


@dataclasses.dataclass(frozen=True, eq=False)
class Trained:
    """A run with what it has learnt.

    Attributes:
      config: the run's configuration.
      split: its interactions.
      model: what ranks.
      step: the checkpoint's step; None where the method has none.
      made_of: the fitting and the state that the model is made of; None of one that is kept whole,
        and of a blend.
      members: a blend's, by name; none of one that was saved as a whole.
    """

    config: RunConfig
    split: Split
    model: Model
    step: int | None
    made_of: tuple[Fitting, Any] | None = None
    members: Mapping[str, "Trained"] = dataclasses.field(default_factory=dict)


def open_trained(workdir: Path, step: int | None) -> Trained:
    """Opens a run: by default its best checkpoint if it stops early, else its last.

    Args:
      workdir: the run's folder.
      step: a checkpoint's step, 0 for the untrained model, None for the default.

    Raises:
      UserError: no run or no such checkpoint there, or a damaged one.
    """
    folder = RunFolder(workdir)
    run = load_run(folder)
    config = run.config
    if step == 0 and STARTED_FROM in saved_identity(folder):
        raise UserError(
            "--step=0: the run began with what another had learnt, which isn't kept; expected a "
            "step that was saved, or the run that it began with"
        )
    opened = _open(folder, _as_here(config), run.split, step)
    return dataclasses.replace(opened, config=config)


def _as_here(config: RunConfig) -> RunConfig:
    """The configuration with devices and a kernel that can be had here.

    The run may have been trained on another machine. The number of devices changes no bit.
    """
    try:
        mesh = mesh_of(config.mesh.devices)
    except UserError:
        config = with_fields(config, {"mesh.devices": 0})
        mesh = mesh_of(0)
    dealt = mesh is not None
    if unavailable_reason(config.model.kernel, jax.default_backend(), dealt=dealt):
        config = with_fields(config, {"model.kernel": "auto"})
    return config


def open_for_use(workdir: Path, step: int | None) -> Trained:
    """As `open_trained`, but what was fitted to all listens where there is such a model.

    That is never measured: it has seen test. One of other settings than the run now has, which was
    trained again since, is not used, and that is said.
    """
    folder = RunFolder(workdir)
    whole = folder.for_use
    if step is not None or not whole.fitted_to_all.exists():
        return open_trained(workdir, step)
    try:
        of = json.loads(whole.fitted_to_all.read_text(encoding="utf-8"))["of"]
    except (OSError, ValueError, KeyError, TypeError):
        of = {}
    if difference := first_difference(of, saved_identity(folder)):
        Console().warning(
            f"{whole.root} is of an earlier run ({difference[0]} was {difference[1]}, is "
            f"{difference[2]}) and not used"
        )
        return open_trained(workdir, None)
    Console().note(f"the model in {whole.root}, fitted to all listens")
    return open_trained(whole.root, None)


def _open(folder: RunFolder, config: RunConfig, split: Split, step: int | None) -> Trained:
    members = method_of(config).members(config)
    if members and not folder.saved_model.exists():
        if step is not None:
            raise UserError(
                f"--step={step}: a blend of {', '.join(members)}, each with steps of its own; "
                "expected no --step"
            )
        opened = {
            name: _open(folder.member(name), member_config(config, name), split, None)
            for name in members
        }
        models = {name: each.model for name, each in opened.items()}
        model = blended(models, config, split.train)
        return Trained(config, split, model, None, members=opened)
    if step == 0:
        fitting = fitting_of(config, split.train)
        if not fitting.iterative:
            raise _no_steps(config, step)
        state = fitting.fresh()
        return Trained(config, split, fitting.model(state), step, (fitting, state))
    if not folder.checkpoints.is_dir():
        raise _not_trained(folder)
    with Checkpoints(folder.checkpoints, read_only=True) as checkpoints:
        if step is None and not checkpoints.steps():
            raise _not_trained(folder)
        return _open_checkpoint(checkpoints, config, split, step)


def _open_checkpoint(
    checkpoints: Checkpoints, config: RunConfig, split: Split, step: int | None
) -> Trained:
    """The model of a checkpoint: kept whole, or as a state from which the method makes it."""
    if step in checkpoints.damaged:
        raise UserError(
            f"--step={step}: damaged ({checkpoints.damaged[step]}); expected one of "
            f"{', '.join(map(str, [0, *checkpoints.steps()]))}"
        )
    for damage in checkpoints.damages():
        Console().warning(f"damaged checkpoint, not used: {damage}")
    steps = checkpoints.steps()
    found = step
    if found is None:
        best = checkpoints.best_step() if config.eval.patience else None
        found = checkpoints.latest_step() if best is None else best
    if found not in steps:
        there = ", ".join(map(str, [0, *steps]))
        raise UserError(f"--step={found}: no such checkpoint; expected one of {there}")
    about = checkpoints.about(found)
    if about is not None:
        if step is not None:
            raise _no_steps(config, step)
        model = restore_model(checkpoints.restore(found, model_shapes(about)))
        return Trained(config, split, model, None)
    fitting = fitting_of(config, split.train)
    state = restore(checkpoints, found, fitting)
    return Trained(config, split, fitting.model(state), found, (fitting, state))


def _not_trained(folder: RunFolder) -> UserError:
    return UserError(
        f"--workdir={folder.root} holds no trained model yet; expected the run's `train` command "
        "first, which goes on in its folder"
    )


def _no_steps(config: RunConfig, step: int) -> UserError:
    return UserError(
        f"--step={step}: a model of {config.method} that is kept whole, without the steps that led "
        "to it; expected no --step"
    )


def known_items(split: Split) -> np.ndarray:
    """[num_items] bool: the items that train knows; the others can't be recommended."""
    return np.asarray(item_users(split.train) > 0)
