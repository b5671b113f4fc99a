"""Walks count wherever songs are ranked, and nowhere in training."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from jaxrec import commands
from jaxrec.config import RunConfig
from jaxrec.runs.arrays import tree_digest
from jaxrec.runs.checkpoint import Checkpoints
from jaxrec.runs.fit import restore
from jaxrec.runs.methods import fitting_of
from jaxrec.runs.record import load_run
from jaxrec.runs.run_folder import RunFolder
from tests.checkerboard import ITEMS_PER_GROUP, withheld
from tests.recommending import recommend


@pytest.fixture
def run(checkerboard_config: Callable[..., RunConfig], tmp_path: Path) -> Path:
    """A run whose embeddings know next to nothing, and whose walks count for all the more."""
    config = checkerboard_config(epochs=1, lr=1e-6, model__init_stddev=1e-3, walks__weight=3.0)
    commands.train(config, tmp_path / "run")
    return tmp_path / "run"


def recall(run: Path) -> float:
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    return float(results["metrics"]["model"]["recall@10"]["mean"])


def recommended(run: Path) -> dict[str, str]:
    recommend(
        run,
        k=1,
        output=None,
        users=None,
        users_file=None,
        seen="exclude",
        step=None,
    )
    table = pq.read_table(run / "recommendations.parquet")
    return dict(zip(table["user"].to_pylist(), table["item"].to_pylist(), strict=True))


def test_walks_find_the_withheld_song_where_embeddings_know_nothing(run: Path) -> None:
    assert recommended(run) == withheld()


def test_training_is_the_same_with_walks_and_without_and_they_know_what_is_alike(
    run: Path,
    checkerboard_config: Callable[..., RunConfig],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = checkerboard_config(epochs=1, lr=1e-6, model__init_stddev=1e-3)
    commands.train(config, tmp_path / "plain")
    folders, said = (run, tmp_path / "plain"), []
    states = []
    for folder in folders:
        paths = RunFolder(folder)
        loaded = load_run(paths)
        fitting = fitting_of(loaded.config, loaded.split.train)
        with Checkpoints(paths.checkpoints, read_only=True) as checkpoints:
            states.append(restore(checkpoints, checkpoints.steps()[-1], fitting))
        capsys.readouterr()
        commands.similar(folder, item="s0-3", k=ITEMS_PER_GROUP - 1, step=None)
        said.append(capsys.readouterr().out)
    assert tree_digest(states[0]) == tree_digest(states[1])
    group = {f"s0-{item}" for item in range(ITEMS_PER_GROUP)} - {"s0-3"}
    assert set(re.findall(r"s\d-\d", said[0])) == group
    assert set(re.findall(r"s\d-\d", said[1])) != group


def test_a_trained_run_takes_other_walks_without_training_again(
    run: Path, checkerboard_config: Callable[..., RunConfig]
) -> None:
    config = checkerboard_config(epochs=1, lr=1e-6, model__init_stddev=1e-3)
    with_walks, trained = recall(run), (run / "metrics.jsonl").read_text()
    commands.train(config, run)
    assert recall(run) < with_walks
    assert (run / "metrics.jsonl").read_text() == trained
