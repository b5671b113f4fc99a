"""`evaluate`: measure a trained run on all users."""

import contextlib
from collections.abc import Set
from pathlib import Path

from jaxrec.commands.show import show_results
from jaxrec.config import MEASURED_BY, RunConfig, field_value, with_fields
from jaxrec.errors import UserError
from jaxrec.hosts import together
from jaxrec.rank.measure import Measure
from jaxrec.report.console import Console
from jaxrec.runs.lock import locked
from jaxrec.runs.results import measure_finally, write_results
from jaxrec.runs.run_folder import RunFolder, is_run_of_final
from jaxrec.runs.trained import open_trained


def evaluate(
    workdir: Path,
    *,
    config: RunConfig | None,
    step: int | None,
    given: Set[str] = frozenset(MEASURED_BY),
) -> None:
    """Measures a run and writes `results.json`; the data need not be there.

    They are only shown where nothing may be written: of a run of `evaluate --final`, whose own were
    measured as frozen; while another process is busy there; in a folder that is read only.

    Args:
      workdir: the run's folder.
      config: says how, instead of the run's own; None for the run's own.
      step: which checkpoint, 0 for the untrained model (whose figures are only shown), None for
        the one that `train` reported on.
      given: the fields in which `config` counts, of `MEASURED_BY`.

    Raises:
      UserError: no run or no such checkpoint there.
    """
    paths, console = RunFolder(workdir), Console()
    with contextlib.ExitStack() as held:
        # Without a run there the lock would make the folder.
        writes = step is None and paths.config.exists() and _hold(workdir, held, console)
        trained = open_trained(workdir, step)
        used = trained.config
        if config is not None:
            used = with_fields(used, {name: field_value(config, name) for name in given})
        console = Console(quiet=used.quiet)
        measure = Measure(used, trained.split)
        results = measure_finally(measure, trained.model, step=trained.step, show=console.progress)
        show_results(results, console)
        if writes:
            together.by_first("results", lambda: write_results(workdir, results))
            console.files(
                {
                    paths.results: "the figures above, with their protocol",
                    paths.per_user: "the same for each user",
                }
            )


def _hold(workdir: Path, held: contextlib.ExitStack, console: Console) -> bool:
    """Whether figures may be written there; the folder is then locked until `held` is left."""
    try:
        if is_run_of_final(workdir):
            raise UserError(f"{workdir}: a run of `evaluate --final`")
        held.enter_context(locked(workdir, console.warning))
    except UserError as error:
        console.warning(f"{error}; nothing is written there")
        return False
    return True
