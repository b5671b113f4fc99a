"""`train`: learn from a listening history, watch it happen, keep everything."""

import math
import time
from pathlib import Path
from typing import Any

import jax

from jaxrec.commands.measure import Measure, final_results, show_results
from jaxrec.commands.prepare import prepare_split
from jaxrec.commands.sample import show_sample
from jaxrec.config import RunConfig
from jaxrec.data.interactions import Interactions
from jaxrec.errors import UserError
from jaxrec.files import write_json
from jaxrec.gcn.message_passing import choose_kernel
from jaxrec.report.console import Console
from jaxrec.report.curves import draw_curves
from jaxrec.report.metric_files import MetricLog
from jaxrec.train.checkpoint import Checkpoints
from jaxrec.train.compilation import CompileClock
from jaxrec.train.loop import steps_per_epoch, train_epoch
from jaxrec.train.memory import available_bytes, check_fits, estimate_bytes
from jaxrec.train.profile import trace_steps
from jaxrec.train.run_folder import RunFolder, open_run
from jaxrec.train.setup import Setup, build, check_learnable
from jaxrec.train.step import TrainState


def train(config: RunConfig, workdir: Path) -> None:
    """Trains in `workdir`, going on where a run there stopped, and reports on the result.

    Raises:
      UserError: the data or the configuration can't be used, or the folder holds another run.
      RunError: the loss became NaN or infinite.
    """
    console = Console(quiet=config.quiet)
    device = jax.devices()[0]
    console.note(f"jax {jax.__version__} on {device.platform} ({device.device_kind})")
    split = prepare_split(config, console)
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
    _check_memory(config, split.train, device, console)
    setup = build(config, split.train)
    console.note(
        f"model: {config.model.layers} layers, {config.model.dim} dimensions, "
        f"{setup.graph.num_users + setup.graph.num_items:,} nodes, {setup.graph.num_edges:,} "
        f"edges, kernel {setup.settings.kernel}"
    )
    folder = RunFolder(workdir)
    open_run(folder, config, split)
    measure = Measure(config, split)

    with Checkpoints(folder.checkpoints, keep=config.checkpoint.keep) as checkpoints:
        latest = checkpoints.latest_step()
        state = setup.fresh_state()
        if latest is not None:
            state = checkpoints.restore(latest, state)
        done = int(state.step) // steps_per_epoch(setup.graph, config.batch_size)
        if done:
            console.note(f"going on in {workdir} after epoch {done} (step {latest})")
        if config.profile:
            trace_steps(folder.profile, setup, state, batch_size=config.batch_size)
            console.note(f"wrote a trace of some steps to {folder.profile}")
        with MetricLog(workdir, resume_epoch=done) as log:
            with CompileClock() as clock:
                state = _run_epochs(
                    state, done, config, setup, measure, checkpoints, log, clock, console
                )
            history = log.history()
        checkpoints.wait()
        best = checkpoints.best_step()
        if config.eval.patience and best is not None:
            state = checkpoints.restore(best, setup.abstract_state())

    embeddings = setup.final_embeddings(state.params)
    results = final_results(measure, embeddings, step=int(state.step))
    write_json(folder.results, results)
    draw_curves(
        history,
        folder.curves,
        metric=config.eval.metric,
        most_popular=measure.most_popular_at_epoch(),
    )
    show_results(results, console)
    show_sample(split, embeddings, config, console)
    console.files(
        {
            folder.checkpoints: "checkpoints, a folder per step",
            folder.results: "the figures above, with their protocol",
            folder.metrics: "loss and metrics by epoch; also in tensorboard/",
            folder.curves: "the same as a picture",
            folder.config: "the configuration; with the *.parquet beside it all that "
            "evaluate, recommend and similar need",
        }
    )


def _check_memory(
    config: RunConfig, train: Interactions, device: jax.Device, console: Console
) -> None:
    needed = estimate_bytes(
        num_users=train.num_users,
        num_items=train.num_items,
        num_edges=len(train),
        dim=config.model.dim,
        layers=config.model.layers,
        batch_size=config.batch_size,
        negatives=config.loss.negatives,
        kernel=choose_kernel(config.model.kernel, device.platform),
    )
    available = available_bytes(device)
    free = "" if available is None else f" of {available / 2**30:,.1f} GiB free"
    console.note(f"memory: training needs about {needed / 2**20:,.0f} MiB{free}")
    check_fits(needed, available, dim=config.model.dim, batch_size=config.batch_size)


def _run_epochs(
    state: TrainState,
    done: int,
    config: RunConfig,
    setup: Setup,
    measure: Measure,
    checkpoints: Checkpoints,
    log: MetricLog,
    clock: CompileClock,
    console: Console,
) -> TrainState:
    """Trains until the last epoch or until patience runs out."""
    saving = 0.0
    begin = time.perf_counter()

    def scores() -> list[float]:
        return [row[measure.watched] for row in log.history() if measure.watched in row]

    for epoch in range(done, config.epochs):
        if measure.out_of_patience(scores()):
            console.note(
                f"stopped: no better {measure.watched} for {config.eval.patience} evaluations"
            )
            break
        start, compiled = time.perf_counter(), clock.seconds
        with console.progress(setup.graph.num_edges, f"epoch {epoch + 1}/{config.epochs}") as bar:
            state, loss = train_epoch(
                state,
                setup.graph,
                setup.mass,
                epoch=epoch,
                seed=config.seed,
                batch_size=config.batch_size,
                settings=setup.settings,
                optimizer=setup.optimizer,
                on_steps=lambda edges, loss: bar.update(edges, loss=loss),
            )
        trained = time.perf_counter()
        row: dict[str, Any] = {"epoch": epoch + 1, "loss": loss}
        last = epoch + 1 == config.epochs
        if last or (epoch + 1) % config.eval.every_epochs == 0:
            row |= measure.at_epoch(setup.final_embeddings(state.params))
        evaluated = time.perf_counter()
        console.epoch_row(row | {"seconds": evaluated - start})
        score = row.get(measure.watched)
        better = score is not None and score > max(scores(), default=-math.inf)
        log.append(
            row
            | {
                "step": int(state.step),
                "edges_per_second": setup.graph.num_edges / (trained - start),
                "seconds_training": trained - start,
                "seconds_evaluating": evaluated - trained,
                "seconds_compiling": clock.seconds - compiled,  # within the two above
                "seconds_saving": saving,  # the row before; this one is saved hereafter
            }
        )
        due = last or (epoch + 1) % config.checkpoint.every_epochs == 0
        if due or (better and config.eval.patience):
            checkpoints.save(state, score=score)
        saving = time.perf_counter() - evaluated
    console.note(
        f"trained for {time.perf_counter() - begin:.1f} s, {clock.seconds:.1f} s of it compiling"
    )
    return state
