"""`train`: learn from a listening history, watch it happen, keep everything."""

from pathlib import Path
from typing import Any

import jax

from jaxrec.commands.baseline import train_baseline
from jaxrec.commands.choice import is_run_of_final
from jaxrec.commands.epochs import run_epochs
from jaxrec.commands.measure import Measure, final_results, show_results
from jaxrec.commands.prepare import prepare_split
from jaxrec.commands.ranker import ranker
from jaxrec.commands.results import write_results
from jaxrec.commands.sample import show_sample
from jaxrec.config import RunConfig
from jaxrec.data.splits import Split
from jaxrec.errors import UserError
from jaxrec.files import remove_leftovers
from jaxrec.gcn import native
from jaxrec.report.console import Console
from jaxrec.report.metric_files import MetricLog
from jaxrec.train.checkpoint import Checkpoints, Progress
from jaxrec.train.compilation import CompileClock
from jaxrec.train.lock import locked
from jaxrec.train.profile import trace_steps
from jaxrec.train.run_folder import RunFolder, open_run
from jaxrec.train.setup import Setup, build, check_learnable, check_memory
from jaxrec.train.step import TrainState
from jaxrec.train.stop import StopRequest


def train(config: RunConfig, workdir: Path) -> None:
    """Trains in `workdir`, going on where a run there stopped, and reports on the result.

    Any other method than the network is fitted at once, and leaves no checkpoints.

    Raises:
      UserError: the data or the configuration can't be used, or the folder holds another run or
        one of `evaluate --final`, is in use by one, or has damaged checkpoints only.
      RunError: the loss became NaN or infinite, or a checkpoint couldn't be saved.
      Stopped: by SIGTERM or Ctrl-C; what there was to save is saved.
    """
    if is_run_of_final(workdir):
        raise UserError(
            f"--workdir={workdir} holds a run of `evaluate --final`; expected that command, or a "
            "--workdir of its own"
        )
    console = Console(quiet=config.quiet)
    with StopRequest(config.checkpoint.grace_seconds) as stop:
        say_device(config, console)
        split = prepare_split(config, console)
        train_on(split, config, workdir, stop, console)


def say_device(config: RunConfig, console: Console) -> None:
    """Says what the run computes with, and makes the processor's kernel ready if it may be used."""
    device = jax.devices()[0]
    console.note(f"jax {jax.__version__} on {device.platform} ({device.device_kind})")
    if device.platform != "cpu" or config.method != "gcn" or config.model.kernel != "auto":
        return
    if native.must_be_compiled():
        console.note("compiling the kernel for this processor; it is kept for other runs")
    if reason := native.why_not():
        console.note(f"jaxlib's kernel is used, two to three times slower than ours: {reason}")


def train_on(
    split: Split,
    config: RunConfig,
    workdir: Path,
    stop: StopRequest,
    console: Console,
    *,
    peek: bool = True,
) -> None:
    """`train` on a split at hand.

    Args:
      split: what to learn from and to measure on; `config` need not say how it was made.
      config: everything else.
      workdir: the run's folder.
      stop: who may ask the run to stop.
      console: where to say what happens.
      peek: as of `Measure`: whether test may be watched from epoch to epoch.
    """
    if config.method != "gcn":
        train_baseline(split, config, workdir, console)
        return
    if config.eval.patience and split.validation is None:
        raise UserError(
            f"config.eval.patience is {config.eval.patience} without a validation part to stop by; "
            "expected config.data.validation_fraction above 0, or patience 0"
        )
    full = check_learnable(split.train)
    if full:
        console.warning(
            f"{full:,} users have listened to every song; nothing can be learnt from them"
        )
    console.note(check_memory(config, split.train))
    setup = build(config, split.train)
    console.note(
        f"model: {config.model.layers} layers, {config.model.dim} dimensions, "
        f"{setup.graph.num_users + setup.graph.num_items:,} nodes, {setup.graph.num_edges:,} "
        f"edges, kernel {setup.settings.convolution.kernel}"
    )
    measure = Measure(config, split, peek=peek)
    folder = RunFolder(workdir)
    with locked(workdir, console.warning):
        open_run(folder, config, split, steps_per_epoch=setup.batches.num_steps)
        remove_leftovers(workdir)
        state, history = _train_in(folder, config, setup, measure, stop, console)

        model = ranker(setup, state.params)
        results, per_user = final_results(measure, model, step=int(state.step))
        write_results(workdir, results, per_user)
        from jaxrec.report.curves import draw_curves  # matplotlib is slow to load

        draw_curves(
            history,
            folder.curves,
            metric=config.eval.metric,
            most_popular=measure.most_popular_at_epoch(),
        )
    show_results(results, console)
    show_sample(split, model, config, console)
    console.files(
        {
            folder.checkpoints: "checkpoints, a folder per step",
            folder.results: "the figures above, with their protocol",
            folder.per_user: "the same for each user",
            folder.metrics: "loss and metrics by epoch; also in tensorboard/",
            folder.curves: "the same as a picture",
            folder.config: "the configuration; with the *.parquet beside it all that "
            "evaluate, recommend and similar need",
        }
    )


def _train_in(
    folder: RunFolder,
    config: RunConfig,
    setup: Setup,
    measure: Measure,
    stop: StopRequest,
    console: Console,
) -> tuple[TrainState, list[dict[str, Any]]]:
    """Trains from the newest whole checkpoint; returns the state to report on and the history."""
    with Checkpoints(folder.checkpoints, keep=config.checkpoint.keep) as checkpoints:
        for damage in checkpoints.damages():
            console.warning(f"damaged checkpoint, not used: {damage}")
        latest = checkpoints.latest_step()
        if latest is None:
            state, progress = setup.fresh_state(), Progress()
        else:
            state = checkpoints.restore(latest, setup.abstract_state())
            progress = checkpoints.progress(latest)
            console.note(
                f"going on in {folder.root} after step {latest} (epochs done: "
                f"{len(progress.history)})"
            )
        if config.profile:
            trace_steps(folder.profile, setup, state)
            console.note(f"wrote a trace of some steps to {folder.profile}")
        with MetricLog(folder.root, progress.history) as log, CompileClock() as clock:
            with stop.deferring():
                state = run_epochs(
                    state,
                    progress,
                    config=config,
                    setup=setup,
                    measure=measure,
                    checkpoints=checkpoints,
                    log=log,
                    clock=clock,
                    stop=stop,
                    console=console,
                )
            history = log.history()
        checkpoints.wait()
        best = checkpoints.best_step()
        if config.eval.patience and best is not None:
            state = checkpoints.restore(best, setup.abstract_state())
    return state, history
