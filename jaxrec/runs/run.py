"""A whole run in its folder: fitted, measured, written. What is shown of it is the caller's."""

import dataclasses
from pathlib import Path

from jaxrec.config import RunConfig
from jaxrec.data.splits import Split
from jaxrec.errors import UserError
from jaxrec.files import remove_leftovers, write_json
from jaxrec.hosts import together
from jaxrec.rank.measure import Measure
from jaxrec.report.console import Console
from jaxrec.runs.epochs import Job
from jaxrec.runs.fit import Fitted, fit, plan
from jaxrec.runs.identity import check_alike, identity
from jaxrec.runs.lock import locked
from jaxrec.runs.record import open_run
from jaxrec.runs.results import Results, measure_finally, write_results
from jaxrec.runs.run_folder import RunFolder
from jaxrec.runs.stop import StopRequest
from jaxrec.train.carrying import Start


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """A run that came to its end.

    Attributes:
      folder: where it is.
      fitted: what came of the fit.
      measure: how it was measured.
      results: the final figures.
    """

    folder: RunFolder
    fitted: Fitted
    measure: Measure
    results: Results


def run(
    split: Split,
    config: RunConfig,
    workdir: Path,
    stop: StopRequest,
    console: Console,
    *,
    peek: bool = True,
    start: Start | None = None,
) -> Run:
    """Fits and measures in `workdir`, going on where a run there stopped.

    Args:
      split: what to learn from and to measure on; `config` need not say how it was made.
      config: everything else.
      workdir: the run's folder.
      stop: who may ask the run to stop.
      console: where to say what happens.
      peek: as of `Measure`: whether test may be watched from epoch to epoch.
      start: what the network begins with, from `start_of`; None for chance.

    Raises:
      UserError: the data or the configuration can't be used, or the folder holds another run, is
        in use by one, or has damaged checkpoints only.
      RunError: the loss became NaN or infinite, or a checkpoint couldn't be saved.
      Stopped: it was asked for; what there was to save is saved.
    """
    folder = RunFolder(workdir)
    if folder.saved_model.exists():
        raise UserError(
            f"--workdir={workdir} holds a model that was saved, which can't be trained further; "
            "expected the folder of a run, or a --workdir of its own"
        )
    planned = plan(config, split, start)
    measure = Measure(config, split, peek=peek)
    check_alike(config, split, start)
    steps = planned.steps_per_epoch(folder)

    def take_folder() -> None:
        open_run(folder, config, split, steps_per_epoch=steps, start=start)
        remove_leftovers(workdir)

    with locked(workdir, console.warning):
        together.by_first("folder", take_folder)
        fitted = fit(Job(folder, config, measure, stop, console), planned)
        results = measure_finally(measure, fitted.model, step=fitted.step, show=console.progress)
        done = Run(folder, fitted, measure, results)
        together.by_first("results", lambda: _write(done, config.eval.metric))
    return done


def _write(done: Run, metric: str) -> None:
    """The figures and, where there are epochs, their picture."""
    write_results(done.folder.root, done.results)
    if done.fitted.history:
        from jaxrec.report.curves import draw_curves  # matplotlib is slow to load

        draw_curves(
            done.fitted.history,
            done.folder.curves,
            metric=metric,
            most_popular=done.measure.most_popular_at_epoch(),
        )


def fit_for_use(
    whole: Split, measured: Run, config: RunConfig, stop: StopRequest, console: Console
) -> RunFolder:
    """Fits once more, to all there is, in a folder of its own within that of the measured run.

    Nothing is measured: there is nothing left that the model hasn't seen.

    Args:
      whole: everything in train, test of the measured run and what was cold there included.
      measured: the run that says how good such a model is.
      config: how.
      stop: who may ask the fit to stop.
      console: where to say what happens.

    Returns:
      The folder, from which `open_for_use` opens the model.

    Raises:
      As `run`.
    """
    folder = measured.folder.for_use
    planned = plan(config, whole)
    measure = Measure(config, whole, peek=False)
    with locked(folder.root, console.warning):
        folder.fitted_to_all.unlink(missing_ok=True)
        open_run(folder, config, whole, steps_per_epoch=planned.steps_per_epoch(folder))
        remove_leftovers(folder.root)
        fit(Job(folder, config, measure, stop, console), planned)
        of = identity(config, measured.measure.split)
        write_json(folder.fitted_to_all, {"interactions": len(whole.train), "of": of})
    return folder
