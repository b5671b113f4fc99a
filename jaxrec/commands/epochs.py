"""The epochs of a run: trained, measured, logged and saved, until the last or until a stop."""

import functools
import math
import time
from typing import Any

from jaxrec.commands.measure import Measure
from jaxrec.commands.ranker import ranker
from jaxrec.config import RunConfig
from jaxrec.report.console import Console
from jaxrec.report.metric_files import MetricLog
from jaxrec.train.cadence import Cadence, parse_every
from jaxrec.train.checkpoint import Checkpoints, Progress
from jaxrec.train.compilation import CompileClock
from jaxrec.train.loop import Pace
from jaxrec.train.setup import Setup
from jaxrec.train.step import TrainState
from jaxrec.train.stop import Stopped, StopRequest

# Two dispatches may be under way when a stop is asked for, and the save needs time too.
DISPATCHES_PER_GRACE = 8


def run_epochs(
    state: TrainState,
    progress: Progress,
    *,
    config: RunConfig,
    setup: Setup,
    measure: Measure,
    checkpoints: Checkpoints,
    log: MetricLog,
    clock: CompileClock,
    stop: StopRequest,
    console: Console,
) -> TrainState:
    """Trains until the last epoch or until patience runs out; returns the state then.

    Where a run was interrupted, here or within an epoch, has no influence on the state or the
    rows, but for the times in these.

    Raises:
      RunError: the loss or the state became NaN or infinite, or a save failed.
      Stopped: `stop` was asked for; the state is saved.
    """
    begin = time.perf_counter()
    cadence = Cadence(parse_every(config.checkpoint.every), step=int(state.step))
    pace = Pace(config.checkpoint.grace_seconds / DISPATCHES_PER_GRACE)
    saving = 0.0

    def scores() -> list[float]:
        return [row[measure.watched] for row in log.history() if measure.watched in row]

    def save(
        state: TrainState,
        loss_sum: float = 0.0,
        *,
        start: float | None = None,
        score: float | None = None,
    ) -> None:
        seconds = 0.0 if start is None else time.perf_counter() - start
        step = int(state.step)
        history = tuple(log.history())
        checkpoints.save(state, score=score, progress=Progress(history, loss_sum, seconds))
        cadence.saved(step)
        if stop.asked is not None:
            checkpoints.wait()
            raise Stopped(stop.asked, f"step {step} is saved in {checkpoints.directory}")

    for epoch in range(len(progress.history), config.epochs):
        if measure.out_of_patience(scores()):
            console.note(
                f"stopped: no better {measure.watched} for {config.eval.patience} evaluations"
            )
            break
        start, compiled = time.perf_counter() - progress.seconds, clock.seconds
        with console.progress(setup.graph.num_edges, f"epoch {epoch + 1}/{config.epochs}") as bar:
            state, loss = setup.train_epoch(
                state,
                epoch,
                on_steps=lambda edges, loss: bar.update(edges, loss=loss),
                loss_sum=progress.loss_sum,
                pace=pace,
                pause_at=lambda step: stop.asked is not None or cadence.due(step),
                on_pause=functools.partial(save, start=start),
            )
        progress = Progress()
        trained = time.perf_counter()
        row: dict[str, Any] = {"epoch": epoch + 1, "loss": loss}
        last = epoch + 1 == config.epochs
        if last or (epoch + 1) % config.eval.every_epochs == 0:
            row |= measure.at_epoch(ranker(setup, state.params))
        evaluated = time.perf_counter()
        console.epoch_row(row | {"seconds": evaluated - start})
        score = row.get(measure.watched)
        better = score is not None and score > max(scores(), default=-math.inf)
        step = int(state.step)
        log.append(
            row
            | {
                "step": step,
                "edges_per_second": setup.graph.num_edges / (trained - start),
                "seconds_training": trained - start,
                "seconds_evaluating": evaluated - trained,
                "seconds_compiling": clock.seconds - compiled,  # within the two above
                "seconds_saving": saving,  # the row before; this one is saved hereafter
            }
        )
        due = last or cadence.due(step, epochs_done=epoch + 1)
        if due or (better and config.eval.patience) or stop.asked is not None:
            save(state, score=score)
        saving = time.perf_counter() - evaluated
    console.note(
        f"trained for {time.perf_counter() - begin:.1f} s, {clock.seconds:.1f} s of it compiling"
    )
    return state
