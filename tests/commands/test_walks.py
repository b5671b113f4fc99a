"""Walks count wherever songs are ranked, and nowhere in training."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from jaxrec import commands
from jaxrec.config import RunConfig
from jaxrec.runs.trained import open_trained
from tests.checkerboard import GROUPS, ITEMS_PER_GROUP, USERS_PER_GROUP


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
    commands.recommend(
        run,
        k=1,
        output=None,
        users=None,
        users_file=None,
        include_listened=False,
        step=None,
    )
    table = pq.read_table(run / "recommendations.parquet")
    return dict(zip(table["user"].to_pylist(), table["item"].to_pylist(), strict=True))


def test_walks_alone_find_the_withheld_song(run: Path) -> None:
    lists = recommended(run)
    assert len(lists) == GROUPS * USERS_PER_GROUP
    for group in range(GROUPS):
        for user in range(USERS_PER_GROUP):
            assert lists[f"u{group}-{user}"] == f"s{group}-{user % ITEMS_PER_GROUP}"


def test_training_and_similar_songs_are_the_same_with_walks_and_without(
    run: Path,
    checkerboard_config: Callable[..., RunConfig],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = checkerboard_config(epochs=1, lr=1e-6, model__init_stddev=1e-3)
    commands.train(config, tmp_path / "plain")
    embeddings, said = [], []
    for folder in (run, tmp_path / "plain"):
        embeddings.append(open_trained(folder, None, need_embeddings=True).model)
        capsys.readouterr()
        commands.similar(folder, item="s0-3", k=5, step=None)
        said.append(capsys.readouterr().out)
    for side in ("user", "item"):
        np.testing.assert_array_equal(*(np.asarray(getattr(each, side)) for each in embeddings))
    assert "Songs like Song 3" in said[0]
    assert said[0] == said[1]


def test_a_trained_run_takes_other_walks_without_training_again(
    run: Path, checkerboard_config: Callable[..., RunConfig]
) -> None:
    config = checkerboard_config(epochs=1, lr=1e-6, model__init_stddev=1e-3)
    with_walks, trained = recall(run), (run / "metrics.jsonl").read_text()
    commands.train(config, run)
    assert recall(run) < with_walks
    assert (run / "metrics.jsonl").read_text() == trained
