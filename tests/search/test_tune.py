"""A search: what was stopped goes on the same, and the choice is frozen."""

import dataclasses
import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jaxrec.commands.tune import tune
from jaxrec.config import RunConfig
from jaxrec.errors import UserError
from jaxrec.models import closed_forms
from jaxrec.search import tune as tune_module
from jaxrec.search.candidate import Candidate, fit_candidate
from jaxrec.search.choice import read_choice
from tests.checkerboard import SMALL
from tests.search.searches import ITEMKNN, SEARCHED, outcome, rows_of

MakeConfig = Callable[..., RunConfig]


class Cut(BaseException):
    """Ends a search as a kill does: nothing handles it."""


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
        ("model.dim in 1000000000 8", "training needs about"),
        ("walks.exponent in -60 0.5", "the scores hold a NaN"),
    ],
)
def test_settings_that_can_not_be_used_end_their_trial_and_not_the_search(
    checkerboard_config: MakeConfig, tmp_path: Path, space: str, why: str
) -> None:
    config = checkerboard_config(
        **SEARCHED,
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


def test_the_choice_says_what_it_rests_on(checkerboard_config: MakeConfig, tmp_path: Path) -> None:
    tune(checkerboard_config(**ITEMKNN | {"tune__trials": 2}), tmp_path / "search")
    saved = json.loads((tmp_path / "search" / "best_config.json").read_text())
    validation = saved["validation"]
    assert validation["metric"] == "recall@3" and validation["trials"] == 2
    assert validation["protocol"]["data_sha256"]["test"] is None
    assert 0 <= validation["most_popular"] < validation["score"] <= 1
    assert validation["chosen"].keys() == {"baseline.itemknn.shrink", "baseline.itemknn.neighbours"}


def test_weights_of_a_blend_are_searched_without_fitting_its_members_again(
    checkerboard_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted: list[str] = []
    fit = closed_forms.fit

    def watched(name: str, *args: Any, **kwargs: Any) -> Any:
        fitted.append(name)
        return fit(name, *args, **kwargs)

    monkeypatch.setattr(closed_forms, "fit", watched)
    config = checkerboard_config(
        **SEARCHED | SMALL,
        method="blend",
        blend__models=("itemknn", "gfcf"),
        tune__space=("blend.weights.gfcf in 0 0.5 1", "baseline.gfcf.low_pass_weight in 0 0.3"),
        tune__trials=6,
    )
    tune(config, tmp_path / "search")
    rows = rows_of(tmp_path / "search")
    assert len(rows) == 6 and all(row["state"] == "done" for row in rows)
    assert fitted.count("itemknn") == 1
    low_pass = [row["baseline.gfcf.low_pass_weight"] for row in rows]
    assert fitted.count("gfcf") == 1 + sum(a != b for a, b in itertools.pairwise(low_pass))
    without = {row["score"] for row in rows if float(row["blend.weights.gfcf"]) == 0}
    assert len(without) == 1, "what counts for nothing changes nothing"
