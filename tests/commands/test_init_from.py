"""Tomorrow's run begins with what today's has learnt."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxrec import commands
from jaxrec.errors import UserError
from jaxrec.runs.starting import start_of
from jaxrec.runs.trained import open_trained
from tests.checkerboard import config_of, write_checkerboard

NETWORK = {"epochs": 3, "loss__name": "softmax", "loss__negatives": 64, "quiet": True}


@pytest.fixture(scope="module")
def yesterday(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that doesn't know the last listener of each group."""
    folder = tmp_path_factory.mktemp("yesterday")
    lines = write_checkerboard(folder / "all.csv").read_text().splitlines(keepends=True)
    kept = [line for line in lines if not line.split(",")[0].endswith("-11")]
    (folder / "listens.csv").write_text("".join(kept))
    commands.train(config_of(folder / "listens.csv", **NETWORK), folder / "run")
    return folder


def test_it_begins_there_and_learns_sooner(
    yesterday: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    losses = {}
    for name, source in (("by chance", None), ("from", yesterday / "run")):
        config = config_of(yesterday / "all.csv", **NETWORK | {"quiet": False})
        commands.train(config, tmp_path / name, init_from=source)
        rows = (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        losses[name] = [json.loads(row)["loss"] for row in rows]
    assert losses["from"][0] < losses["by chance"][0]
    said = capsys.readouterr().out
    assert "44 users by their id, 4 by their neighbours, 0 by chance" in said


def test_the_source_is_part_of_what_the_run_is(yesterday: Path, tmp_path: Path) -> None:
    config = config_of(yesterday / "all.csv", **NETWORK)
    commands.train(config, tmp_path / "run", init_from=yesterday / "run")
    params = np.asarray(open_trained(tmp_path / "run", None).made_of[1].params.item)  # type: ignore[index]
    identity = json.loads((tmp_path / "run" / "config.json").read_text())["identity"]
    assert identity["--init_from (SHA-256)"] == start_of(yesterday / "run").sha256
    commands.train(config, tmp_path / "run", init_from=yesterday / "run")  # nothing is left to do
    again = np.asarray(open_trained(tmp_path / "run", None).made_of[1].params.item)  # type: ignore[index]
    np.testing.assert_array_equal(params, again)
    for other in (None, tmp_path / "run"):
        with pytest.raises(UserError, match=r"--init_from \(SHA-256\) = "):
            commands.train(config, tmp_path / "run", init_from=other)
    with pytest.raises(UserError, match="--step=0: the run began with what another had learnt"):
        open_trained(tmp_path / "run", 0)


def test_a_blends_network_begins_there_too(yesterday: Path, tmp_path: Path) -> None:
    blend: dict[str, Any] = {"method": "blend", "blend__models": ("gcn", "itemknn")}
    config = config_of(yesterday / "all.csv", **NETWORK | blend)
    commands.train(config, tmp_path / "blend", init_from=yesterday / "run")
    alone = config_of(yesterday / "all.csv", **NETWORK)
    commands.train(alone, tmp_path / "alone", init_from=yesterday / "run")
    in_blend, by_itself = (
        np.asarray(run.made_of[1].params.user)  # type: ignore[index]
        for run in (
            open_trained(tmp_path / "blend", None).members["gcn"],
            open_trained(tmp_path / "alone", None),
        )
    )
    np.testing.assert_array_equal(in_blend, by_itself)
    assert start_of(tmp_path / "blend").sha256 == start_of(tmp_path / "alone").sha256


@pytest.mark.parametrize(
    ("changes", "source", "message"),
    [
        ({"model__dim": 4}, "run", r"config\.model\.dim is 4 and the run of --init_from has 8"),
        ({"method": "ease"}, "run", r"config\.method=ease, which has no network to begin"),
        ({"method": "auto"}, "run", r"config\.method=auto, whose networks begin by chance"),
        ({}, "nowhere", r"no run there"),
    ],
)
def test_what_can_not_begin_there_is_refused_before_anything_is_written(
    yesterday: Path, tmp_path: Path, changes: dict[str, Any], source: str, message: str
) -> None:
    config = config_of(yesterday / "all.csv", **NETWORK | changes)
    with pytest.raises(UserError, match=message):
        commands.train(config, tmp_path / "run", init_from=yesterday / source)
    assert not (tmp_path / "run").exists()


def test_data_without_a_common_id_are_refused(yesterday: Path, tmp_path: Path) -> None:
    header, *rows = (yesterday / "all.csv").read_text().splitlines()
    others = [row.replace("u", "v").replace("s", "t") for row in rows]
    (tmp_path / "other.csv").write_text("\n".join([header, *others]))
    with pytest.raises(UserError, match="knows none of the listeners and songs"):
        commands.train(
            config_of(tmp_path / "other.csv", **NETWORK),
            tmp_path / "run",
            init_from=yesterday / "run",
        )


def test_a_source_without_a_network_is_refused(yesterday: Path, tmp_path: Path) -> None:
    config = config_of(yesterday / "all.csv", **NETWORK | {"method": "itemknn"})
    commands.train(config, tmp_path / "knn")
    with pytest.raises(UserError, match="a model of itemknn without a network's parameters"):
        start_of(tmp_path / "knn")
