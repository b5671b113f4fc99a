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
    config, measure, stop, console = job.config, job.measure, job.stop, job.console
    begin = time.perf_counter()
    cadence = Cadence(parse_every(config.checkpoint.every), step=fitting.step(state))
    saving = 0.0
    written = job.folder.root if together.is_first() else None
    with MetricLog(written, progress.history) as log, CompileClock() as clock:

        def scores() -> list[float]:
            return [row[measure.watched] for row in log.history() if measure.watched in row]

        def save(
            state: Any,
            loss_sum: float = 0.0,
            *,
            start: float | None = None,
            score: float | None = None,
        ) -> None:
            seconds = 0.0 if start is None else time.perf_counter() - start
            step = fitting.step(state)
            history = tuple(log.history())
            checkpoints.save(
                fitting.save(state),
                step=step,
                score=score,
                progress=Progress(history, loss_sum, seconds),
            )
            cadence.saved(step)
            asked = stop.agreed()
            if asked is not None:
                checkpoints.wait()
                raise Stopped(asked, f"step {step} is saved in {checkpoints.directory}")

        for epoch in range(len(progress.history), fitting.epochs):
            if together.decided("patience", measure.out_of_patience(scores())):
                console.note(
                    f"stopped: no better {measure.watched} for {config.eval.patience} evaluations"
                )
                break
            start, compiled = time.perf_counter() - progress.seconds, clock.seconds
            hooks = Hooks(
                show=console.progress,
                longest_seconds=config.checkpoint.grace_seconds / DISPATCHES_PER_GRACE,
                pause_at=lambda step: together.decided(
                    "pause", stop.asked is not None or cadence.due(step)
                ),
                on_pause=functools.partial(save, start=start),
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
            better = score is not None and score > max(scores(), default=-math.inf)
            step = fitting.step(state)
            log.append(
                row
                | {
                    "step": step,
                    **speed,
                    "seconds_training": trained - start,
                    "seconds_evaluating": evaluated - trained,
                    "seconds_compiling": clock.seconds - compiled,  # within the two above
                    "seconds_saving": saving,  # the row before; this one is saved hereafter
                }
            )
            due = last or cadence.due(step, epochs_done=epoch + 1)
            due = due or bool(better and config.eval.patience) or stop.asked is not None
            if together.decided("save", due):
                save(state, score=score)
            saving = time.perf_counter() - evaluated
        seconds = time.perf_counter() - begin
        console.note(
            f"{config.method}: fitted in {seconds:.1f} s, {clock.seconds:.1f} s of it compiling"
        )
        return state, log.history()
