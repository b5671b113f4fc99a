"""`export` writes what the run ranks by, and nothing where it can't."""

import dataclasses
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from jaxrec import commands, main
from jaxrec.config import RunConfig
from jaxrec.errors import UserError
from jaxrec.runs.record import load_run
from jaxrec.runs.run_folder import RunFolder
from jaxrec.runs.source import source_of
from jaxrec.serve.bundle import read_bundle
from jaxrec.serve.scorer import Scorer
from tests.checkerboard import SMALL
from tests.recommending import recommend


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A trained run whose data are gone, to write to."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def test_the_bundles_lists_are_those_of_recommend(run: Path) -> None:
    commands.export(run, output=None, step=None)
    options = {"users": None, "users_file": None, "seen": "exclude", "step": None}
    recommend(run, k=3, output=run / "lists.parquet", **options)
    table = pq.read_table(run / "lists.parquet").to_pylist()
    scorer = Scorer.load(run / "bundle")
    for user in range(len(scorer.users)):
        own = [row for row in table if row["user"] == scorer.users[user]]
        items, scores = scorer.top(scorer.history_of(user), k=3, hidden=scorer.seen_by(user))
        assert [scorer.items[item] for item in items] == [row["item"] for row in own]
        np.testing.assert_allclose(scores, [row["score"] for row in own], rtol=1e-5)
        assert scorer.names.titles(items)[0] == own[0]["name"]


def test_the_bundle_tells_what_the_run_was_found_to_be(run: Path) -> None:
    commands.export(run, output=run.parent / "out", step=None)
    results = json.loads((run / "results.json").read_text())
    about = read_bundle(run.parent / "out").about
    assert about["part"] == results["part"]
    assert about["metrics"]["recall@10"] == results["metrics"]["model"]["recall@10"]["mean"]
    assert about["protocol"]["kind"] == "none"
    assert about["source"] == source_of(run)


def test_an_untrained_model_has_no_figures(run: Path) -> None:
    commands.export(run, output=None, step=0)
    assert read_bundle(run / "bundle").about["metrics"] == {}


def test_the_source_changes_with_the_run_and_not_with_its_bundle(run: Path) -> None:
    before = source_of(run)
    commands.export(run, output=None, step=None)
    assert source_of(run) == before
    (run / "model.ckpt" / "999").mkdir()
    assert source_of(run) != before


def test_a_folder_that_can_not_be_written_to_is_named(run: Path) -> None:
    with pytest.raises(UserError, match=r"config\.json: .* expected a folder to write a bundle"):
        commands.export(run, output=run / "config.json", step=None)
    with pytest.raises(UserError, match="which no bundle has; expected an empty folder"):
        commands.export(run, output=run, step=None)
    with pytest.raises(UserError, match="no run there"):
        commands.export(run / "nowhere", output=None, step=None)


def test_serve_exports_the_run_where_its_bundle_is_missing_or_of_an_earlier_state(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []

    def export(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(Path(command[-1].removeprefix("--workdir=")))
        commands.export(asked[-1], output=None, step=None)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(main.subprocess, "run", export)
    assert main._exported(run) == run / "bundle"
    assert main._exported(run) == run / "bundle"
    assert asked == [run]
    (run / "model.ckpt" / "999").mkdir()
    main._exported(run)
    assert asked == [run, run]
    (manifest,) = (run / "bundle").glob("manifest.json")
    manifest.write_text("{}")
    main._exported(run)
    assert asked == [run, run, run]


def test_what_can_not_be_exported_is_not_served(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess((), 2))
    with pytest.raises(SystemExit, match="2"):
        main._exported(run)


def test_without_the_packages_of_a_service_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(main.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"serve needs fastapi, .* pip install 'jaxrec\[serve\]'"):
        main._check_serves()


def test_without_jax_a_run_is_not_exported_and_a_bundle_is_asked_for(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"takes JAX, which isn't installed; expected --bundle="):
        main._exported(run)


ENDS = r"--config\.walks\.ends=500"


@pytest.mark.parametrize(
    ("fields", "way_on"),
    [
        ({"method": "walks"}, rf"train in another --workdir with {ENDS}$"),
        (
            {"method": "blend", "blend__models": ("itemknn", "walks")},
            rf"train in another --workdir with {ENDS}$",
        ),
        ({"method": "gfcf"}, "another config.method than gfcf"),
        (
            {"method": "blend", "blend__models": ("itemknn", "gfcf")},
            r"""without gfcf: .* with --config\.blend\.models="\('itemknn',\)"$""",
        ),
        (
            {"method": "blend", "blend__models": ("itemknn", "gfcf", "walks")},
            rf"""models="\('itemknn', 'walks'\)" and {ENDS}$""",
        ),
    ],
    ids=lambda each: " ".join(map(str, each.values())) if isinstance(each, dict) else "",
)
def test_a_model_that_sums_over_the_graph_is_refused_with_a_way_on(
    checkerboard_config: Callable[..., RunConfig],
    tmp_path: Path,
    fields: dict[str, Any],
    way_on: str,
) -> None:
    commands.train(checkerboard_config(**SMALL | fields), tmp_path / "run")
    with pytest.raises(UserError, match=way_on):
        commands.export(tmp_path / "run", output=None, step=None)
    assert not (tmp_path / "run" / "bundle").exists()


@pytest.mark.parametrize("method", ["gcn", "blend"])
def test_walks_beside_a_network_are_cut_in_the_same_folder(
    checkerboard_config: Callable[..., RunConfig], tmp_path: Path, method: str
) -> None:
    fields = {"method": method, "blend__models": ("itemknn", "gcn"), "epochs": 1}
    config = checkerboard_config(**fields, walks__weight=1.0)
    commands.train(config, tmp_path / "run")
    with pytest.raises(UserError, match=rf"train with {ENDS} in the same --workdir"):
        commands.export(tmp_path / "run", output=None, step=None)
    cut = dataclasses.replace(config, walks=dataclasses.replace(config.walks, ends=500))
    commands.train(cut, tmp_path / "run")
    commands.export(tmp_path / "run", output=None, step=None)


@pytest.mark.parametrize(
    "fields",
    [
        {"method": "walks"},
        {"method": "blend", "blend__models": ("itemknn", "walks")},
        {"method": "auto", "auto__effort": "quick", "blend__models": ("walks",)},
    ],
    ids=["walks", "blend", "auto"],
)
def test_with_walks_cut_in_another_folder_it_is_exported(
    checkerboard_config: Callable[..., RunConfig], tmp_path: Path, fields: dict[str, Any]
) -> None:
    config = checkerboard_config(**fields, walks__ends=500, eval__metric="recall@10")
    commands.train(config, tmp_path / "run")
    assert load_run(RunFolder(tmp_path / "run")).config.walks.ends == 500
    commands.export(tmp_path / "run", output=None, step=None)
    assert read_bundle(tmp_path / "run" / "bundle").about["metrics"]
