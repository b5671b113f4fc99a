"""`method = auto`: what suits the data is chosen on validation, fitted to train, measured."""

from collections.abc import Set
from pathlib import Path

from jaxrec.commands.train import say_device, train_on
from jaxrec.config import RunConfig, with_fields
from jaxrec.report.console import Console
from jaxrec.runs.lock import locked
from jaxrec.runs.prepare import prepare_all, prepare_split
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
        console.note(f"\nchosen, and now fitted to all of train: {_members(chosen)}")
        done = train_on(split, chosen.config, workdir, stop, console, peek=False)
        if config.auto.refit and (split.validation is not None or split.test is not None):
            console.note("\nfitting what was chosen to all listens, test included")
            everything = prepare_all(config, Console(quiet=True))
            folder = fit_for_use(everything, done, chosen.config, stop, console)
            console.files({folder.root: "the model for use: recommend and similar take it"})
    _show(chosen, config, console)


def _members(chosen: Recommendation) -> str:
    """What is blended, or the one method."""
    members = [each for each in chosen.finalists if chosen.weights[each.name]]
    if len(members) == 1:
        return members[0].name
    parts = (f"{chosen.weights[each.name]:g} {each.name}" for each in members)
    return "a blend of " + ", ".join(parts)


def _show(chosen: Recommendation, config: RunConfig, console: Console) -> None:
    """What was tried, what was chosen, and why: beside the best method alone."""
    best = chosen.finalists[0].name
    gain = chosen.score / chosen.alone[best] - 1 if chosen.alone[best] else 0.0
    rows: list[list[str | int | float | None]] = [
        [
            each.name,
            each.tried,
            chosen.alone[each.name],
            chosen.weights[each.name] or None,
            " ".join(
                f"{field.rpartition('.')[2]}={value}" for field, value in each.settings.items()
            ),
        ]
        for each in chosen.finalists
    ]
    console.table(
        f"Tried and chosen by {config.eval.metric} on parts of train: {_members(chosen)}, "
        f"{chosen.score:.4f}; {best}, the best alone, {chosen.alone[best]:.4f} ({gain:+.1%})",
        ["method", "settings tried", "alone", "weight", "best settings"],
        rows,
    )
    console.note(
        "a member has a weight where it gained more than chance would, in whichever way songs were "
        "held out"
    )
