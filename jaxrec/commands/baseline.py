"""A baseline instead of the network: fitted at once, measured and kept as a trained run is."""

from pathlib import Path

from jaxrec.commands.fit import fit_baseline
from jaxrec.commands.measure import Measure, final_results, show_results
from jaxrec.commands.results import write_results
from jaxrec.commands.sample import show_sample
from jaxrec.config import RunConfig
from jaxrec.data.splits import Split
from jaxrec.files import remove_leftovers
from jaxrec.report.console import Console
from jaxrec.train.lock import locked
from jaxrec.train.run_folder import RunFolder, open_run


def train_baseline(split: Split, config: RunConfig, workdir: Path, console: Console) -> None:
    """Fits the baseline that `config.method` names to train, and reports on it.

    Raises:
      UserError: a parameter doesn't suit the data, the memory doesn't suffice, or the folder
        holds another run.
    """
    folder = RunFolder(workdir)
    with locked(workdir, console.warning):
        open_run(folder, config, split, steps_per_epoch=None)
        remove_leftovers(workdir)
        scorer = fit_baseline(config, split.train, console)
        results, per_user = final_results(Measure(config, split), scorer, step=None)
        write_results(workdir, results, per_user)
    show_results(results, console)
    show_sample(split, scorer, config, console)
    console.files(
        {
            folder.results: "the figures above, with their protocol",
            folder.per_user: "the same for each user",
            folder.config: "the configuration; with the *.parquet beside it all that "
            "evaluate and recommend need",
        }
    )
