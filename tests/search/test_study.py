"""A search's memory: which settings come next, and which are given up."""

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from jaxrec.errors import UserError
from jaxrec.search.study import finished, next_trial, open_study


def scores_of_trials(path: Path, first_pruned_epoch: int) -> list[list[int]]:
    """After which epochs each of 8 trials was still worth going on with."""
    study = open_study(path, {}, first_pruned_epoch=first_pruned_epoch)
    kept = []
    for level in (5, 5, 5, 5, 5, 9, 1, 7):
        trial = next_trial(study, {"lr": FloatDistribution(0, 1)}, seed=0, trials=8)
        assert trial is not None
        kept.append([])
        for epoch in range(1, 5):
            trial.report(level + epoch / 10, epoch)
            if trial.should_prune():
                break
            kept[-1].append(epoch)
        if len(kept[-1]) == 4:
            study.tell(trial, level)
        else:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    return kept


def test_a_trial_below_the_median_is_given_up_but_not_too_early(tmp_path: Path) -> None:
    whole = [1, 2, 3, 4]
    assert scores_of_trials(tmp_path / "early", 1) == [*[whole] * 6, [], whole]
    assert scores_of_trials(tmp_path / "late", 3) == [*[whole] * 6, [1, 2], whole]
    assert scores_of_trials(tmp_path / "never", 5) == [whole] * 8


def test_settings_depend_on_the_seed_and_the_trials_before_alone(tmp_path: Path) -> None:
    space = {
        "lr": FloatDistribution(0, 1),
        "layers": IntDistribution(1, 9),
        "kind": CategoricalDistribution(["a", "b"]),
    }

    def search(name: str, seed: int, cuts: tuple[int, ...] = ()) -> list[dict[str, Any]]:
        for end in (*cuts, 14):
            study = open_study(tmp_path / name, {}, first_pruned_epoch=1)
            while len(finished(study)) < end:
                trial = next_trial(study, space, seed=seed, trials=14)
                assert trial is not None
                study.tell(trial, trial.params["lr"])
            if end < 14:
                next_trial(study, space, seed=seed, trials=14)  # never comes to its end
        return [trial.params for trial in finished(study)]

    assert search("parts", 0, cuts=(0, 5, 12)) == search("whole", 0) != search("other", 1)


def test_a_damaged_journal_is_named(tmp_path: Path) -> None:
    journal = tmp_path / "study.journal"
    open_study(journal, {"lr": 1}, first_pruned_epoch=1)
    journal.write_bytes(b"not json\n" + journal.read_bytes())
    with pytest.raises(UserError, match=r"study\.journal: damaged"):
        open_study(journal, {"lr": 1}, first_pruned_epoch=1)
