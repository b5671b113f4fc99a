"""A search's memory: every trial in a journal, so that a search that was stopped goes on the same.

Everything that touches Optuna's storage, sampler and pruner.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock, JournalStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from jaxrec.errors import UserError
from jaxrec.runs.identity import first_difference

_NAME = "tune"
_IDENTITY = "identity"


def open_study(path: Path, identity: Mapping[str, Any], *, first_pruned_epoch: int) -> optuna.Study:
    """Opens the study whose journal this is, or begins one; the caller holds its folder's lock.

    A trial is given up where its best score so far is below the median of the scores that earlier
    trials had at the same epoch (Golovin et al. 2017, https://doi.org/10.1145/3097983.3098043,
    section 3.2). The first five are never, and none before an epoch: a small learning rate is slow
    at first, however good in the end.

    Args:
      path: the journal.
      identity: what must agree for the study to go on; plain values.
      first_pruned_epoch: the first after which a trial may be given up.

    Raises:
      UserError: the journal is of another study, or damaged.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # it logs every trial, and so do we
    _clear_up(path)
    try:
        study = optuna.create_study(
            study_name=_NAME,
            storage=JournalStorage(_backend(path)),
            direction="maximize",
            pruner=optuna.pruners.MedianPruner(n_warmup_steps=first_pruned_epoch),
            load_if_exists=True,
        )
        known = study.user_attrs.get(_IDENTITY)
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise UserError(
            f"{path}: damaged ({type(error).__name__}); expected the journal that `tune` wrote, or "
            "another --workdir to start anew"
        ) from error
    if known is None:
        study.set_user_attr(_IDENTITY, dict(identity))
    elif difference := first_difference(known, identity):
        field, there, here = difference
        raise UserError(
            f"{path.parent} holds a search with {field} = {there}, this one has {here}; expected "
            "the same, or a --workdir of its own"
        )
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)  # cut by a stop; it will be run again
    return study


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that came to their end or were given up, oldest first."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def next_trial(
    study: optuna.Study, space: Mapping[str, BaseDistribution], *, seed: int, trials: int
) -> Trial | None:
    """Chooses the settings of a trial: a function of the seed and of the trials finished before.

    So a trial that was cut is chosen again, and a search that went on equals one in one go. A space
    of no more settings than there are trials is gone through; in a larger one the first ten are
    random, the others by the tree-structured Parzen estimator (Bergstra et al. 2011,
    https://papers.nips.cc/paper/4443).

    Args:
      study: what `open_study` returns.
      space: the range of each field.
      seed: the search's seed.
      trials: how many there are to be in all.

    Returns:
      The trial to run; None where there are that many, or all settings have been tried.
    """
    done = finished(study)
    if len(done) >= trials:
        return None
    if (settings := _all_settings(space, most=trials)) is not None:
        untried = [each for each in settings if each not in [trial.params for trial in done]]
        if not untried:
            return None
        study.sampler = _Given(untried[0])
    else:
        words = np.random.SeedSequence([seed, len(done)]).generate_state(1)
        study.sampler = optuna.samplers.TPESampler(seed=int(words[0]))
    return study.ask(dict(space))


def _all_settings(
    space: Mapping[str, BaseDistribution], *, most: int
) -> list[dict[str, Any]] | None:
    """Every setting there is, or None where there are more than `most`."""
    values: list[Sequence[Any]] = []
    for each in space.values():
        if isinstance(each, CategoricalDistribution):
            values.append(each.choices)
        elif isinstance(each, IntDistribution):
            values.append(range(each.low, each.high + 1))
        else:
            return None
    if math.prod(map(len, values)) > most:
        return None
    return [dict(zip(space, each, strict=True)) for each in itertools.product(*values)]


class _Given(optuna.samplers.BaseSampler):
    """Settings that are chosen already."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = settings

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        return {}

    def sample_independent(
        self, study: Any, trial: Any, param_name: str, param_distribution: Any
    ) -> Any:
        return self._settings[param_name]


def _backend(path: Path) -> JournalFileBackend:
    return JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path)))


def _clear_up(path: Path) -> None:
    """Undoes what a kill may leave: half a line, onto which the next would be written; a lock."""
    for lock in path.parent.glob(f"{path.name}.lock*"):
        lock.unlink()
    if path.exists():
        text = path.read_bytes()
        whole = text.rfind(b"\n") + 1
        if whole < len(text):
            with path.open("r+b") as file:
                file.truncate(whole)
