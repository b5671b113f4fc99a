"""`evaluate`: measure a trained run on all users."""

import contextlib
import dataclasses
from pathlib import Path

from jaxrec.commands.choice import is_run_of_final
from jaxrec.commands.measure import Measure, final_results, show_results
from jaxrec.commands.results import write_results
from jaxrec.commands.trained import open_trained
from jaxrec.config import RunConfig
from jaxrec.report.console import Console
from jaxrec.train.lock import locked
from jaxrec.train.run_folder import RunFolder


def evaluate(workdir: Path, *, config: RunConfig | None, step: int | None) -> None:
    """Measures a run and writes `results.json`; the data need not be there.

    Of a run of `evaluate --final` the figures are only shown: what is there was measured as frozen.

    Args:
      workdir: the run's folder.
      config: its `eval` fields and `quiet` replace the run's own; None for the run's own.
      step: which checkpoint, 0 for the untrained model (whose figures are only shown), None for
        the one that `train` reported on.

    Raises:
      UserError: no run or no such checkpoint there, or a run is under way there whose results
        would be written.
    """
    quiet = config is not None and config.quiet
    writes = step is None and not is_run_of_final(workdir)
    with contextlib.ExitStack() as held:
        if writes and RunFolder(workdir).config.exists():
            held.enter_context(locked(workdir, Console(quiet=quiet).warning))
        trained = open_trained(workdir, step)
        used = trained.config
        if config is not None:
            used = dataclasses.replace(used, eval=config.eval, quiet=config.quiet)
        console = Console(quiet=used.quiet)
        results, per_user = final_results(
            Measure(used, trained.split), trained.model, step=trained.step
        )
        if writes:
            write_results(workdir, results, per_user)
    show_results(results, console)
    if writes:
        console.files(
            {
                RunFolder(workdir).results: "the figures above, with their protocol",
                RunFolder(workdir).per_user: "the same for each user",
            }
        )
