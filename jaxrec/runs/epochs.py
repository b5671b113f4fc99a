"""The epochs of a fit: advanced, measured, logged and saved, until the last or until a stop."""

import dataclasses
import functools
import math
import time
from typing import Any

from jaxrec.config import RunConfig
from jaxrec.hosts import together
from jaxrec.models.method import Fitting, Hooks
from jaxrec.rank.measure import Measure
from jaxrec.report.console import Console
from jaxrec.report.metric_files import MetricLog
from jaxrec.runs.cadence import Cadence, parse_every
from jaxrec.runs.checkpoint import Checkpoints
from jaxrec.runs.checkpoint_folder import Progress
from jaxrec.runs.compilation import CompileClock
from jaxrec.runs.run_folder import RunFolder
from jaxrec.runs.stop import Stopped, StopRequest

# Two dispatches may be under way when a stop is asked for, and the save needs time too.
DISPATCHES_PER_GRACE = 8


@dataclasses.dataclass(frozen=True, eq=False)
class Job:
    """A fit in a folder, and who watches it.

    Attributes:
      folder: the run's folder; exists, and is locked.
      config: the run's configuration.
      measure: what is measured, and on what.
      stop: who may ask it to stop.
      console: where to say what happens.
    """

    folder: RunFolder
    config: RunConfig
    measure: Measure
    stop: StopRequest
    console: Console


def run_epochs(
    job: Job, fitting: Fitting, state: Any, progress: Progress, checkpoints: Checkpoints
) -> tuple[Any, list[dict[str, Any]]]:
    """Goes on until the last epoch or until patience runs out.

    Where a run was interrupted, here or within an epoch, has no influence on the state or the
    rows, but for the times in these.

    Args:
      job: what is fitted where.
      fitting: the method, ready to be fitted.
      state: where to go on from.
      progress: what goes with it.
      checkpoints: where it is saved.

    Returns:
      The state then, and the rows of all epochs.

    Raises:
      RunError: the loss or the state became NaN or infinite, or a save failed.
      Stopped: it was asked for; the state is saved.
    """
    config, measure, console = job.config, job.measure, job.console
    begin = time.perf_counter()
    saving = 0.0
    written = job.folder.root if together.is_first() else None
    with MetricLog(written, progress.history) as log, CompileClock() as clock:
        saves = _Saves(job, fitting, checkpoints, log, step=fitting.step(state))
        for epoch in range(len(progress.history), fitting.epochs):
            if together.decided("patience", measure.out_of_patience(saves.scores())):
                console.note(
                    f"stopped: no better {measure.watched} for {config.eval.patience} evaluations"
                )
                break
            start, compiled = time.perf_counter() - progress.seconds, clock.seconds
            hooks = Hooks(
                show=console.progress,
                longest_seconds=config.checkpoint.grace_seconds / DISPATCHES_PER_GRACE,
                pause_at=saves.is_wanted,
                on_pause=functools.partial(saves.save, start=start),
            )
            state, loss = fitting.advance(state, epoch, hooks, loss_sum=progress.loss_sum)
            progress = Progress()
            trained = time.perf_counter()
            row: dict[str, Any] = {"epoch": epoch + 1} | ({} if loss is None else {"loss": loss})
            speed = {"edges_per_second": fitting.work / (trained - start)} if fitting.work else {}
            last = epoch + 1 == fitting.epochs
            if last or (epoch + 1) % config.eval.every_epochs == 0:
                row |= measure.at_epoch(fitting.model(state))
            evaluated = time.perf_counter()
            console.epoch_row(row | {"seconds": evaluated - start})
            score = row.get(measure.watched)
            better = score is not None and score > max(saves.scores(), default=-math.inf)
            log.append(
                row
                | {
                    "step": fitting.step(state),
                    **speed,
                    "seconds_training": trained - start,
                    "seconds_evaluating": evaluated - trained,
                    "seconds_compiling": clock.seconds - compiled,  # within the two above
                    "seconds_saving": saving,  # the row before; this one is saved hereafter
                }
            )
            anyhow = last or bool(better and config.eval.patience)
            saves.end_epoch(state, epoch + 1, score=score, anyhow=anyhow)
            saving = time.perf_counter() - evaluated
        seconds = time.perf_counter() - begin
        console.note(
            f"{config.method}: fitted in {seconds:.1f} s, {clock.seconds:.1f} s of it compiling"
        )
        return state, log.history()


class _Saves:
    """Saves a fit's state with what goes with it, and ends the fit where that was asked for.

    Args:
      job: what is fitted where.
      fitting: the method.
      checkpoints: where it is saved.
      log: the rows of all epochs so far.
      step: that the fit goes on from.
    """

    def __init__(
        self, job: Job, fitting: Fitting, checkpoints: Checkpoints, log: MetricLog, *, step: int
    ) -> None:
        self._job, self._fitting, self._checkpoints, self._log = job, fitting, checkpoints, log
        self._cadence = Cadence(parse_every(job.config.checkpoint.every), step=step)

    def scores(self) -> list[float]:
        """What is watched, of the epochs that it was measured in."""
        watched = self._job.measure.watched
        return [row[watched] for row in self._log.history() if watched in row]

    def is_wanted(self, step: int) -> bool:
        """Whether to save within an epoch, after so many steps of the fit."""
        wanted = self._job.stop.asked is not None or self._cadence.due(step)
        return bool(together.decided("pause", wanted))

    def end_epoch(self, state: Any, done: int, *, score: float | None, anyhow: bool) -> None:
        """Saves the state after so many epochs, where that is due or to be done anyhow."""
        due = self._cadence.due(self._fitting.step(state), epochs_done=done)
        if together.decided("save", anyhow or due or self._job.stop.asked is not None):
            self.save(state, score=score)

    def save(
        self,
        state: Any,
        loss_sum: float = 0.0,
        *,
        start: float | None = None,
        score: float | None = None,
    ) -> None:
        """Saves now.

        Args:
          state: of the fit.
          loss_sum: of the epoch so far.
          start: when the epoch began, by `time.perf_counter`; None at the end of one.
          score: what is watched, where it has been measured.

        Raises:
          Stopped: it was asked for.
        """
        seconds = 0.0 if start is None else time.perf_counter() - start
        step = self._fitting.step(state)
        self._checkpoints.save(
            self._fitting.save(state),
            step=step,
            score=score,
            progress=Progress(tuple(self._log.history()), loss_sum, seconds),
        )
        self._cadence.saved(step)
        asked = self._job.stop.agreed()
        if asked is not None:
            self._checkpoints.wait()
            raise Stopped(asked, f"step {step} is saved in {self._checkpoints.directory}")
