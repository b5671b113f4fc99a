"""`method = auto`: what suits the data is chosen on validation, fitted to train, measured."""

from collections.abc import Set
from pathlib import Path

from jaxrec.commands.train import say_device, train_on
from jaxrec.config import RunConfig, with_fields
from jaxrec.report.console import Console
from jaxrec.runs.lock import locked
from jaxrec.runs.prepare import prepare_split
from jaxrec.runs.run import fit_for_use
from jaxrec.runs.stop import StopRequest
from jaxrec.search.auto.chosen import choose_for
from jaxrec.search.auto.recipe import Recommendation
from jaxrec.search.final import without_validation


def auto(config: RunConfig, workdir: Path, given: Set[str], console: Console) -> None:
    """Chooses, fits and measures in `workdir`, going on where it was stopped.

    Raises:
      UserError: the data or the configuration can't be used, or the folder holds another run or
        search, or is in use by one.
      RunError: a fit or a save failed.
      Stopped: by SIGTERM or Ctrl-C; what is known by then is kept.
    """
    whole = without_validation(config)  # auto cuts what it chooses by
    with StopRequest(config.checkpoint.grace_seconds) as stop:
        say_device(with_fields(config, {"method": "gcn"}), console)
        split = prepare_split(whole, console)
        with locked(workdir, console.warning):
            chosen = choose_for(split, whole, given, workdir, console)
        _show(chosen, config, console)
        train_on(split, chosen.config, workdir, stop, console, peek=False)
        if config.auto.refit and (split.validation is not None or split.test is not None):
            console.note("\nfitting what was chosen to all listens, test included")
            folder = fit_for_use(split, chosen.config, workdir, stop, console)
            console.files({folder.root: "the model for use: recommend and similar take it"})


def _show(chosen: Recommendation, config: RunConfig, console: Console) -> None:
    best_alone = max(chosen.alone.values())
    rows: list[list[str | int | float | None]] = [
        [
            each.method,
            chosen.alone[each.method],
            chosen.weights[each.method] or None,
            each.tried,
            " ".join(f"{n.rpartition('.')[2]}={v}" for n, v in each.settings.items()),
        ]
        for each in chosen.finalists
    ]
    console.table(
        f"Chosen by {config.eval.metric} on validation: {chosen.score:.4f}, the best method alone "
        f"{best_alone:.4f}",
        ["method", "alone", "weight", "tried", "best settings"],
        rows,
    )
