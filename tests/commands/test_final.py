"""The final measurement: one split, validation learnt from, test ranked once for each seed."""

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from jaxrec import commands
from jaxrec.commands.tune import tune
from jaxrec.config import RunConfig
from jaxrec.errors import UserError
from jaxrec.rank import measure as measure_module
from jaxrec.rank.measure import Measure
from jaxrec.rank.metrics import bootstrap_intervals
from jaxrec.report.console import Console
from jaxrec.runs.prepare import prepare_split
from jaxrec.runs.record import load_run
from jaxrec.runs.results import read_results
from jaxrec.runs.run_folder import RunFolder
from jaxrec.search.choice import read_choice
from jaxrec.search.final import without_validation
from tests.configurations import read_metrics

MakeConfig = Callable[..., RunConfig]
CHOSEN = {
    "data__split": "random",
    "data__validation_fraction": 0.3,
    "eval__metric": "recall@3",
    "eval__ks": (3,),
    "epochs": 2,
}


def measurements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Fills up with the part of every ranking that is measured from now on."""
    parts: list[str] = []
    evaluate = measure_module.evaluate

    def noted(*args: Any, protocol: dict[str, Any], **kwargs: Any) -> Any:
        parts.append(protocol["part"])
        return evaluate(*args, protocol=protocol, **kwargs)

    monkeypatch.setattr(measure_module, "evaluate", noted)
    return parts


def test_all_seeds_share_a_split_whose_train_has_the_validation_part(
    checkerboard_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = checkerboard_config(**CHOSEN, seed=3)
    parts = measurements(monkeypatch)
    commands.final(tmp_path, config=config, seeds=2)
    assert parts.count("test") == 4, "the model and the most-popular list, once for each seed"
    assert "validation" not in parts

    before = prepare_split(config, Console(quiet=True))
    runs = [load_run(RunFolder(tmp_path / "final" / f"seed-{seed}")) for seed in (3, 4)]
    for run in runs:
        assert run.split.validation is None
        assert run.split.test is not None and before.test is not None and before.validation
        assert set(before.validation.keys()) <= set(run.split.train.keys())
        assert set(before.train.keys()) <= set(run.split.train.keys())
        assert set(before.test.keys()) <= set(run.split.test.keys())
        assert run.split.fingerprints == runs[0].split.fingerprints
        assert run.split.protocol["validation"] is None
        assert run.config.data.validation_fraction == 0
    assert [run.config.seed for run in runs] == [3, 4]
    assert [run.split.protocol["seed"] for run in runs] == [3, 3]
    for seed in (3, 4):
        rows = read_metrics(tmp_path / "final" / f"seed-{seed}" / "metrics.jsonl")
        assert len(rows) == 2
        assert all("reconstruction/recall@3" in row for row in rows)
        assert not any(name.startswith("test") for row in rows for name in row)


def test_whom_to_measure_is_frozen_too(checkerboard_config: MakeConfig, tmp_path: Path) -> None:
    config = checkerboard_config(**CHOSEN, eval__most_users=9)
    commands.final(tmp_path, config=config, seeds=1)
    with pytest.raises(UserError, match=r"eval\.most_users = 9, this one has None"):
        commands.final(tmp_path, config=checkerboard_config(**CHOSEN), seeds=2)
    commands.final(tmp_path, config=config, seeds=2)
    assert read_results(tmp_path / "final").users == 9


def test_a_seed_is_trained_and_measured_by_final_alone(
    checkerboard_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = checkerboard_config(**CHOSEN)
    commands.final(tmp_path, config=config, seeds=1)
    seed = tmp_path / "final" / "seed-0"
    before = {path: path.read_bytes() for path in seed.iterdir() if path.is_file()}
    other = checkerboard_config(**CHOSEN | {"eval__ks": (2,)}, walks__weight=4.0)
    commands.evaluate(seed, config=other, step=None)
    with pytest.raises(UserError, match=r"seed-0 holds a run of `evaluate --final`"):
        commands.train(without_validation(other), seed)
    with pytest.raises(UserError, match=r"final holds a run of `evaluate --final`"):
        commands.train(without_validation(other), tmp_path / "final")
    monkeypatch.chdir(seed)
    with pytest.raises(UserError, match=r"holds a run of `evaluate --final`"):
        commands.train(without_validation(other), Path())
    assert {path: path.read_bytes() for path in seed.iterdir() if path.is_file()} == before

    (seed / "per_user.parquet").unlink()
    with pytest.raises(UserError, match=r"`evaluate --final` writes again without .*results\.json"):
        commands.final(tmp_path, config=config, seeds=2)
    (seed / "results.json").unlink()
    commands.final(tmp_path, config=config, seeds=2)
    assert read_results(tmp_path / "final").seeds == [0, 1]


@pytest.mark.parametrize("kind", ["random", "last_n", "time", "given"])
def test_every_split_leaves_validation_in_train_and_test_as_it_is(
    checkerboard_config: MakeConfig, tmp_path: Path, kind: str
) -> None:
    random = np.random.default_rng(0)
    for name, size in (("train.csv", 600), ("test.csv", 200)):
        rows = random.integers(0, [20, 30, 10**6], size=(size, 3))
        lines = ["user,item,time", *(f"{user},{item},{time}" for user, item, time in rows)]
        (tmp_path / name).write_text("\n".join(lines))
    config = checkerboard_config(
        data__path=str(tmp_path / "train.csv"),
        data__test_path=str(tmp_path / "test.csv") if kind == "given" else None,
        data__columns__plays=None,
        data__columns__item_name=None,
        data__columns__timestamp="time",
        data__split=kind,
        data__validation_fraction=0.2,
        data__validation_last_n=2,
    )
    before, after = (
        prepare_split(each, Console(quiet=True)) for each in (config, without_validation(config))
    )
    assert before.validation is not None and before.test is not None and after.test is not None
    assert after.validation is None
    for part in (before.train, before.validation):
        assert set(part.keys()) < set(after.train.keys())
    assert set(before.test.keys()) <= set(after.test.keys())
    if kind != "time":  # where a pair may be heard again
        assert set(after.test.keys()).isdisjoint(after.train.keys())


def test_the_figures_over_seeds_are_those_of_the_seeds(
    checkerboard_config: MakeConfig, tmp_path: Path
) -> None:
    commands.final(tmp_path, config=checkerboard_config(**CHOSEN), seeds=3)
    results = read_results(tmp_path / "final")
    table = results.per_user
    runs = [read_results(tmp_path / "final" / f"seed-{seed}") for seed in (0, 1, 2)]
    assert results.seeds == [0, 1, 2]
    assert results.part == "test"
    assert results.protocol == runs[0].protocol == runs[2].protocol
    for name, figure in results.metrics["model"].items():
        seeds = [run.metrics["model"][name]["mean"] for run in runs]
        assert figure["seeds"] == seeds
        assert figure["mean"] == pytest.approx(sum(seeds) / 3, rel=1e-12)
        squares = sum((value - sum(seeds) / 3) ** 2 for value in seeds)
        assert figure["deviation"] == pytest.approx((squares / 2) ** 0.5)
        users = np.mean([each.per_user[name].to_numpy() for each in runs], axis=0)
        np.testing.assert_array_equal(table[name].to_numpy(), users)
        interval = (figure["low"], figure["high"])
        assert interval == pytest.approx(bootstrap_intervals({"": users}, seed=0)[""], rel=1e-12)
    assert any(figure["deviation"] > 0 for figure in results.metrics["model"].values())


def test_what_was_cut_goes_on_and_equals_what_was_not(
    checkerboard_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = checkerboard_config(**CHOSEN)
    commands.final(tmp_path / "whole", config=config, seeds=2)

    class Cut(BaseException):
        pass

    arrivals = iter(range(1, 5))
    at_epoch = Measure.at_epoch

    def cut(*args: Any) -> dict[str, float]:
        if next(arrivals) == 4:  # in the last epoch of the second seed
            raise Cut
        return at_epoch(*args)

    monkeypatch.setattr(Measure, "at_epoch", cut)
    with pytest.raises(Cut):
        commands.final(tmp_path / "parts", config=config, seeds=2)
    monkeypatch.undo()
    parts = measurements(monkeypatch)
    commands.final(tmp_path / "parts", config=config, seeds=2)
    assert parts.count("test") == 2, "the first seed is not measured again"
    for name in ("results.json", "per_user.parquet"):
        files = [tmp_path / folder / "final" / name for folder in ("parts", "whole")]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_what_is_measured_is_shown_and_not_measured_again(
    checkerboard_config: MakeConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = checkerboard_config(**CHOSEN)
    commands.final(tmp_path, config=config, seeds=2)
    said = (tmp_path / "final" / "results.json").read_text()
    parts = measurements(monkeypatch)
    for seeds in (2, 1):
        commands.final(tmp_path, config=dataclasses.replace(config, quiet=False), seeds=seeds)
        assert parts == []
        assert (tmp_path / "final" / "results.json").read_text() == said
        assert "nothing is measured again" in capsys.readouterr().out
    commands.final(tmp_path, config=config, seeds=3)
    assert parts.count("test") == 2, "one more seed"
    results = read_results(tmp_path / "final")
    before = json.loads(said)["metrics"]["model"]["recall@3"]["seeds"]
    assert results.metrics["model"]["recall@3"]["seeds"][:2] == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr": 0.1}, "holds the choice lr = 0.05, this one has 0.1"),
        ({"epochs": 3}, "holds the choice epochs = 2, this one has 3"),
        ({"walks__weight": 2.0}, "holds the choice walks.weight = 0.0, this one has 2.0"),
        ({"seed": 1}, "holds the choice data (test interactions, SHA-256) = "),
        ({"eval__ks": (5,)}, "holds the choice eval.ks = [3], this one has [5]"),
        ({"method": "itemknn"}, "holds the choice "),
    ],
)
def test_another_choice_is_not_measured_in_its_place(
    checkerboard_config: MakeConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, Any],
    message: str,
) -> None:
    commands.final(tmp_path, config=checkerboard_config(**CHOSEN), seeds=1)
    parts = measurements(monkeypatch)
    with pytest.raises(UserError, match=re.escape(message)):
        commands.final(tmp_path, config=checkerboard_config(**CHOSEN | change), seeds=1)
    assert parts == []


def test_what_a_search_has_chosen_is_what_is_measured(
    checkerboard_config: MakeConfig, tmp_path: Path
) -> None:
    config = checkerboard_config(
        **CHOSEN, tune__space=("lr in 0.01 0.05",), tune__trials=2, eval__patience=1
    )
    tune(config, tmp_path)
    commands.final(tmp_path, config=None, seeds=1)
    choice = read_choice(tmp_path)
    run = load_run(RunFolder(tmp_path / "final" / "seed-0"))
    assert run.config.lr == choice.config.lr
    assert (
        len(read_metrics(tmp_path / "final" / "seed-0" / "metrics.jsonl")) == choice.config.epochs
    )
    results = read_results(tmp_path / "final")
    assert results.over_seeds["chosen_by"] == choice.validation
    assert results.metrics["model"]["recall@3"]["deviation"] is None, "of one seed"


@pytest.mark.parametrize(("method", "runs"), [("itemknn", 1), ("most_popular", 1), ("ials", 2)])
def test_a_method_without_chance_is_fitted_once(
    checkerboard_config: MakeConfig, tmp_path: Path, method: str, runs: int
) -> None:
    config = checkerboard_config(**CHOSEN | {"method": method}, baseline__ials__dim=4)
    commands.final(tmp_path, config=config, seeds=2)
    results = read_results(tmp_path / "final")
    table = results.per_user
    assert results.seeds == list(range(runs))
    assert len(list((tmp_path / "final").glob("seed-*"))) == runs
    assert pq.read_table(tmp_path / "final" / "seed-0" / "per_user.parquet").schema == table.schema


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"eval__patience": 2}, "config.eval.patience is 2; expected 0 with --final"),
        ({"data__split": "none"}, "config.data.split is 'none'; expected one with a test part"),
    ],
)
def test_what_can_not_be_final_is_refused(
    checkerboard_config: MakeConfig, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        commands.final(tmp_path, config=checkerboard_config(**CHOSEN | change), seeds=1)
    assert not (tmp_path / "final").exists()


def test_a_folder_without_a_choice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no best_config\.json there"):
        commands.final(tmp_path, config=None, seeds=1)
    (tmp_path / "best_config.json").write_text("{}")
    with pytest.raises(UserError, match=r"best_config\.json: unreadable"):
        commands.final(tmp_path, config=None, seeds=1)
    (tmp_path / "best_config.json").write_text('{"config": {"rl": 1}, "validation": null}')
    with pytest.raises(UserError, match=r"best_config\.json: config\.rl is not a field"):
        commands.final(tmp_path, config=None, seeds=1)
