"""`evaluate --final`: the frozen choice, trained on train + validation, measured on test once."""

import dataclasses
from pathlib import Path

from jaxrec.commands.show import show_results
from jaxrec.commands.train import say_device, train_on
from jaxrec.config import RunConfig, with_fields
from jaxrec.files import remove_leftovers
from jaxrec.report.console import Console
from jaxrec.runs.lock import locked
from jaxrec.runs.methods import method_of
from jaxrec.runs.prepare import prepare_split
from jaxrec.runs.prepared import as_prepared
from jaxrec.runs.results import Results, read_results, write_results
from jaxrec.runs.run_folder import SEED_PREFIX, RunFolder
from jaxrec.runs.stop import StopRequest
from jaxrec.search.choice import Choice, read_choice
from jaxrec.search.final import (
    FOLDER_NAME,
    check,
    freeze,
    over_seeds,
    seeds_measured,
    without_validation,
)


def final(workdir: Path, *, config: RunConfig | None, seeds: int) -> None:
    """Trains the choice with several seeds in `workdir`/final and measures each on test, once.

    The data are split by `config.seed`, without a validation part: what would go there stays in
    train. The k-th run, from 0, is trained with the seed `config.seed` + k, never looks at test
    before its last epoch, and goes on where it was stopped. A figure that is there is shown, never
    measured again; more seeds may be added.

    Args:
      workdir: the folder of the choice.
      config: the choice; None for the one in `workdir`/best_config.json.
      seeds: how many runs. A method that chance has no part in is fitted once.

    Raises:
      UserError: there is no choice, it leaves the number of epochs open or holds out no test part,
        or another one has been measured there.
      RunError: a run failed.
      Stopped: by SIGTERM or Ctrl-C; what there was to save is saved.
    """
    choice = read_choice(workdir) if config is None else Choice(config, None)
    check(choice.config)
    choice = dataclasses.replace(choice, config=as_prepared(choice.config))
    whole = without_validation(choice.config)
    console = Console(quiet=whole.quiet)
    folder = workdir / FOLDER_NAME
    with StopRequest(whole.checkpoint.grace_seconds) as stop:
        say_device(whole, console)
        split = prepare_split(whole, console)
        with locked(folder, console.warning):
            remove_leftovers(folder)
            freeze(folder, whole, split, choice)
            measured = seeds_measured(folder)
            wanted = max(seeds, len(measured)) if method_of(whole).is_random(whole) else 1
            runs: list[Results] = []
            for seed in range(whole.seed, whole.seed + wanted):
                run = folder / f"{SEED_PREFIX}{seed}"
                # Also where a stop came between a seed's figures and those of all.
                if not RunFolder(run).results.exists():
                    console.note(f"\nseed {seed} ({len(runs) + 1} of {wanted})")
                    config_of_seed = with_fields(whole, {"seed": seed})
                    train_on(split, config_of_seed, run, stop, console, peek=False)
                runs.append(read_results(run))
            if len(measured) == wanted:
                results = read_results(folder)
                console.note(f"measured before, in {folder}; nothing is measured again")
            else:
                results = over_seeds(runs, whole, choice)
                write_results(folder, results)
    show_results(results, console)
    console.files(
        {
            RunFolder(folder).results: "the figures above, those of each seed, and their protocol",
            RunFolder(folder).per_user: "the same for each user, mean over the seeds",
            folder: "a run's folder for each seed",
        }
    )
