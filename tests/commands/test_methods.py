"""Every method that is fitted at once, from its fit to its lists: kept, and never fitted again."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow.parquet as pq
import pytest

from jaxrec import commands
from jaxrec.config import RunConfig
from jaxrec.errors import RunError, UserError
from jaxrec.models import closed_forms
from jaxrec.report.console import Console
from jaxrec.runs.prepare import prepare_split
from tests.checkerboard import ITEMS_PER_GROUP, SMALL, config_of, withheld, write_checkerboard
from tests.configurations import read_metrics
from tests.recommending import recommend as recommend_by_flags

MakeConfig = Callable[..., RunConfig]
METHODS = sorted(closed_forms.CLOSED_FORMS)
ALL_ALIKE = ("most_popular", "own_plays")  # they tell no unheard song from another


def recommend(run: Path, **changes: Any) -> list[dict[str, Any]]:
    output = run.parent / "lists.parquet"
    arguments: dict[str, Any] = {
        "k": 1,
        "output": output,
        "users": None,
        "users_file": None,
        "seen": "exclude",
        "step": None,
    }
    recommend_by_flags(run, **(arguments | changes))
    rows: list[dict[str, Any]] = pq.read_table(output).to_pylist()
    return rows


def refuse_to_fit(*_: Any, **__: Any) -> NoReturn:
    raise AssertionError("fitted again")


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a method's run, whose data are gone; not to be changed."""
    folder = tmp_path_factory.mktemp("methods")

    def run_of(method: str) -> Path:
        run = folder / method
        if not run.exists():
            path = write_checkerboard(folder / "listens.csv")
            commands.train(config_of(path, method=method, **SMALL), run)
            path.unlink()
        return run

    return run_of


@pytest.fixture
def run(request: pytest.FixtureRequest, fitted: Callable[[str], Path], tmp_path: Path) -> Path:
    """A copy of the run of the method that the test names."""
    return Path(shutil.copytree(fitted(request.param), tmp_path / request.param))


@pytest.mark.parametrize("run", METHODS, indirect=True)
def test_the_folder_is_a_measured_runs(run: Path) -> None:
    assert {path.name for path in run.iterdir()} == {
        ".lock",
        "config.json",
        "users.parquet",
        "items.parquet",
        "interactions.parquet",
        "model.ckpt",
        "metrics.jsonl",
        "tensorboard",
        "results.json",
        "per_user.parquet",
    }
    assert [path.name for path in (run / "model.ckpt").iterdir()] == ["1"]
    (row,) = read_metrics(run / "metrics.jsonl")
    assert (row["epoch"], row["step"]) == (1, 1)
    assert "loss" not in row and row["seconds_training"] > 0
    metrics = json.loads((run / "results.json").read_text())["metrics"]
    if run.name == "most_popular":
        assert metrics["model"] == metrics["most_popular"]


@pytest.mark.parametrize("run", METHODS, indirect=True)
def test_what_is_fitted_is_never_fitted_again(
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(closed_forms, "fit", refuse_to_fit)
    said = (run / "results.json").read_text()
    commands.evaluate(run, config=None, step=None)
    assert (run / "results.json").read_text() == said
    lists = recommend(run)
    assert {row["user"]: row["item"] for row in lists}.keys() == withheld().keys()
    if run.name not in ALL_ALIKE:
        assert {row["user"]: row["item"] for row in lists} == withheld()
    capsys.readouterr()
    commands.similar(run, item="s1-4", k=ITEMS_PER_GROUP - 1, step=None)
    near = set(re.findall(r"s\d-\d", capsys.readouterr().out))
    assert len(near) == ITEMS_PER_GROUP - 1
    if run.name not in ALL_ALIKE:
        assert near == {f"s1-{item}" for item in range(ITEMS_PER_GROUP)} - {"s1-4"}
    # The same command again: the run is there, and is measured, no more.
    path = write_checkerboard(tmp_path / "listens.csv")
    commands.train(config_of(path, method=run.name, **SMALL), run)
    assert (run / "results.json").read_text() == said
    assert len(read_metrics(run / "metrics.jsonl")) == 1


@pytest.mark.parametrize("run", ["most_popular", "rp3beta"], indirect=True)
def test_steps_are_refused(run: Path) -> None:
    for ask in (
        lambda: commands.evaluate(run, config=None, step=0),
        lambda: recommend(run, step=1),
        lambda: commands.similar(run, item="s0-0", k=3, step=1),
    ):
        with pytest.raises(UserError, match=rf"--step=\d: a model of {run.name} that is kept whol"):
            ask()


@pytest.mark.parametrize("method", ["itemknn", "walks"])
def test_fitted_methods_beat_the_most_popular_list(
    checkerboard_config: MakeConfig, tmp_path: Path, method: str
) -> None:
    config = checkerboard_config(method=method, data__split="random", **SMALL)
    commands.train(config, tmp_path / "run")
    metrics = json.loads((tmp_path / "run" / "results.json").read_text())["metrics"]
    assert metrics["model"]["recall@10"]["low"] > metrics["most_popular"]["recall@10"]["high"]


def test_validation_is_not_known_to_a_closed_form(
    checkerboard_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = checkerboard_config(
        method="itemknn", data__split="random", data__validation_fraction=0.2
    )
    known = []
    fit = closed_forms.fit

    def watched(name: str, settings: Any, train: Any, **rest: Any) -> Any:
        known.append(train)
        return fit(name, settings, train, **rest)

    monkeypatch.setattr(closed_forms, "fit", watched)
    commands.train(config, tmp_path / "run")
    split = prepare_split(config, Console(quiet=True))
    (train,) = known
    np.testing.assert_array_equal(train.keys(), split.train.keys())
    assert split.validation is not None and len(split.validation)


@pytest.mark.parametrize("run", ["itemknn"], indirect=True)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "gcn"}, "a run with method = itemknn, this one has gcn"),
        ({"method": "most_popular"}, "a run with method = itemknn, this one has most_popular"),
        (
            {"baseline__itemknn__neighbours": 7},
            "baseline.itemknn.neighbours = 100, this one has 7",
        ),
    ],
)
def test_another_method_is_another_run(
    run: Path,
    checkerboard_config: MakeConfig,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        commands.train(checkerboard_config(**({"method": "itemknn"} | change)), run)
    # What other methods take has no say in this one.
    monkeypatch.setattr(closed_forms, "fit", refuse_to_fit)
    commands.train(checkerboard_config(method="itemknn", lr=0.7, baseline__ease__l2=1.0), run)


def test_it_says_what_it_does(
    checkerboard_config: MakeConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = checkerboard_config(method="rp3beta", data__split="random", quiet=False)
    commands.train(config, tmp_path / "run")
    output = capsys.readouterr().out
    assert "Data, split: random" in output
    assert re.search(r"rp3beta: fitted in \d", output)
    assert re.search(r"Results on test, \d+ users \(mean", output)
    assert "per_user.parquet" in output and "model.ckpt" in output and "curves" not in output


def test_a_model_of_nan_is_not_kept(checkerboard_config: MakeConfig, tmp_path: Path) -> None:
    config = checkerboard_config(method="walks", walks__exponent=-60.0)
    with pytest.raises(RunError, match="hold a NaN"):
        commands.train(config, tmp_path / "run")
    assert not list((tmp_path / "run" / "model.ckpt").iterdir())
