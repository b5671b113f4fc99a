"""`tune`: choose settings on the validation part; the test part is put away before that."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from jaxrec.commands.train import say_device
from jaxrec.config import RunConfig
from jaxrec.errors import UserError
from jaxrec.report.console import Console
from jaxrec.runs.prepare import prepare_cuts
from jaxrec.runs.prepared import as_prepared
from jaxrec.runs.stop import StopRequest
from jaxrec.search.choice import CHOICE_NAME, Choice
from jaxrec.search.space import parse_space
from jaxrec.search.tune import JOURNAL_NAME, TRIALS_NAME, search, trial_row

SHOWN = 10


def tune(config: RunConfig, workdir: Path) -> None:
    """Searches `config.tune.space` in `workdir`, going on where a search there stopped.

    Raises:
      UserError: there is no validation part, the space or the data can't be used, no trial came
        to its end, or the folder holds another search or is in use.
      Stopped: by SIGTERM or Ctrl-C; the trials done are kept.
    """
    config, console = as_prepared(config), Console(quiet=config.quiet)
    parse_space(config)  # a mistake in it is told before the data are read
    with StopRequest(config.checkpoint.grace_seconds) as stop:
        say_device(config, console)
        splits = prepare_cuts(config, console)
        if any(split.validation is None for split in splits):
            raise UserError(
                "config.data.validation_fraction and config.data.validation_last_n leave no "
                "validation part to choose by; expected one above 0, and config.data.split not "
                "none"
            )
        # So that nothing below can look at it.
        splits = [dataclasses.replace(split, test=None) for split in splits]
        choice, trials = search(config, splits, workdir, stop, console)
    _show(trials, choice, config, workdir, console)


def _show(
    trials: Sequence[FrozenTrial],
    choice: Choice,
    config: RunConfig,
    workdir: Path,
    console: Console,
) -> None:
    best = sorted(
        (each for each in enumerate(trials, start=1) if each[1].state == TrialState.COMPLETE),
        key=lambda each: -each[1].values[0],
    )[:SHOWN]
    rows = [trial_row(trial, number) for number, trial in best]
    validation = choice.validation
    assert validation is not None
    cuts = f", mean of {validation['cuts']} cuts" if validation["cuts"] > 1 else ""
    console.table(
        f"Best of {validation['trials']:,} trials by {config.eval.metric} on validation{cuts}, "
        f"{validation['protocol']['users']:,} users (most popular "
        f"{validation['most_popular']:.4f})",
        list(rows[0]),
        [list(row.values()) for row in rows],
    )
    flags = " ".join(f"--config.{field}={value}" for field, value in validation["chosen"].items())
    console.note(f"\nthe best as flags: {flags}")
    console.files(
        {
            workdir / CHOICE_NAME: "the whole configuration with the best settings, frozen",
            workdir / TRIALS_NAME: "every trial",
            workdir / JOURNAL_NAME: "Optuna's journal, from which the same command goes on",
        }
    )
    console.note(
        f"to measure the choice on test, once: python -m jaxrec.main evaluate --final "
        f"--workdir={workdir}"
    )
