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
from jaxrec.runs.checkpoint import Checkpoints
from jaxrec.runs.checkpoint_folder import Progress
from jaxrec.runs.epochs import Job, run_epochs
from jaxrec.runs.methods import blended, fitting_of, member_config, method_of
from jaxrec.runs.run_folder import RunFolder
from jaxrec.train.carrying import Start, check_known
from jaxrec.train.network import NetworkFitting


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
      start: what the network begins with; None for chance.
    """

    config: RunConfig
    fitting: Fitting | None
    members: dict[str, "Plan"]
    start: Start | None = None

    def steps_per_epoch(self, folder: RunFolder) -> dict[RunFolder, int]:
        """Of each fit that has epochs, by its folder."""
        steps: dict[RunFolder, int] = {}
        if self.fitting is not None and self.fitting.iterative:
            steps[folder] = self.fitting.steps_per_epoch
        for name, member in self.members.items():
            steps |= member.steps_per_epoch(folder.member(name))
        return steps


def plan(config: RunConfig, split: Split, start: Start | None = None) -> Plan:
    """Makes the method that `config.method` names ready to be fitted to train.

    Args:
      config: the settings.
      split: its train is learnt from.
      start: what its network begins with; None for chance.

    Raises:
      UserError: the settings don't suit the data, each other, the memory or the start.
    """
    planned = _plan(config, split)
    if start is None:
        return planned
    check_known(start, split.train, config.model.dim)
    found = _starting(planned, start)
    if found is planned:
        raise UserError(
            f"--init_from with config.method={config.method}, which has no network to begin; "
            "expected config.method=gcn or a blend with it"
        )
    return found


def _starting(planned: Plan, start: Start) -> Plan:
    """The plan whose network begins with a start; itself where it has none."""
    if isinstance(planned.fitting, NetworkFitting):
        return dataclasses.replace(planned, start=start)
    members = {name: _starting(each, start) for name, each in planned.members.items()}
    changed = any(members[name] is not each for name, each in planned.members.items())
    return dataclasses.replace(planned, members=members) if changed else planned


def _plan(config: RunConfig, split: Split) -> Plan:
    names = method_of(config).members(config)
    if names:
        members = {name: _plan(member_config(config, name), split) for name in names}
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
        job = dataclasses.replace(job, config=planned.config)
        return _fit(job, planned.fitting, planned.start)
    models = {}
    for number, (name, member) in enumerate(planned.members.items(), start=1):
        job.console.note(f"\n{name}, {number} of {len(planned.members)} in the blend")
        folder = job.folder.member(name)
        folder.root.mkdir(parents=True, exist_ok=True)
        models[name] = fit(dataclasses.replace(job, folder=folder), member).model
    model = blended(models, planned.config, job.measure.split.train)
    return Fitted(model, step=None, history=[])


def _fit(job: Job, fitting: Fitting, start: Start | None) -> Fitted:
    """Fits from the newest whole checkpoint on; the best counts where patience decides."""
    config, folder, console = job.config, job.folder, job.console
    for warning in fitting.warnings:
        console.warning(warning)
    for note in fitting.notes:
        console.note(note)
    with Checkpoints(folder.checkpoints, keep=config.checkpoint.keep) as checkpoints:
        for damage in checkpoints.damages():
            console.warning(f"damaged checkpoint, not used: {damage}")
        latest = checkpoints.latest_step()
        if latest is None:
            state, progress = _first_state(job, fitting, start), Progress()
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
        checkpoints.wait()
        best = checkpoints.best_step()
        if config.eval.patience and best is not None and best != fitting.step(state):
            state = restore(checkpoints, best, fitting)
    if not fitting.iterative:
        return Fitted(fitting.model(state), step=None, history=[])
    return Fitted(fitting.model(state), fitting.step(state), history)


def _first_state(job: Job, fitting: Fitting, start: Start | None) -> Any:
    if start is None:
        return fitting.fresh()
    assert isinstance(fitting, NetworkFitting)
    state, told = fitting.started_from(start, job.measure.split.train)
    job.console.note(told)
    return state


def restore(checkpoints: Checkpoints, step: int, fitting: Fitting) -> Any:
    """The state saved at a step.

    Raises:
      UserError: what was read is not what was saved, or of other shapes.
    """
    return fitting.restore(checkpoints.restore(step, fitting.shapes(checkpoints.about(step))))
