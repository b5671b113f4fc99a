"""A search: what was stopped goes on the same, test is out of reach, the choice is frozen."""

import csv
import dataclasses
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from jaxrec.commands import candidate as candidate_module
from jaxrec.commands import measure as measure_module
from jaxrec.commands import tune as tune_module
from jaxrec.commands.tune import tune
from jaxrec.config import RunConfig, with_fields
from jaxrec.data.splits import Split
from jaxrec.errors import UserError
from jaxrec.rank.measure import Measure
from jaxrec.report.console import Console
from jaxrec.runs.prepare import prepare_cuts, prepare_split
from jaxrec.search.candidate import Candidate, fit_candidate
from jaxrec.search.choice import read_choice
from jaxrec.search.study import finished, next_trial, open_study
from jaxrec.train import setup as train_setup
from tests.configurations import config_with

MakeConfig = Callable[..., RunConfig]
SEARCHED = {
    "data__split": "random",
    "data__validation_fraction": 0.2,
    "eval__metric": "recall@3",
    "eval__ks": (3,),
}
ITEMKNN = {
    **SEARCHED,
    "method": "itemknn",
    "tune__space": ("baseline.itemknn.shrink log 0.1 100", "baseline.itemknn.neighbours int 1 8"),
    "tune__trials": 16,  # the estimator takes over from random settings at the eleventh
}


class Cut(BaseException):
    """Ends a search as a kill does: nothing handles it."""


def outcome(workdir: Path) -> tuple[str, str]:
    return (workdir / "trials.csv").read_text(), (workdir / "best_config.json").read_text()


def rows_of(workdir: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((workdir / "trials.csv").read_text().splitlines()))


def cut_at(monkeypatch: pytest.MonkeyPatch, trial: int) -> None:
    calls = iter(range(1, trial + 1))

    def fit(*args: Any, **kwargs: Any) -> Candidate:
        if next(calls) == trial:
            raise Cut
        return fit_candidate(*args, **kwargs)

    monkeypatch.setattr(tune_module, "fit_candidate", fit)


def test_a_search_that_was_cut_equals_one_in_one_go(
    checkerboard_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = checkerboard_config(**ITEMKNN)
    tune(config, tmp_path / "whole")
    for trial in (1, 4, 9):  # counted from the last start
        cut_at(monkeypatch, trial)
        with pytest.raises(Cut):
            tune(config, tmp_path / "parts")
        # A kill amid a write leaves half a line and a lock.
        with (tmp_path / "parts" / "study.journal").open("ab") as journal:
            journal.write(b'{"op_code":5,"worker_')
        (tmp_path / "parts" / "study.journal.lock").touch()
    monkeypatch.undo()
    tune(config, tmp_path / "parts")
    assert outcome(tmp_path / "parts") == outcome(tmp_path / "whole")
    rows = rows_of(tmp_path / "whole")
    assert len(rows) == 16
    assert len({row["baseline.itemknn.shrink"] for row in rows}) > 12


@pytest.mark.parametrize(
    ("space", "why"),
    [
        ("baseline.gfcf.singular_vectors in 500 4", "config.baseline.gfcf.singular_vectors is 500"),
        ("model.dim in 1000000000 8", "training needs about"),
        ("walks.exponent in -60 0.5", "the scores hold a NaN"),
    ],
)
def test_settings_that_can_not_be_used_end_their_trial_and_not_the_search(
    checkerboard_config: MakeConfig, tmp_path: Path, space: str, why: str
) -> None:
    config = checkerboard_config(
        **SEARCHED,
        method="gfcf" if "gfcf" in space else "gcn",
        walks__weight=1.0,
        epochs=1,
        tune__space=(space,),
    )
    tune(config, tmp_path / "study")
    assert [row["state"] for row in rows_of(tmp_path / "study")] == ["failed", "done"]
    study = (tmp_path / "study" / "study.journal").read_text()
    assert why in study
    assert read_choice(tmp_path / "study").validation is not None


def test_more_trials_go_on_from_those_there_are(
    checkerboard_config: MakeConfig, tmp_path: Path
) -> None:
    tune(checkerboard_config(**ITEMKNN | {"tune__trials": 3}), tmp_path / "search")
    first = (tmp_path / "search" / "trials.csv").read_text()
    tune(checkerboard_config(**ITEMKNN | {"tune__trials": 5}), tmp_path / "search")
    assert (tmp_path / "search" / "trials.csv").read_text().startswith(first)
    tune(checkerboard_config(**ITEMKNN | {"tune__trials": 5}), tmp_path / "whole")
    assert outcome(tmp_path / "search") == outcome(tmp_path / "whole")


def test_the_network_is_searched_resumed_and_frozen_at_its_best_epoch(
    checkerboard_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = checkerboard_config(
        **SEARCHED,
        tune__space=("lr log 0.01 0.5", "model.layers in 0 1"),
        tune__trials=2,
        eval__patience=3,
    )
    tune(config, tmp_path / "whole")
    cut_at(monkeypatch, 2)
    with pytest.raises(Cut):
        tune(config, tmp_path / "parts")
    monkeypatch.undo()
    tune(config, tmp_path / "parts")
    assert outcome(tmp_path / "parts") == outcome(tmp_path / "whole")

    rows = rows_of(tmp_path / "whole")
    best = max(rows, key=lambda row: float(row["score"]))
    choice = read_choice(tmp_path / "whole")
    assert choice.validation is not None
    assert choice.validation["score"] == float(best["score"])
    assert choice.validation["protocol"]["part"] == "validation"
    assert choice.config == dataclasses.replace(
        config,
        lr=float(best["lr"]),
        epochs=int(best["best epoch"]),
        model=dataclasses.replace(config.model, layers=int(best["model.layers"])),
        eval=dataclasses.replace(config.eval, patience=0),
    )


class Poison:
    """Whatever is asked of it, it fails."""

    def __getattr__(self, name: str) -> NoReturn:
        raise AssertionError(f"test.{name} was looked at")


@pytest.mark.parametrize(
    "changes", [ITEMKNN, {**SEARCHED, "tune__space": ("lr log 0.01 0.5",)}], ids=["itemknn", "gcn"]
)
def test_the_test_part_is_never_looked_at(
    checkerboard_config: MakeConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
) -> None:
    def poisoned(config: RunConfig, console: Console) -> Any:
        cuts = prepare_cuts(config, console)
        return [dataclasses.replace(split, test=Poison()) for split in cuts]

    monkeypatch.setattr(tune_module, "prepare_cuts", poisoned)
    once = {"tune__trials": 1, "tune__cuts": 2, "epochs": 2}
    tune(checkerboard_config(**changes | once), tmp_path / "search")
    assert "chosen" in (tmp_path / "search" / "best_config.json").read_text()


def test_a_space_of_few_settings_is_gone_through_once(
    checkerboard_config: MakeConfig, tmp_path: Path
) -> None:
    space = ("baseline.itemknn.neighbours int 1 2", "baseline.itemknn.shrink in 0 10 5")
    tune(checkerboard_config(**ITEMKNN | {"tune__space": space}), tmp_path / "search")
    rows = rows_of(tmp_path / "search")
    settings = [
        (row["baseline.itemknn.neighbours"], row["baseline.itemknn.shrink"]) for row in rows
    ]
    assert sorted(settings) == sorted((n, s) for n in "12" for s in ("0.0", "10.0", "5.0"))


def test_a_search_without_validation_is_refused_and_leaves_nothing(
    checkerboard_config: MakeConfig, tmp_path: Path
) -> None:
    for split in ("random", "none"):
        changes = ITEMKNN | {"data__validation_fraction": 0.0, "data__split": split}
        with pytest.raises(UserError, match=r"config\.data\.validation_fraction .* no validation"):
            tune(checkerboard_config(**changes), tmp_path / "search")
    assert not (tmp_path / "search").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "holds a search with data (train interactions, SHA-256) = "),
        ({"eval__metric": "ndcg@3"}, "with eval.metric = recall@3, this one has ndcg@3"),
        (
            {"tune__space": ("baseline.itemknn.shrink in 1 2",)},
            "neighbours = searched, this one has",
        ),
    ],
)
def test_another_search_is_refused(
    checkerboard_config: MakeConfig, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    config = ITEMKNN | {"tune__trials": 1}
    tune(checkerboard_config(**config), tmp_path / "search")
    before = outcome(tmp_path / "search")
    with pytest.raises(UserError, match=re.escape(message)):
        tune(checkerboard_config(**config | change), tmp_path / "search")
    assert outcome(tmp_path / "search") == before


def test_a_search_with_other_walks_is_refused(
    checkerboard_config: MakeConfig, tmp_path: Path
) -> None:
    config = SEARCHED | {"epochs": 1, "tune__space": ("lr in 0.01 0.05",), "tune__trials": 1}
    tune(checkerboard_config(**config), tmp_path / "search")
    before = outcome(tmp_path / "search")
    with pytest.raises(UserError, match=r"with walks\.weight = 0\.0, this one has 2\.0"):
        tune(checkerboard_config(**config, walks__weight=2.0), tmp_path / "search")
    assert outcome(tmp_path / "search") == before


def test_cuts_share_test_and_what_validation_is_cut_from(
    checkerboard_config: MakeConfig,
) -> None:
    config = checkerboard_config(**SEARCHED, tune__cuts=3)
    cuts = prepare_cuts(config, Console(quiet=True))
    first = prepare_split(config, Console(quiet=True))
    assert cuts[0].fingerprints == first.fingerprints
    assert cuts[0].protocol == first.protocol
    assert len({cut.fingerprints["test"] for cut in cuts}) == 1
    assert len({cut.fingerprints["validation"] for cut in cuts}) == 3
    wholes = [measure_module.union(cut.train, cut.validation).keys().tolist() for cut in cuts]
    assert wholes[0] == wholes[1] == wholes[2]
    assert [cut.protocol["validation"].get("seed", 0) for cut in cuts] == [0, 1, 2]


@pytest.mark.parametrize("method", ["itemknn", "gcn"])
def test_a_candidate_scores_the_mean_over_its_cuts(
    checkerboard_config: MakeConfig, method: str
) -> None:
    config = checkerboard_config(**SEARCHED, method=method, epochs=1, tune__cuts=3)

    def score(config: RunConfig, cuts: Sequence[Split]) -> float:
        found = fit_candidate(
            config, cuts, Console(quiet=True), description="", give_up=lambda *_: False
        )
        return found.score

    cuts = prepare_cuts(config, Console(quiet=True))
    alone = [score(with_fields(config, {"seed": k}), [cut]) for k, cut in enumerate(cuts)]
    assert len(set(alone)) > 1
    assert score(config, cuts) == pytest.approx(sum(alone) / 3, rel=1e-12)


def test_a_search_over_cuts_says_so_and_is_no_other_search(
    checkerboard_config: MakeConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = ITEMKNN | {"tune__trials": 1, "tune__cuts": 2}
    tune(checkerboard_config(**config, quiet=False), tmp_path / "search")
    assert "on validation, mean of 2 cuts, " in capsys.readouterr().out
    choice = read_choice(tmp_path / "search")
    assert choice.validation is not None and choice.validation["cuts"] == 2
    with pytest.raises(UserError, match=r"with tune\.cuts = 2, this one has 1"):
        tune(checkerboard_config(**config | {"tune__cuts": 1}), tmp_path / "search")


def test_cuts_that_no_seed_decides_are_refused(
    checkerboard_config: MakeConfig, tmp_path: Path
) -> None:
    config = checkerboard_config(**ITEMKNN | {"data__split": "last_n", "tune__cuts": 2})
    with pytest.raises(UserError, match=r"cuts is 2 and config\.data\.split is 'last_n'"):
        tune(config, tmp_path / "search")
    assert not (tmp_path / "search").exists()


def test_a_seed_too_great_for_the_cuts_is_refused(
    checkerboard_config: MakeConfig, tmp_path: Path
) -> None:
    config = checkerboard_config(**ITEMKNN, seed=2**32 - 1, tune__cuts=2)
    with pytest.raises(UserError, match=r"config\.seed is 4294967296; expected"):
        tune(config, tmp_path / "search")
    assert not (tmp_path / "search").exists()


def test_a_damaged_journal_is_named(checkerboard_config: MakeConfig, tmp_path: Path) -> None:
    config = checkerboard_config(**ITEMKNN | {"tune__trials": 1})
    tune(config, tmp_path / "search")
    journal = tmp_path / "search" / "study.journal"
    journal.write_bytes(b"not json\n" + journal.read_bytes())
    with pytest.raises(UserError, match=r"study\.journal: damaged"):
        tune(config, tmp_path / "search")


def test_a_trial_that_diverges_counts_and_the_search_goes_on(
    checkerboard_config: MakeConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = checkerboard_config(
        **SEARCHED, epochs=2, loss__l2=1.0, tune__space=("lr in 1e30 0.05",), tune__trials=2
    )
    tune(config, tmp_path / "search")
    rows = rows_of(tmp_path / "search")
    assert [row["state"] for row in rows] == ["failed", "done"]
    assert read_choice(tmp_path / "search").config.lr == 0.05
    assert "trial 1: step " in capsys.readouterr().err
    only_bad = dataclasses.replace(
        config, tune=dataclasses.replace(config.tune, space=("lr in 1e30",))
    )
    with pytest.raises(UserError, match=r"none of 1 trials came to its end \(step \d+"):
        tune(only_bad, tmp_path / "bad")


def test_a_candidate_counts_at_its_best_epoch_or_with_a_schedule_at_its_last(
    checkerboard_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scored(scores: list[float], **changes: Any) -> tuple[Candidate, list[int]]:
        config = checkerboard_config(**SEARCHED, epochs=5, **changes)
        left = iter(scores)
        monkeypatch.setattr(Measure, "score", lambda *_: next(left))
        monkeypatch.setattr(train_setup, "train_epoch", lambda state, *_, **__: (state, 0.1))
        told: list[int] = []

        def give_up(epoch: int, score: float) -> bool:
            told.append(epoch)
            return score == 0.0

        split = prepare_split(config, Console(quiet=True))
        found = candidate_module.fit_candidate(
            config, [split], Console(quiet=True), description="", give_up=give_up
        )
        return found, told

    assert scored([0.1, 0.3, 0.3, 0.2, 0.2]) == (Candidate(0.3, 2), [1, 2, 3, 4])
    assert scored([0.3, 0.2, 0.1], eval__every_epochs=2) == (Candidate(0.3, 2), [2, 4])
    assert scored([0.3, 0.2, 0.1], eval__patience=2) == (Candidate(0.3, 1), [1, 2, 3])
    assert scored([0.3, 0.0]) == (Candidate(0.3, 1, pruned=True), [1, 2])
    assert scored([0.3, 0.4, 0.3, 0.1, 0.2], lr_schedule="cosine", eval__patience=1) == (
        Candidate(0.2, 5),
        [1, 2, 3, 4],
    )


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


def test_the_default_space_can_be_searched() -> None:
    assert tune_module.parse_space(config_with())


def test_the_choice_says_what_it_rests_on(checkerboard_config: MakeConfig, tmp_path: Path) -> None:
    tune(checkerboard_config(**ITEMKNN | {"tune__trials": 2}), tmp_path / "search")
    saved = json.loads((tmp_path / "search" / "best_config.json").read_text())
    validation = saved["validation"]
    assert validation["metric"] == "recall@3" and validation["trials"] == 2
    assert validation["protocol"]["data_sha256"]["test"] is None
    assert 0 <= validation["most_popular"] < validation["score"] <= 1
    assert validation["chosen"].keys() == {"baseline.itemknn.shrink", "baseline.itemknn.neighbours"}
