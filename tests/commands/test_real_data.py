"""Real data end to end, against published figures."""

import json
from pathlib import Path

import pytest

from jaxrec import commands
from jaxrec.config import RunConfig, read_config
from jaxrec.rank.measure import Measure
from jaxrec.report.console import Console
from jaxrec.runs.prepare import prepare_split
from tests.recommending import recommend


def config_of(name: str, folder: Path, **changes: object) -> RunConfig:
    values = __import__(f"configs.{name}", fromlist=["get_config"]).get_config().to_dict()
    values["quiet"] = True
    values["data"]["path"] = str(folder)
    for path, value in changes.items():
        group, _, field = path.rpartition("__")
        (values[group] if group else values)[field] = value
    return read_config(values)


@pytest.mark.parametrize(
    ("name", "changes", "folder", "counts", "recall", "ndcg"),
    [
        (
            "gowalla",
            {},
            "gowalla",
            {"users": 29_858, "items": 40_981, "train": 810_128, "test": 217_242},
            0.0416,
            0.0317,
        ),
        (
            "gowalla",
            {"data__source": "lastfm-lightgcn"},
            "lastfm-lightgcn",
            {"users": 1_880, "items": 4_489, "train": 42_135, "test": 10_533 - 44},
            0.0368,
            0.0211,
        ),
    ],
    ids=["gowalla", "lastfm-lightgcn"],
)
def test_counts_and_the_most_popular_list_are_as_published(
    shared_data: Path,
    name: str,
    changes: dict[str, object],
    folder: str,
    counts: dict[str, int],
    recall: float,
    ndcg: float,
) -> None:
    """Recall@20 and NDCG@20 of the README beside the data.

    Equally popular artists may come in another order than in its figures, hence the tolerance.
    """
    config = config_of(name, shared_data / folder, **changes)
    split = prepare_split(config, Console(quiet=True))
    assert split.test is not None
    assert counts == {
        "users": split.train.num_users,
        "items": split.train.num_items,
        "train": len(split.train),
        "test": len(split.test),
    }
    measure = Measure(config, split)
    means = measure.of_all("test", measure.most_popular(), (20,)).means()
    assert means["recall@20"] == pytest.approx(recall, abs=1.5e-4)
    assert means["ndcg@20"] == pytest.approx(ndcg, abs=1.5e-4)


def test_lastfm_is_learnt_and_recommended_with_artist_names(
    shared_data: Path, tmp_path: Path
) -> None:
    config = config_of("lastfm", shared_data / "lastfm-2k", epochs=4)
    commands.train(config, tmp_path / "run")
    metrics = json.loads((tmp_path / "run" / "results.json").read_text())["metrics"]
    recall = metrics["model"]["recall@10"]["mean"]
    assert recall > 2 * metrics["most_popular"]["recall@10"]["mean"]
    recommend(
        tmp_path / "run",
        k=5,
        output=tmp_path / "lists.csv",
        users=["2"],
        users_file=None,
        seen="exclude",
        step=None,
    )
    header, *rows = (tmp_path / "lists.csv").read_text(encoding="utf-8").splitlines()
    assert header == '"user","rank","item","name","score"'
    names = {
        line.split("\t")[0]: line.split("\t")[1]
        for line in (shared_data / "lastfm-2k" / "artists.dat")
        .read_text(encoding="utf-8")
        .splitlines()[1:]
    }
    assert len(rows) == 5
    for row in rows:
        user, _, item, name, _ = row.split(",")
        assert user == "2"
        assert name.strip('"') == names[item]
