"""A method fitted in a run's folder, going on where a fit there stopped."""

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

from jaxrec.config import RunConfig
from jaxrec.data.splits import Split
from jaxrec.errors import UserError
from jaxrec.hosts import together
from jaxrec.models.method import Fitting
from jaxrec.models.model import Model
from jaxrec.runs.checkpoint import Checkpoints, Progress
from jaxrec.runs.epochs import Job, run_epochs
from jaxrec.runs.methods import blended, fitting_of, member_config, method_of
from jaxrec.runs.run_folder import RunFolder


@dataclasses.dataclass(frozen=True, eq=False)
class Fitted:
    """What came of it.

    Attributes:
      model: what ranks.
      step: the updates it took; None where that says nothing.
      history: the rows of the epochs that have a loss.
    """

    model: Model
    step: int | None
    history: list[dict[str, Any]]


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """What is going to be fitted: all that can be refused is refused before a folder is touched.

    Attributes:
      config: the configuration.
      fitting: the method, ready to be fitted; None for a blend.
      members: a blend's, by name, in the order of fitting.
    """

    config: RunConfig
    fitting: Fitting | None
    members: dict[str, "Plan"]

    def steps_per_epoch(self, folder: RunFolder) -> dict[RunFolder, int]:
        """Of each fit that has epochs, by its folder."""
        steps: dict[RunFolder, int] = {}
        if self.fitting is not None and self.fitting.iterative:
            steps[folder] = self.fitting.steps_per_epoch
        for name, member in self.members.items():
            steps |= member.steps_per_epoch(folder.member(name))
        return steps


def plan(config: RunConfig, split: Split) -> Plan:
    """Makes the method that `config.method` names ready to be fitted to train.

    Raises:
      UserError: the settings don't suit the data, each other or the memory.
    """
    names = method_of(config).members(config)
    if names:
        members = {name: plan(member_config(config, name), split) for name in names}
        return Plan(config, None, members)
    fitting = fitting_of(config, split.train)
    if fitting.iterative and config.eval.patience and split.validation is None:
        raise UserError(
            f"config.eval.patience is {config.eval.patience} without a validation part to stop by; "
            "expected config.data.validation_fraction above 0, or patience 0"
        )
    return Plan(config, fitting, {})


def fit(job: Job, planned: Plan) -> Fitted:
    """Fits what is planned in the job's folder, a blend's members one after another.

    Raises:
      UserError: the settings don't suit the data or the memory, or no checkpoint there is whole.
      RunError: the loss became NaN or infinite, or a checkpoint couldn't be saved.
      Stopped: it was asked for; what there was to save is saved.
    """
    if planned.fitting is not None:
        return _fit(dataclasses.replace(job, config=planned.config), planned.fitting)
    models = {}
    for number, (name, member) in enumerate(planned.members.items(), start=1):
        job.console.note(f"\n{name}, {number} of {len(planned.members)} in the blend")
        folder = job.folder.member(name)
        folder.root.mkdir(parents=True, exist_ok=True)
        models[name] = fit(dataclasses.replace(job, folder=folder), member).model
    model = blended(models, planned.config, job.measure.split.train)
    return Fitted(model, step=None, history=[])


def _fit(job: Job, fitting: Fitting) -> Fitted:
    """Fits from the newest whole checkpoint on; the best counts where patience decides."""
    config, folder, console = job.config, job.folder, job.console
    for warning in fitting.warnings:
        console.warning(warning)
    for note in fitting.notes:
        console.note(note)
    with _open(folder, config.checkpoint.keep) as checkpoints:
        for damage in checkpoints.damages():
            console.warning(f"damaged checkpoint, not used: {damage}")
        latest = _same_for_all(checkpoints)
        if latest is None:
            state, progress = fitting.fresh(), Progress()
        else:
            state = restore(checkpoints, latest, fitting)
            progress = checkpoints.progress(latest)
            console.note(
                f"going on in {folder.root} after step {latest} (epochs done: "
                f"{len(progress.history)})"
            )
        if config.profile and fitting.iterative:
            with tempfile.TemporaryDirectory() as aside:  # all take part, one trace is enough
                where = folder.profile if together.is_first() else Path(aside)
                fitting.profile(where, state)
            console.note(f"wrote a trace of some steps to {folder.profile}")
        with job.stop.deferring():
            state, history = run_epochs(job, fitting, state, progress, checkpoints)
        together.by_first("saved", checkpoints.wait)
        best = together.decided("best", checkpoints.best_step())
        if config.eval.patience and best is not None and best != fitting.step(state):
            checkpoints.look_again()  # what another process has saved
            state = restore(checkpoints, best, fitting)
    if not fitting.iterative:
        return Fitted(fitting.model(state), step=None, history=[])
    return Fitted(fitting.model(state), fitting.step(state), history)


def _open(folder: RunFolder, keep: int) -> Checkpoints:
    """The checkpoints, which process 0 writes and the others read."""
    own = together.by_first("checkpoints", lambda: Checkpoints(folder.checkpoints, keep=keep))
    return Checkpoints(folder.checkpoints, keep=keep, read_only=True) if own is None else own


def _same_for_all(checkpoints: Checkpoints) -> int | None:
    """The newest whole checkpoint's step, which every process must see."""
    latest: int | None = together.decided("latest", checkpoints.latest_step())
    if latest is not None and latest not in checkpoints.steps():
        raise UserError(
            f"process {together.index()} doesn't find step {latest} in {checkpoints.directory}, "
            "where process 0 does; expected a --workdir that all processes share"
        )
    return latest


def restore(checkpoints: Checkpoints, step: int, fitting: Fitting) -> Any:
    """The state saved at a step.

    Raises:
      UserError: what was read is not what was saved, or of other shapes.
    """
    return fitting.restore(checkpoints.restore(step, fitting.shapes(checkpoints.about(step))))
