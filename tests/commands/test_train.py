"""Whole runs: the checkerboard is solved, runs resume exactly, folders are guarded."""

import json
import re
import shutil
import types
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pyarrow.parquet as pq
import pytest

from jaxrec import commands
from jaxrec.commands.train import say_device
from jaxrec.config import RunConfig
from jaxrec.errors import RunError, UserError
from jaxrec.gcn import message_passing, native, pieces
from jaxrec.report.console import Console
from jaxrec.runs.lock import locked
from jaxrec.runs.trained import open_trained
from tests.configurations import config_with, read_metrics
from tests.recommending import recommend

MakeConfig = Callable[..., RunConfig]


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_withheld_song_is_recommended_first(
    checkerboard_config: MakeConfig, tmp_path: Path
) -> None:
    workdir = tmp_path / "run"
    commands.train(checkerboard_config(epochs=15), workdir)
    recommend(
        workdir,
        k=1,
        output=tmp_path / "lists.parquet",
        users=None,
        users_file=None,
        seen="exclude",
        step=None,
    )
    lists = pq.read_table(tmp_path / "lists.parquet").to_pylist()
    assert len(lists) == 48
    for row in lists:
        group, user = row["user"][1:].split("-")
        assert row["item"] == f"s{group}-{int(user) % 10}"
        assert row["name"] == f"Song {int(user) % 10}"
        assert row["rank"] == 1


@pytest.mark.parametrize("must_compile", [False, True])
@pytest.mark.parametrize("reason", [None, "no compiler"])
def test_what_becomes_of_the_kernel_is_told(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    must_compile: bool,
    reason: str | None,
) -> None:
    if jax.default_backend() != "cpu":
        pytest.skip("another backend has no such kernel")
    monkeypatch.setattr(native, "must_be_compiled", lambda: must_compile)
    monkeypatch.setattr(native, "unavailable_reason", lambda: reason)
    say_device(config_with(), Console())
    said = capsys.readouterr().out
    assert ("compiling the kernel" in said) == must_compile
    assert ("jaxlib's kernel is used" in said) == (reason is not None)
    assert reason is None or reason in said
    for other in (config_with(model__kernel="csr"), config_with(method="ease")):
        say_device(other, Console())
        assert "kernel" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("jaxlib", "kernel", "reason", "warned"),
    [
        ((0, 10, 1), "auto", "an old GPU", False),
        ((0, 10, 2), "auto", "an old GPU", True),
        ((0, 11, 0), "segment_sum", None, True),
        ((0, 11, 0), "auto", None, False),
        ((0, 11, 1), "auto", "an old GPU", False),
    ],
)
def test_a_sum_that_is_known_to_be_slow_on_a_gpu_is_warned_of_in_a_line(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    jaxlib: tuple[int, int, int],
    kernel: str,
    reason: str | None,
    warned: bool,
) -> None:
    gpu = types.SimpleNamespace(platform="gpu", device_kind="some GPU")
    monkeypatch.setattr(jax, "devices", lambda: [gpu])
    monkeypatch.setattr(pieces, "unavailable_reason", lambda: reason)
    monkeypatch.setattr(message_passing, "JAXLIB", jaxlib)
    say_device(config_with(model__kernel=kernel), Console(quiet=True))
    said = capsys.readouterr().err.splitlines()
    assert len(said) == warned
    assert all("jax/issues/38806); expected 0.11.1 or later" in line for line in said)


def test_several_gpus_are_warned_too_though_one_has_a_kernel_of_its_own(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless the method isn't the network, which alone is dealt to them."""
    gpu = types.SimpleNamespace(platform="gpu", device_kind="some GPU")
    monkeypatch.setattr(jax, "devices", lambda: [gpu, gpu])
    mesh = {1: None}.get
    monkeypatch.setitem(say_device.__globals__, "mesh_of", lambda devices: mesh(devices, gpu))
    monkeypatch.setattr(pieces, "unavailable_reason", lambda: None)
    monkeypatch.setattr(message_passing, "JAXLIB", (0, 11, 0))
    for config, warned in (
        (config_with(), True),
        (config_with(method="blend", blend__models=("itemknn", "gcn")), True),
        (config_with(mesh__devices=1), False),
        (config_with(method="gfcf"), False),
    ):
        say_device(config, Console(quiet=True))
        assert ("jax/issues/38806" in capsys.readouterr().err) == warned


def test_the_folder_holds_what_it_should(checkerboard_config: MakeConfig, tmp_path: Path) -> None:
    workdir = tmp_path / "run"
    config = checkerboard_config(
        data__split="random", data__validation_fraction=0.1, checkpoint__keep=1, epochs=3
    )
    commands.train(config, workdir)
    names = {path.name for path in workdir.iterdir()}
    assert names == {
        ".lock",
        "config.json",
        "model.ckpt",
        "users.parquet",
        "items.parquet",
        "interactions.parquet",
        "metrics.jsonl",
        "tensorboard",
        "curves.png",
        "results.json",
        "per_user.parquet",
    }
    rows = read_metrics(workdir / "metrics.jsonl")
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert {"loss", "reconstruction/recall@10", "validation/recall@10"} <= rows[0].keys()
    results = json.loads((workdir / "results.json").read_text())
    assert results["part"] == "test"
    assert results["metrics"]["model"].keys() == results["metrics"]["most_popular"].keys()
    assert results["protocol"]["split"]["kind"] == "random"
    trained = open_trained(workdir, None)
    assert trained.split.protocol == results["protocol"]["split"]
    for name in ("train", "validation", "test"):
        part = getattr(trained.split, name)
        assert part.fingerprint() in json.dumps(json.loads((workdir / "config.json").read_text()))


def test_stopping_and_going_on_equals_never_stopping(
    checkerboard_config: MakeConfig, tmp_path: Path
) -> None:
    config = {"data__split": "random", "data__validation_fraction": 0.2}
    commands.train(checkerboard_config(epochs=4, **config), tmp_path / "whole")
    commands.train(checkerboard_config(epochs=2, **config), tmp_path / "halves")
    commands.train(checkerboard_config(epochs=4, **config), tmp_path / "halves")
    whole, halves = (open_trained(tmp_path / name, None) for name in ("whole", "halves"))
    assert whole.step == halves.step > 0
    np.testing.assert_array_equal(whole.model.user, halves.model.user)
    np.testing.assert_array_equal(whole.model.item, halves.model.item)
    timeless = [
        [
            {key: value for key, value in row.items() if "second" not in key}
            for row in read_metrics(tmp_path / name / "metrics.jsonl")
        ]
        for name in ("whole", "halves")
    ]
    assert timeless[0] == timeless[1]
    results = [(tmp_path / name / "results.json").read_text() for name in ("whole", "halves")]
    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"model__dim": 4}, "model.dim = 8, this one has 4"),
        ({"seed": 1}, "seed = 0, this one has 1"),
        ({"lr": 0.1}, "lr = 0.05, this one has 0.1"),
        ({"data__split": "random"}, "data (test interactions, SHA-256) = None, this one has "),
        ({"data__weight": "log"}, "data.weight = binary, this one has log"),
    ],
)
def test_another_run_is_refused_and_the_folder_left_alone(
    checkerboard_config: MakeConfig, tmp_path: Path, change: dict[str, object], field: str
) -> None:
    workdir = tmp_path / "run"
    commands.train(checkerboard_config(epochs=1), workdir)
    before = contents(workdir)
    with pytest.raises(UserError, match=re.escape(field)):
        commands.train(checkerboard_config(epochs=2, **change), workdir)
    assert contents(workdir) == before


def test_fewer_epochs_than_are_done_are_refused(
    checkerboard_config: MakeConfig, tmp_path: Path
) -> None:
    workdir = tmp_path / "run"
    commands.train(checkerboard_config(epochs=3), workdir)
    before = contents(workdir)
    with pytest.raises(UserError, match=r"config\.epochs is 2; expected at least 3, or"):
        commands.train(checkerboard_config(epochs=2), workdir)
    assert contents(workdir) == before
    commands.train(checkerboard_config(epochs=3), workdir)


@pytest.mark.parametrize(
    "change",
    [{"eval__metric": "map@3"}, {"eval__users": 7}, {"walks__weight": 2.0}],
)
def test_early_stopping_goes_by_scores_of_one_kind(
    checkerboard_config: MakeConfig, tmp_path: Path, change: dict[str, object]
) -> None:
    config = {
        "data__split": "random",
        "data__validation_fraction": 0.3,
        "eval__metric": "recall@3",
    }
    workdir = tmp_path / "run"
    commands.train(checkerboard_config(epochs=1, eval__patience=5, **config), workdir)
    before = contents(workdir)
    field = next(iter(change)).replace("__", ".")
    with pytest.raises(UserError, match=re.escape(f"a run with {field} = ")):
        commands.train(checkerboard_config(epochs=2, eval__patience=5, **config | change), workdir)
    assert contents(workdir) == before
    commands.train(checkerboard_config(epochs=2, **config | change), workdir)
    with pytest.raises(UserError, match=re.escape(f"a run with {field} = several, this one")):
        commands.train(checkerboard_config(epochs=3, eval__patience=5, **config | change), workdir)


@pytest.mark.parametrize("saved", ['{"a": 1}', "[]", '{"config": {}, "identity": {}}'])
def test_a_config_json_of_something_else_is_named(
    checkerboard_config: MakeConfig, tmp_path: Path, saved: str
) -> None:
    path = tmp_path / "run" / "config.json"
    path.parent.mkdir()
    path.write_text(saved)
    for act in (
        lambda: commands.train(checkerboard_config(), tmp_path / "run"),
        lambda: open_trained(tmp_path / "run", None),
    ):
        with pytest.raises(UserError, match=r"config\.json: has no \w+; expected the file `train`"):
            act()
    assert path.read_text() == saved


def test_a_run_of_another_version_is_named(checkerboard_config: MakeConfig, tmp_path: Path) -> None:
    commands.train(checkerboard_config(epochs=1), tmp_path / "run")
    path = tmp_path / "run" / "config.json"
    saved = json.loads(path.read_text())
    saved["config"]["walk"] = saved["config"].pop("walks")
    path.write_text(json.dumps(saved))
    with pytest.raises(UserError, match=r"config\.json: config\.walk is not a field"):
        open_trained(tmp_path / "run", None)


def test_scores_that_are_not_finite_are_a_failure(
    checkerboard_config: MakeConfig, tmp_path: Path
) -> None:
    config = checkerboard_config(walks__weight=1.0, walks__exponent=-60.0)
    with pytest.raises(RunError, match="the scores hold a NaN or an infinity"):
        commands.train(config, tmp_path / "run")


def test_evaluate_waits_for_no_run_and_disturbs_none(
    checkerboard_config: MakeConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workdir = tmp_path / "run"
    commands.train(checkerboard_config(data__split="random", quiet=False), workdir)
    capsys.readouterr()
    before = contents(workdir)
    with locked(workdir, pytest.fail):
        commands.evaluate(workdir, config=None, step=None)
    said = capsys.readouterr()
    assert "is running there" in said.err and "nothing is written there" in said.err
    assert "Results on test" in said.out
    assert contents(workdir) == before


def test_another_listen_makes_it_another_run(
    checkerboard_config: MakeConfig, checkerboard: Path, tmp_path: Path
) -> None:
    commands.train(checkerboard_config(epochs=1), tmp_path / "run")
    with checkerboard.open("a") as file:
        file.write("u0-0,s1-1,1,Song 1\n")
    with pytest.raises(UserError, match=r"data \(train interactions, SHA-256\)"):
        commands.train(checkerboard_config(epochs=2), tmp_path / "run")


def test_patience_stops_the_run_and_the_best_is_used(
    checkerboard_config: MakeConfig, tmp_path: Path
) -> None:
    config = checkerboard_config(
        data__split="random",
        data__validation_fraction=0.3,
        eval__patience=2,
        eval__metric="recall@3",
        epochs=60,
        checkpoint__every="50 epochs",
    )
    commands.train(config, tmp_path / "run")
    rows = read_metrics(tmp_path / "run" / "metrics.jsonl")
    scores = [row["validation/recall@3"] for row in rows]
    assert len(rows) < 60
    assert int(np.argmax(scores)) == len(scores) - 3
    best = rows[int(np.argmax(scores))]
    assert open_trained(tmp_path / "run", None).step == best["step"]
    commands.train(config, tmp_path / "run")  # stays stopped
    assert len(read_metrics(tmp_path / "run" / "metrics.jsonl")) == len(rows)


def test_patience_without_validation_is_refused(
    checkerboard_config: MakeConfig, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"config\.eval\.patience is 2"):
        commands.train(checkerboard_config(eval__patience=2), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_that_diverges_keeps_its_last_good_checkpoint(
    checkerboard_config: MakeConfig, tmp_path: Path
) -> None:
    workdir = tmp_path / "run"
    with pytest.raises(RunError, match=r"step \d+ \(epoch \d+\): the loss is"):
        commands.train(checkerboard_config(lr=1e30, loss__l2=1.0), workdir)
    assert not read_metrics(workdir / "metrics.jsonl")


def test_users_with_every_song_count_for_nothing_or_are_an_error(
    checkerboard_config: MakeConfig, checkerboard: Path, tmp_path: Path
) -> None:
    checkerboard.write_text("user,item,plays,title\na,x,1,X\na,y,1,Y\nb,x,1,X\nb,y,1,Y\n")
    with pytest.raises(UserError, match="each of the 2 users has listened to all 2 songs"):
        commands.train(checkerboard_config(), tmp_path / "run")
    with checkerboard.open("a") as file:
        file.write("c,y,1,Y\n")
    commands.train(checkerboard_config(epochs=1), tmp_path / "run")
    assert (tmp_path / "run" / "results.json").exists()


def test_evaluate_repeats_what_train_said_without_the_data(
    checkerboard_config: MakeConfig, checkerboard: Path, tmp_path: Path
) -> None:
    workdir = tmp_path / "run"
    commands.train(checkerboard_config(data__split="random"), workdir)
    said = (workdir / "results.json").read_text()
    checkerboard.unlink()
    moved = shutil.move(workdir, tmp_path / "elsewhere")
    commands.evaluate(Path(moved), config=None, step=None)
    assert (Path(moved) / "results.json").read_text() == said


def test_training_beats_the_untrained_model_and_the_most_popular_list(
    checkerboard_config: MakeConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workdir = tmp_path / "run"
    config = checkerboard_config(data__split="random", eval__ks=(2,), epochs=15)
    commands.train(config, workdir)
    metrics = json.loads((workdir / "results.json").read_text())["metrics"]
    assert metrics["model"]["recall@2"]["low"] > metrics["most_popular"]["recall@2"]["high"]


def test_a_folder_that_can_not_be_written_is_named(
    checkerboard_config: MakeConfig, tmp_path: Path
) -> None:
    (tmp_path / "run").write_text("a file, not a folder")
    with pytest.raises(UserError, match="--workdir="):
        commands.train(checkerboard_config(), tmp_path / "run")
