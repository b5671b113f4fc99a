"""Runs of the baselines: measured, kept, evaluated and recommended from as any run is."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from jaxrec.commands.fit import fit_baseline

from jaxrec import baselines, commands
from jaxrec.config import RunConfig
from jaxrec.errors import UserError
from jaxrec.rank.measure import Measure
from jaxrec.report.console import Console
from jaxrec.runs.prepare import prepare_split

MakeConfig = Callable[..., RunConfig]
# The default of 256 is for real data; the checkerboard has 4 groups.
SMALL: dict[str, Any] = {"baseline__gfcf__singular_vectors": 4, "baseline__ials__dim": 8}


def recommend(run: Path, **changes: Any) -> list[dict[str, Any]]:
    output = run.parent / "lists.parquet"
    arguments: dict[str, Any] = {
        "k": 1,
        "output": output,
        "users": None,
        "users_file": None,
        "include_listened": False,
        "step": None,
    }
    commands.recommend(run, **(arguments | changes))
    rows: list[dict[str, Any]] = pq.read_table(output).to_pylist()
    return rows


@pytest.mark.parametrize("method", sorted(set(baselines.METHODS) - {"most_popular"}))
def test_the_withheld_song_is_recommended_first(
    checkerboard_config: MakeConfig, checkerboard: Path, tmp_path: Path, method: str
) -> None:
    run = tmp_path / "run"
    commands.train(checkerboard_config(method=method, **SMALL), run)
    checkerboard.unlink()  # the folder is enough
    lists = recommend(run)
    assert len(lists) == 48
    for row in lists:
        group, user = row["user"][1:].split("-")
        assert row["item"] == f"s{group}-{int(user) % 10}"


@pytest.mark.parametrize("method", sorted(baselines.METHODS))
def test_the_folder_is_a_measured_runs_without_checkpoints(
    checkerboard_config: MakeConfig, tmp_path: Path, method: str
) -> None:
    run = tmp_path / "run"
    config = checkerboard_config(method=method, data__split="random", **SMALL)
    commands.train(config, run)
    assert {path.name for path in run.iterdir()} == {
        ".lock",
        "config.json",
        "users.parquet",
        "items.parquet",
        "interactions.parquet",
        "results.json",
        "per_user.parquet",
    }
    said = (run / "results.json").read_text()
    metrics = json.loads(said)["metrics"]
    if method == "most_popular":
        assert metrics["model"] == metrics["most_popular"]
    else:
        assert metrics["model"]["recall@10"]["mean"] > metrics["most_popular"]["recall@10"]["mean"]
    commands.evaluate(run, config=None, step=None)
    assert (run / "results.json").read_text() == said
    commands.train(config, run)  # the same run again
    assert (run / "results.json").read_text() == said


def test_validation_is_not_known_to_a_baseline(
    checkerboard_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = checkerboard_config(
        method="itemknn", data__split="random", data__validation_fraction=0.2
    )
    known = []
    fit = baselines.fit

    def watched(name: str, settings: Any, train: Any, **rest: Any) -> Any:
        known.append(train)
        return fit(name, settings, train, **rest)

    monkeypatch.setattr(baselines, "fit", watched)
    commands.train(config, tmp_path / "run")
    split = prepare_split(config, Console(quiet=True))
    np.testing.assert_array_equal(known[0].keys(), split.train.keys())
    assert split.validation is not None and len(split.validation)


def test_a_scorer_and_its_embeddings_measure_the_same(checkerboard_config: MakeConfig) -> None:
    config = checkerboard_config(method="most_popular", data__split="random", eval__ks=(3,))
    split = prepare_split(config, Console(quiet=True))
    measure = Measure(config, split)
    scorer = fit_baseline(config, split.train, Console(quiet=True))
    embeddings = measure.most_popular()
    assert measure.at_epoch(scorer) == measure.at_epoch(embeddings)
    by_scorer, by_embeddings = (
        measure.of_all("test", each, (3,)).per_user for each in (scorer, embeddings)
    )
    for name, values in by_embeddings.items():
        np.testing.assert_array_equal(by_scorer[name], values)


def test_what_only_a_network_has_is_refused(
    checkerboard_config: MakeConfig, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    commands.train(checkerboard_config(method="itemknn"), run)
    with pytest.raises(UserError, match="a run of itemknn, which has no vectors of songs"):
        commands.similar(run, item="s0-0", k=3, step=None)
    for ask in (
        lambda: commands.evaluate(run, config=None, step=0),
        lambda: recommend(run, step=5),
    ):
        with pytest.raises(UserError, match=r"--step=\d: a run of itemknn, which has no check"):
            ask()


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
def test_another_baseline_is_another_run(
    checkerboard_config: MakeConfig, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    run = tmp_path / "run"
    commands.train(checkerboard_config(method="itemknn"), run)
    with pytest.raises(UserError, match=re.escape(message)):
        commands.train(checkerboard_config(**({"method": "itemknn"} | change)), run)
    # What other methods take has no say in this one.
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
    assert "per_user.parquet" in output and "model.ckpt" not in output
