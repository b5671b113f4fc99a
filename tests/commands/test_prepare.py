"""Prepared data as a command makes them, and runs that start from them."""

import contextlib
import dataclasses
import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import jaxrec as jr
from jaxrec import commands
from jaxrec.config import RunConfig, read_config, with_fields
from jaxrec.data.interactions import aggregate
from jaxrec.data.prepared import prepare
from jaxrec.data.prepared.layout import Layout
from jaxrec.errors import UserError
from jaxrec.files import write_json
from jaxrec.manifest import read_manifest, write_manifest
from jaxrec.report.console import Console
from jaxrec.runs import prepared as prepared_module
from jaxrec.runs.lock import locked_in_turn
from jaxrec.runs.prepare import prepare_all, prepare_histories, prepare_split, read_history
from jaxrec.runs.prepared import as_prepared
from jaxrec.runs.run_folder import RunFolder
from tests.data.prepared.histories import assert_same_interactions

MakeConfig = Callable[..., RunConfig]
QUIET = Console(quiet=True)


@pytest.fixture
def made(checkerboard_config: MakeConfig, tmp_path: Path) -> tuple[RunConfig, RunConfig]:
    """A configuration that reads files, and the same that starts from them prepared."""
    config = checkerboard_config(method="itemknn")
    output = tmp_path / "prepared"
    commands.prepare(config, output)
    return config, with_fields(config, {"data.path": str(output), "data.source": "listens"})


def test_a_run_from_prepared_data_is_the_run_from_their_files(
    made: tuple[RunConfig, RunConfig], tmp_path: Path
) -> None:
    workdirs = tmp_path / "from files", tmp_path / "from prepared"
    for workdir, config in zip(workdirs, made, strict=True):
        commands.train(config, workdir)
    one, other = (json.loads((each / "results.json").read_text("utf-8")) for each in workdirs)
    assert one == other
    commands.train(made[0], workdirs[1])  # it goes on from either
    shutil.rmtree(made[1].data.path or "")
    commands.evaluate(workdirs[1], config=None, step=None)


def test_what_was_read_is_told_each_time(
    made: tuple[RunConfig, RunConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    prepare_split(made[0], Console())
    first = capsys.readouterr().out.splitlines()[1:]
    prepare_split(made[1], Console())
    assert capsys.readouterr().out.splitlines()[1:] == first


def test_prepared_data_serve_as_histories(made: tuple[RunConfig, RunConfig]) -> None:
    path = Path(made[1].data.path or "")
    found = prepare_histories(made[0], path, QUIET)
    assert (
        found.fingerprints
        == prepare_histories(made[0], Path(made[0].data.path or ""), QUIET).fingerprints
    )


def test_a_run_keeps_the_settings_by_which_its_data_were_prepared(
    checkerboard_config: MakeConfig, tmp_path: Path
) -> None:
    columns = {"data.columns.user": "item", "data.columns.item": "user"}
    reading = with_fields(
        checkerboard_config(method="itemknn"),
        columns | {"data.drop": "user == u1", "data.names_columns": ("song", "title")},
    )
    commands.prepare(reading, tmp_path / "prepared")
    usual = {name: getattr(RunConfig().data, name) for name in ("drop", "names_columns", "source")}
    config = dataclasses.replace(
        reading,
        data=dataclasses.replace(
            reading.data,
            **usual,
            columns=RunConfig().data.columns,
            path=str(tmp_path / "prepared"),
        ),
    )
    commands.train(config, tmp_path / "run")
    kept = _kept(tmp_path / "run")
    assert kept.data.drop == "user == u1" and kept.data.names_columns == ("song", "title")
    histories = Path(reading.data.path or "")
    found, expected = (prepare_histories(each, histories, QUIET) for each in (kept, reading))
    assert found.fingerprints == expected.fingerprints
    assert as_prepared(kept) == kept
    assert as_prepared(reading) == reading  # of files


def _kept(run: Path) -> RunConfig:
    return read_config(json.loads(RunFolder(run).config.read_text("utf-8"))["config"])


def test_the_source_that_data_were_prepared_from_is_kept(
    made: tuple[RunConfig, RunConfig],
) -> None:
    layout = Layout(Path(made[1].data.path or ""))
    about = json.loads(layout.about.read_text("utf-8"))
    about["settings"]["data.source"] = "spotify"
    write_json(layout.about, about)
    write_manifest(layout.root, read_manifest(layout.root))
    for source in ("synthetic", "listens", "spotify"):
        config = with_fields(made[1], {"data.source": source})
        assert as_prepared(config).data.source == "spotify"


def test_fields_that_came_since_are_as_usual(made: tuple[RunConfig, RunConfig]) -> None:
    layout = Layout(Path(made[1].data.path or ""))
    about = json.loads(layout.about.read_text("utf-8"))
    for field in ("data.names_encoding", "data.min_ms_played"):
        del about["settings"][field]
    write_json(layout.about, about)
    write_manifest(layout.root, read_manifest(layout.root))
    prepare_split(as_prepared(made[1]), QUIET)
    with pytest.raises(UserError, match=r"min_ms_played is 30 and .* are prepared with 0"):
        prepare_split(with_fields(made[1], {"data.min_ms_played": 30}), QUIET)


def test_python_reads_prepared_data(made: tuple[RunConfig, RunConfig]) -> None:
    found, expected = jr.read(made[1].data.path), read_history(made[0], QUIET).listens
    assert_same_interactions(aggregate(found), aggregate(expected))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"data.min_ms_played": 30},
            r"config\.data\.min_ms_played is 30 and the data in .* are prepared with 0",
        ),
        ({"data.columns.user": "who"}, r"config\.data\.columns\.user is 'who'"),
        ({"data.split": "given", "data.test_path": None}, "prepared data are one history"),
        ({"data.source": "gowalla"}, r"config\.data\.source is 'gowalla'"),
    ],
)
def test_settings_that_would_read_otherwise_are_refused(
    made: tuple[RunConfig, RunConfig], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        prepare_split(with_fields(made[1], changes), QUIET)


def test_what_is_damaged_or_unfinished_is_refused(made: tuple[RunConfig, RunConfig]) -> None:
    folder = Path(made[1].data.path or "")
    with (folder / "item.npy").open("ab") as file:
        file.write(b"x")
    with pytest.raises(UserError, match=r"damaged \(item\.npy: .* bytes, expected"):
        prepare_split(made[1], QUIET)
    (folder / "item.npy").unlink()
    with pytest.raises(UserError, match=r"damaged \(item\.npy: No such file"):
        prepare_split(made[1], QUIET)
    (folder / "manifest.json").unlink()
    with pytest.raises(UserError, match="not finished; expected the same `prepare` command"):
        prepare_split(made[1], QUIET)


def test_what_needs_all_in_memory_is_refused_where_there_is_no_room(
    made: tuple[RunConfig, RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepared_module, "free_bytes", lambda: 1000)
    cut = with_fields(made[1], {"data.split": "random", "data.validation_fraction": 0.2})
    prepare_split(cut, QUIET)  # from the disk
    with pytest.raises(UserError, match=r"need about .* GiB of memory where"):
        prepare_split(with_fields(cut, {"data.validation_rule": "alike"}), QUIET)
    newcomers = with_fields(made[1], {"data.split": "time", "eval.cold": "fold_in"})
    with pytest.raises(UserError, match=r"need about .*config\.eval\.cold=leave_out"):
        prepare_split(newcomers, QUIET)


def test_a_bad_row_is_refused_by_its_place_and_nothing_is_left(
    checkerboard_config: MakeConfig, tmp_path: Path
) -> None:
    config = checkerboard_config()
    path = Path(config.data.path or "")
    rows = path.read_text(encoding="utf-8").splitlines()
    rows.insert(7, "," + rows[1].partition(",")[2])
    path.write_text("\n".join(rows), encoding="utf-8")
    with pytest.raises(UserError, match=rf"{path}:8: user is empty"):
        commands.prepare(config, tmp_path / "prepared")
    assert [each.name for each in (tmp_path / "prepared").iterdir()] == [".lock"]
    skipping = with_fields(config, {"data.on_bad_rows": "skip"})
    commands.prepare(skipping, tmp_path / "prepared")
    assert (tmp_path / "prepared" / "manifest.json").exists()


def test_a_folder_of_something_else_is_left_alone(
    checkerboard_config: MakeConfig, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(UserError, match=r"--output=.* holds 'letter\.txt'; expected a folder"):
        commands.prepare(checkerboard_config(), tmp_path / "mine")


def test_what_is_prepared_is_no_history_to_prepare(
    made: tuple[RunConfig, RunConfig], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="data that are prepared already; expected the files"):
        commands.prepare(made[1], tmp_path / "again")


def test_other_settings_need_another_folder(made: tuple[RunConfig, RunConfig]) -> None:
    other = with_fields(made[0], {"data.identical_rows": "keep", "data.user_from": "column"})
    commands.prepare(other, Path(made[1].data.path or ""))  # the same
    other = with_fields(made[0], {"data.on_bad_rows": "skip"})
    with pytest.raises(UserError, match=r"was begun with config\.data\.on_bad_rows = 'error'"):
        commands.prepare(other, Path(made[1].data.path or ""))


def test_large_files_are_prepared_once_by_whoever_reads_them(
    checkerboard_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAXREC_CACHE", str(tmp_path / "cache"))
    config = checkerboard_config()
    expected = prepare_split(config, QUIET)
    assert not (tmp_path / "cache").exists()
    large = with_fields(config, {"prepare.above_mb": 0.001})
    assert prepare_split(large, QUIET).fingerprints == expected.fingerprints
    assert len(list((tmp_path / "cache" / "prepared").iterdir())) == 1
    monkeypatch.setattr(prepare, "stage", lambda *_: pytest.fail("read again"))
    assert prepare_split(large, QUIET).fingerprints == expected.fingerprints
    in_memory = {"data.split": "random", "data.validation_fraction": 0.2}
    in_memory |= {"data.validation_rule": "alike"}
    prepare_split(with_fields(large, in_memory), QUIET)  # which is cut in memory, and read so


@pytest.fixture
def large(
    checkerboard_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> RunConfig:
    """Of files that are prepared in a cache of the test's own."""
    monkeypatch.setenv("JAXREC_CACHE", str(tmp_path / "cache"))
    return with_fields(checkerboard_config(), {"prepare.above_mb": 0.001})


def test_a_large_pair_of_given_parts_is_read_into_memory(large: RunConfig) -> None:
    pair = with_fields(large, {"data.split": "given", "data.test_path": large.data.path})
    assert len(prepare_all(pair, QUIET).train) == len(
        aggregate(read_history(with_fields(large, {"data.split": "none"}), QUIET).listens)
    )


def test_the_names_of_a_large_history_are_read_again_where_they_have_changed(
    large: RunConfig, tmp_path: Path
) -> None:
    names = tmp_path / "names.csv"
    config = with_fields(large, {"data.names_path": str(names), "data.split": "none"})
    item = prepare_split(large, QUIET).train.items.ids[0]
    for name in ("First", "Second"):
        names.write_text(f"id,name\n{item},{name}\n", encoding="utf-8")
        assert prepare_split(config, QUIET).train.items.label(0) == name


def test_what_is_prepared_by_another_run_is_waited_for(large: RunConfig, tmp_path: Path) -> None:
    expected = prepare_split(large, QUIET)
    (folder,) = (tmp_path / "cache" / "prepared").iterdir()
    shutil.rmtree(folder)
    first = contextlib.ExitStack()
    first.enter_context(locked_in_turn(folder, print))
    said: list[str] = []

    class Waiting(Console):
        def warning(self, text: str) -> None:
            said.append(text)
            threading.Timer(0.05, first.close).start()

    found = prepare_split(large, Waiting(quiet=True))
    assert found.fingerprints == expected.fingerprints
    assert len(said) == 1 and "waiting until it ends" in said[0]


def test_a_large_history_is_the_same_by_whichever_path(
    large: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(prepare, "number_all", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            prepare_split(large, QUIET)
    path = Path(large.data.path or "")
    monkeypatch.chdir(path.parent)
    prepare_split(with_fields(large, {"data.path": path.name}), QUIET)  # it goes on
    assert len(list((tmp_path / "cache" / "prepared").iterdir())) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data.source": "synthetic"}, "made up in memory"),
        ({"data.against": "plays < 2"}, r"config\.data\.against is set, .* is not prepared"),
        ({"data.source": "lastfm-lightgcn", "data.split": "given"}, r"no such file|expected"),
    ],
)
def test_what_is_no_one_history_is_refused(
    checkerboard_config: MakeConfig, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        commands.prepare(with_fields(checkerboard_config(), changes), tmp_path / "prepared")
