"""`train`: learn from a listening history, watch it happen, keep everything."""

from collections.abc import Set
from pathlib import Path

import jax

from jaxrec.commands.show import show_results, show_sample
from jaxrec.config import RunConfig
from jaxrec.data.splits import Split
from jaxrec.errors import UserError
from jaxrec.gcn import native
from jaxrec.gcn.mesh import mesh_of
from jaxrec.gcn.message_passing import choose_kernel, slow_reason
from jaxrec.hosts import together
from jaxrec.report.console import Console
from jaxrec.runs.methods import is_automatic, method_of
from jaxrec.runs.prepare import prepare_split
from jaxrec.runs.prepared import as_prepared
from jaxrec.runs.run import Run, run
from jaxrec.runs.run_folder import is_run_of_final
from jaxrec.runs.starting import start_of
from jaxrec.runs.stop import StopRequest
from jaxrec.train.carrying import Start


def train(
    config: RunConfig,
    workdir: Path,
    *,
    given: Set[str] = frozenset(),
    init_from: Path | None = None,
) -> None:
    """Trains in `workdir`, going on where a run there stopped, and reports on the result.

    Args:
      config: the run's configuration.
      workdir: the run's folder.
      given: fields that were set on the command line, as below `config.`; auto keeps them.
      init_from: the folder of a run whose embeddings the network begins with, or None.

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
    config, console = as_prepared(config), Console(quiet=config.quiet)
    if is_automatic(config) and init_from is not None:
        raise UserError(
            f"--init_from={init_from} with config.method=auto, whose networks begin by chance as "
            "they are compared; expected config.method=gcn or a blend with it"
        )
    if is_automatic(config):
        if together.count() > 1:
            raise UserError(
                f"config.method is {config.method!r} with --processes, and it chooses in one "
                "process; expected it without, and then the method and settings that it chooses"
            )
        from jaxrec.commands.auto import auto  # it ends here, by `train_on`

        return auto(config, workdir, given, console)
    with StopRequest(config.checkpoint.grace_seconds) as stop:
        say_device(config, console)
        start = None if init_from is None else start_of(init_from)
        split = prepare_split(config, console)
        train_on(split, config, workdir, stop, console, start=start)


def say_device(config: RunConfig, console: Console) -> None:
    """Says what the run computes with, and makes the processor's kernel ready if it may be used."""
    device = jax.devices()[0]
    console.note(f"jax {jax.__version__} on {device.platform} ({device.device_kind})")
    if together.count() > 1:
        console.note(f"{together.count()} processes, {jax.device_count()} devices in all")
    if not method_of(config).sums:
        return
    kernel: str = config.model.kernel
    if device.platform == "cpu" and kernel == "auto":
        if native.must_be_compiled():
            console.note("compiling the kernel for this processor; it is kept for other runs")
        if reason := native.unavailable_reason():
            console.note(f"jaxlib's kernel is used, two to three times slower than ours: {reason}")
    if kernel == "auto":
        learns = method_of(config).owns("model.kernel", config)  # the network, or a blend with it
        dealt = learns and mesh_of(config.mesh.devices) is not None
        kernel = choose_kernel(kernel, device.platform, dealt=dealt)
    if reason := slow_reason(kernel, device.platform):
        console.warning(f"neighbourhoods are summed by segment_sum, and {reason}")


def train_on(
    split: Split,
    config: RunConfig,
    workdir: Path,
    stop: StopRequest,
    console: Console,
    *,
    peek: bool = True,
    start: Start | None = None,
) -> Run:
    """`runs.run.run`, which has the arguments, and then what `train` shows of it."""
    done = run(split, config, workdir, stop, console, peek=peek, start=start)
    show_results(done.results, console)
    show_sample(done.measure, done.fitted.model, console)
    folder = done.folder
    kept = {
        folder.checkpoints: "checkpoints, a folder per step",
        folder.members: "the blend's members, a run's folder each",
        folder.results: "the figures above, with their protocol",
        folder.per_user: "the same for each user",
        folder.metrics: "loss and metrics by epoch; also in tensorboard/",
        folder.curves: "the same as a picture",
        folder.config: "the configuration; with the *.parquet beside it all that "
        "evaluate, recommend and similar need",
    }
    console.files({path: what for path, what in kept.items() if path.exists()})
    return done
