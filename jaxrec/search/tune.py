"""A search: trial after trial, scored on validation alone, until the best settings are chosen."""

import csv
import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, Trial, TrialState

from jaxrec.config import RunConfig, with_fields
from jaxrec.data.splits import Split
from jaxrec.errors import RunError, UserError
from jaxrec.files import remove_leftovers, replacing
from jaxrec.rank.measure import Measure
from jaxrec.report.console import Console, Value
from jaxrec.runs.identity import identity
from jaxrec.runs.lock import locked
from jaxrec.runs.methods import Remembered
from jaxrec.runs.stop import StopRequest
from jaxrec.search.candidate import fit_candidate
from jaxrec.search.choice import Choice, write_choice
from jaxrec.search.space import parse_space
from jaxrec.search.study import finished, next_trial, open_study

JOURNAL_NAME, TRIALS_NAME = "study.journal", "trials.csv"
# What a trial remembers of itself.
_EPOCHS, _SCORE, _ERROR = "epochs", "score", "error"


def search(
    config: RunConfig, splits: Sequence[Split], workdir: Path, stop: StopRequest, console: Console
) -> tuple[Choice, list[FrozenTrial]]:
    """Searches `config.tune.space` until `config.tune.trials` are done, and writes the best.

    Started again it goes on; a trial that was cut is run again from its beginning. The settings
    are chosen by `eval.metric` on all users of the validation part, the mean over the splits.

    Args:
      config: the settings that aren't searched, and what is.
      splits: train and validation parts to choose by; there must be no test part in them.
      workdir: the search's folder.
      stop: who may ask it to stop.
      console: where to say what happens.

    Returns:
      The choice, and the trials that came to their end or were given up, oldest first.

    Raises:
      UserError: the space or the data can't be used, no trial came to its end, or the folder holds
        another search or is in use.
      Stopped: it was asked for; the trials done are kept.
    """
    space = parse_space(config)
    with locked(workdir, console.warning):
        remove_leftovers(workdir)
        study = open_study(
            workdir / JOURNAL_NAME,
            _identity(config, splits[0]),
            first_pruned_epoch=math.ceil(config.tune.prune_from * config.epochs),
        )
        if done := len(finished(study)):
            console.note(f"going on in {workdir} after {done:,} trials")
        remembered: list[Remembered] = [{} for _ in splits]
        while True:
            with stop.deferring():  # Optuna's journal is written to in here
                trial = next_trial(study, space, seed=config.seed, trials=config.tune.trials)
            if trial is None:
                break
            outcome = _run_trial(trial, study, config, splits, remembered, console)
            with stop.deferring():
                _tell(study, trial, outcome)
            console.epoch_row(trial_row(finished(study)[-1], len(finished(study))))
            _write_trials(workdir / TRIALS_NAME, finished(study), space)
        choice = _choose(study, config, splits)
        write_choice(workdir, choice)
    return choice, finished(study)


def _identity(config: RunConfig, split: Split) -> dict[str, Any]:
    """What makes a search this one: all that a trial depends on but what is searched."""
    searched = {text.split()[0] for text in config.tune.space}
    fields = {
        **identity(config, split),
        "eval.metric": config.eval.metric,
        "eval.every_epochs": config.eval.every_epochs,
        "eval.patience": config.eval.patience,
        "tune.space": list(config.tune.space),
        "tune.prune_from": config.tune.prune_from,
        "tune.cuts": config.tune.cuts,
    }
    # A blend's have the member's name before them.
    return {
        field: "searched" if field.rpartition(": ")[2] in searched else value
        for field, value in fields.items()
    }


@dataclasses.dataclass(frozen=True)
class _Outcome:
    """How a trial ended: `error` where it failed, `pruned` where it was given up."""

    score: float | None
    epochs: int | None
    pruned: bool
    error: str | None = None


def _run_trial(
    trial: Trial,
    study: optuna.Study,
    config: RunConfig,
    splits: Sequence[Split],
    remembered: Sequence[Remembered],
    console: Console,
) -> _Outcome:
    for known in finished(study):  # of a small space the same settings come up again
        if known.params == trial.params:
            for epoch, score in known.intermediate_values.items():
                trial.report(score, epoch)
            return _outcome_of(known)

    def give_up(epoch: int, score: float) -> bool:
        trial.report(score, epoch)
        return trial.should_prune()

    chosen = with_fields(config, trial.params)
    number = len(finished(study)) + 1
    try:
        candidate = fit_candidate(
            chosen,
            splits,
            console,
            description=f"trial {number}/{config.tune.trials}",
            give_up=give_up,
            remembered=remembered,
        )
    except (RunError, UserError) as error:  # of these settings; others may do
        why = str(error).partition(". ")[0]  # the rest is advice about a run with checkpoints
        console.warning(f"trial {number}: {why}")
        return _Outcome(None, None, pruned=True, error=why)
    return _Outcome(candidate.score, candidate.epochs, candidate.pruned)


def _outcome_of(trial: FrozenTrial) -> _Outcome:
    attributes = trial.user_attrs
    return _Outcome(
        attributes[_SCORE],
        attributes[_EPOCHS],
        trial.state == TrialState.PRUNED,
        attributes[_ERROR],
    )


def _tell(study: optuna.Study, trial: Trial, outcome: _Outcome) -> None:
    trial.set_user_attr(_SCORE, outcome.score)
    trial.set_user_attr(_EPOCHS, outcome.epochs)
    trial.set_user_attr(_ERROR, outcome.error)
    if outcome.pruned:
        study.tell(trial, state=TrialState.PRUNED)
    else:
        study.tell(trial, outcome.score)


def _choose(study: optuna.Study, config: RunConfig, splits: Sequence[Split]) -> Choice:
    """The best trial's settings, ready to be trained again and measured once."""
    trials = finished(study)
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if not complete:
        raise UserError(
            f"config.tune.space: none of {len(trials)} trials came to its end "
            f"({_outcome_of(trials[0]).error}); expected settings that can be used"
        )
    best = max(complete, key=lambda trial: trial.values[0])  # of equals the first
    measures = [Measure(config, split, peek=False) for split in splits]
    popular = [
        measure.of_all("validation", measure.most_popular(), (_cutoff(config),))
        for measure in measures
    ]
    frozen = dict(best.params)
    if config.eval.patience:
        frozen["eval.patience"] = 0  # the number of epochs is chosen now
    if (epochs := _outcome_of(best).epochs) is not None:
        frozen["epochs"] = epochs
    return Choice(
        config=with_fields(config, frozen),
        validation={
            "metric": config.eval.metric,
            "score": best.values[0],
            "most_popular": statistics.fmean(each.means()[config.eval.metric] for each in popular),
            "cuts": len(splits),
            "trial": trials.index(best) + 1,
            "trials": len(trials),
            "pruned": sum(trial.state == TrialState.PRUNED for trial in trials),
            "space": list(config.tune.space),
            "chosen": frozen,
            "protocol": popular[0].protocol,  # the others differ in seed and SHA-256
        },
    )


def _cutoff(config: RunConfig) -> int:
    return int(config.eval.metric.partition("@")[2])


def trial_row(trial: FrozenTrial, number: int) -> dict[str, Value]:
    """A trial as a row of a table: number, state, score, best epoch and the settings."""
    outcome = _outcome_of(trial)
    state = "failed" if outcome.error else "given up" if outcome.pruned else "done"
    return {
        "trial": number,
        "state": state,
        "score": outcome.score,
        "best epoch": outcome.epochs,
        **trial.params,
    }


def _write_trials(
    path: Path, trials: Sequence[FrozenTrial], space: Mapping[str, BaseDistribution]
) -> None:
    columns = ["trial", "state", "score", "best epoch", *space]
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for number, trial in enumerate(trials, start=1):
            writer.writerow(trial_row(trial, number))
