"""A blend: each member fitted in a folder of its own, once, and weighed as often as one likes."""

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
from jaxrec.errors import UserError
from jaxrec.models import closed_forms
from jaxrec.models.factors import Factors
from jaxrec.models.histories import Histories
from jaxrec.runs.trained import Trained, open_trained
from jaxrec.train.network import NetworkFitting
from tests.checkerboard import ITEMS_PER_GROUP, SMALL, config_of, withheld, write_checkerboard
from tests.configurations import read_metrics
from tests.recommending import recommend

MakeConfig = Callable[..., RunConfig]
MODELS = ("gcn", "itemknn", "gfcf")
BLEND: dict[str, Any] = SMALL | {
    "method": "blend",
    "blend__models": MODELS,
    "data__split": "random",
    "epochs": 2,
}


def refuse_to_fit(*_: Any, **__: Any) -> NoReturn:
    raise AssertionError("fitted again")


@pytest.fixture
def no_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is fitted from now on is an error."""
    monkeypatch.setattr(closed_forms, "fit", refuse_to_fit)
    monkeypatch.setattr(NetworkFitting, "advance", refuse_to_fit)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A blend's folder, whose data are gone; not to be changed."""
    folder = tmp_path_factory.mktemp("blend")
    path = write_checkerboard(folder / "listens.csv")
    commands.train(config_of(path, **BLEND), folder / "run")
    path.unlink()
    return folder / "run"


@pytest.fixture
def run(fitted: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(fitted, tmp_path / "run"))


def histories(trained: Trained) -> Histories:
    return Histories.of_all(trained.split.train, trained.config.data.weight)


def everyone(trained: Trained) -> np.ndarray:
    return np.asarray(trained.model.scores(histories(trained)))


def test_each_member_is_a_run_in_a_folder_below(run: Path) -> None:
    assert {path.name for path in (run / "members").iterdir()} == set(MODELS)
    assert not (run / "model.ckpt").exists() and not (run / "metrics.jsonl").exists()
    epochs = {name: read_metrics(run / "members" / name / "metrics.jsonl") for name in MODELS}
    assert {name: len(rows) for name, rows in epochs.items()} == {"gcn": 2, "itemknn": 1, "gfcf": 1}
    results = json.loads((run / "results.json").read_text())
    assert results["step"] is None and results["part"] == "test"
    metrics = results["metrics"]
    assert metrics["model"]["recall@10"]["low"] > metrics["most_popular"]["recall@10"]["high"]


@pytest.mark.usefixtures("no_fits")
def test_nothing_is_fitted_again(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = (run / "results.json").read_text()
    commands.evaluate(run, config=None, step=None)
    assert (run / "results.json").read_text() == said
    commands.similar(run, item="s1-4", k=ITEMS_PER_GROUP - 1, step=None)
    near = set(re.findall(r"s\d-\d", capsys.readouterr().out))
    assert near == {f"s1-{item}" for item in range(ITEMS_PER_GROUP)} - {"s1-4"}
    commands.train(config_of(write_checkerboard(tmp_path / "listens.csv"), **BLEND), run)
    assert (run / "results.json").read_text() == said


@pytest.mark.usefixtures("no_fits")
def test_it_is_weighed_otherwise_without_fitting_again(run: Path, tmp_path: Path) -> None:
    path = write_checkerboard(tmp_path / "listens.csv")
    before = everyone(open_trained(run, None))
    weights = {"blend__weights__gcn": 0.0, "blend__weights__gfcf": 2.5}
    commands.train(config_of(path, **BLEND | weights), run)
    after = open_trained(run, None)
    assert after.config.blend.weights.gfcf == 2.5
    assert np.abs(everyone(after) - before).max() > 0.1
    # As by hand: each member at mean 0 and deviation 1 per user over the items that train knows.
    expected = 0.0
    for name, weight in (("itemknn", 1.0), ("gfcf", 2.5)):
        alone = everyone(open_member(run, tmp_path / name, name)).astype(np.float64)
        known = np.bincount(after.split.train.item, minlength=alone.shape[1]) > 0
        mean, deviation = (f(alone[:, known], axis=1, keepdims=True) for f in (np.mean, np.std))
        expected = expected + weight * (alone - mean) / deviation
    np.testing.assert_allclose(everyone(after), expected, rtol=1e-3, atol=1e-3)


def open_member(run: Path, folder: Path, name: str) -> Trained:
    """A member opened alone: its checkpoints beside the blend's data."""
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns("members"))
    shutil.copytree(run / "members" / name / "model.ckpt", folder / "model.ckpt")
    saved = json.loads((folder / "config.json").read_text())
    saved["config"]["method"] = name
    (folder / "config.json").write_text(json.dumps(saved))
    return open_trained(folder, None)


def test_members_are_what_they_are_alone(
    run: Path, checkerboard_config: MakeConfig, tmp_path: Path
) -> None:
    for name in MODELS:
        commands.train(checkerboard_config(**BLEND | {"method": name}), tmp_path / name)
        alone = everyone(open_trained(tmp_path / name, None))
        inside = everyone(open_member(run, tmp_path / f"{name}-inside", name))
        np.testing.assert_array_equal(inside, alone)


def test_a_blend_of_factors_is_one_and_finds_what_is_withheld(
    checkerboard_config: MakeConfig, tmp_path: Path
) -> None:
    changes = BLEND | {"blend__models": ("ials", "most_popular"), "data__split": "none"}
    config = checkerboard_config(**changes, blend__weights__most_popular=0.1)
    commands.train(config, tmp_path / "run")
    trained = open_trained(tmp_path / "run", None)
    assert isinstance(trained.model, Factors)
    lists = tmp_path / "lists.parquet"
    arguments = {"users": None, "users_file": None, "seen": "exclude", "step": None}
    recommend(tmp_path / "run", k=1, output=lists, **arguments)
    rows = pq.read_table(lists).to_pylist()
    assert {row["user"]: row["item"] for row in rows} == withheld()


def test_somebody_new_with_the_same_history_has_much_the_same_list(run: Path) -> None:
    trained = open_trained(run, None)
    rows = histories(trained).take(np.array([3, 30]))
    strangers = Histories.of_items(
        [rows.items[a:b] for a, b in zip(rows.offsets[:-1], rows.offsets[1:], strict=True)],
        rows.num_items,
    )
    known, strange = (np.asarray(trained.model.scores(each)) for each in (rows, strangers))
    for one, other in zip(known, strange, strict=True):
        assert np.corrcoef(one, other)[0, 1] > 0.9


@pytest.mark.parametrize("step", [0, 1, 7])
def test_steps_are_refused(run: Path, step: int) -> None:
    with pytest.raises(UserError, match=rf"--step={step}: a blend of gcn, itemknn, gfcf, each wit"):
        commands.evaluate(run, config=None, step=step)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"blend__models": ("itemknn", "gfcf")}, r"blend\.models = .*gcn.*, this one has"),
        ({"baseline__gfcf__low_pass_weight": 1.0}, r"gfcf: baseline\.gfcf\.low_pass_weight = 0\.3"),
        ({"lr": 0.5}, r"gcn: lr = 0\.05, this one has 0\.5"),
        ({"method": "gfcf"}, "a run with method = blend, this one has gfcf"),
        ({"epochs": 1}, r"config\.epochs is 1; expected at least 2"),
    ],
)
@pytest.mark.usefixtures("no_fits")
def test_another_blend_is_another_run(
    run: Path, checkerboard_config: MakeConfig, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        commands.train(checkerboard_config(**BLEND | change), run)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {f"blend__weights__{name}": 0.0 for name in MODELS},
            "config.blend.weights gives each of gcn, itemknn, gfcf 0; expected one above 0",
        ),
        ({"eval__patience": 2}, "config.eval.patience is 2 without a validation part to stop by"),
    ],
)
def test_what_can_not_be_blended_is_refused_and_nothing_is_written(
    checkerboard_config: MakeConfig, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        commands.train(checkerboard_config(**BLEND | change), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_member_without_a_checkpoint_is_named(run: Path) -> None:
    shutil.rmtree(run / "members" / "gfcf")
    with pytest.raises(UserError, match=r"members/gfcf holds no trained model yet"):
        commands.evaluate(run, config=None, step=None)
