"""`export`: a run's model as a bundle, to deploy where there is no JAX."""

from pathlib import Path

from jaxrec.report.console import Console
from jaxrec.runs.bundling import bundle_of, figures_of, put_bundle
from jaxrec.runs.run_folder import RunFolder
from jaxrec.runs.source import source_of
from jaxrec.runs.trained import open_for_use


def export(workdir: Path, *, output: Path | None, step: int | None) -> None:
    """Writes the bundle of a run; the data need not be there.

    Args:
      workdir: the run's folder.
      output: where the bundle goes; None for `bundle` in the run's folder.
      step: which checkpoint, None for the one that `train` reported on.

    Raises:
      UserError: no run there, a model that can't be exported, or a folder that holds something
        else or can't be written to.
    """
    folder = RunFolder(workdir).bundle if output is None else output
    trained = open_for_use(workdir, step)
    told = figures_of(workdir, step) | ({} if step is not None else {"source": source_of(workdir)})
    bundle = bundle_of(trained.model, trained.config, trained.split, told)
    size = put_bundle(folder, bundle)
    Console().note(
        f"wrote the bundle {folder}, {size / 1e6:,.1f} MB: {len(bundle.items):,} songs, "
        f"{len(bundle.users):,} listeners"
    )
