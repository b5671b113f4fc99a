"""Preparation that is killed goes on, and its files are the same to the byte, whatever happens."""

import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jaxrec.data import listen_store
from jaxrec.data.prepared import prepare, stage
from jaxrec.errors import UserError
from jaxrec.manifest import find_damage
from tests.data.prepared.child import BYTES_PER_ROW, CHUNK_ROWS, prepare_history
from tests.data.prepared.histories import write_history
from tests.nursery import ROOT

KILLS = 6


@pytest.fixture
def history(tmp_path: Path) -> Path:
    return write_history(tmp_path / "history", files=2)


@pytest.fixture
def undisturbed(history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is prepared in one go, in chunks and partitions of few rows."""
    monkeypatch.setattr(stage, "CHUNK_ROWS", CHUNK_ROWS)
    monkeypatch.setattr(prepare, "_BYTES_PER_ROW", BYTES_PER_ROW)
    prepare_history(history, tmp_path / "undisturbed")
    return tmp_path / "undisturbed"


def run_child(history: Path, output: Path, visit: int, when: str) -> subprocess.CompletedProcess:
    words = [str(history), str(output), str(visit), when]
    return subprocess.run(
        [sys.executable, "-m", "tests.data.prepared.child", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if path.is_file() and path.name != ".lock"
    }


def test_killed_again_and_again_it_ends_with_the_same_bytes(
    history: Path, undisturbed: Path, tmp_path: Path
) -> None:
    draw = random.Random(7)
    output = tmp_path / "killed"
    for _ in range(KILLS):
        ended = run_child(history, output, draw.randint(3, 40), draw.choice(["before", "after"]))
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        assert not (output / "manifest.json").exists()
    ended = run_child(history, output, 0, "never")
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) > 0
    assert files_of(output) == files_of(undisturbed)
    assert find_damage(output) is None
    assert not (output / ".work").exists()


def test_the_bytes_depend_on_neither_threads_nor_pieces_nor_memory(
    history: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(listen_store.SETTINGS, "threads", 1)
    monkeypatch.setattr(stage, "CHUNK_ROWS", 10**6)
    prepare_history(history, tmp_path / "other", memory_mb=256)
    assert files_of(tmp_path / "other") == files_of(undisturbed)


def test_what_is_prepared_is_not_prepared_again(
    history: Path, undisturbed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "stage", lambda *_: pytest.fail("read again"))
    before = files_of(undisturbed)
    prepare_history(history, undisturbed)
    assert files_of(undisturbed) == before


def test_other_files_than_those_it_was_prepared_from_are_refused(
    history: Path, undisturbed: Path
) -> None:
    part = history / "part-0.parquet"
    content = bytearray(part.read_bytes())
    content[100] ^= 1
    part.write_bytes(content)
    with pytest.raises(UserError, match=r"part-0\.parquet is not what .* was prepared from"):
        prepare_history(history, undisturbed)
    part.unlink()
    with pytest.raises(UserError, match="prepared from 2 files, there are now 1"):
        prepare_history(history, undisturbed)


def test_files_that_change_while_they_are_prepared_are_refused(
    history: Path, tmp_path: Path
) -> None:
    output = tmp_path / "output"
    assert run_child(history, output, 12, "before").returncode == -signal.SIGKILL
    (history / "part-0.parquet").write_bytes((history / "part-1.parquet").read_bytes())
    with pytest.raises(UserError, match=r"part-0\.parquet is not as it was when `prepare` began"):
        prepare_history(history, output)


def test_names_that_have_changed_are_refused(
    history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names, output = tmp_path / "names.csv", tmp_path / "output"
    names.write_text("id,name\n5,Five\n", encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr(prepare, "number_all", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            prepare_history(history, output, names=names)
    names.write_text("id,name\n5,Six!\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"names\.csv is not as it was when `prepare` began"):
        prepare_history(history, output, names=names)
    shutil.rmtree(output)
    about = prepare_history(history, output, names=names)
    assert [Path(each["path"]).name for each in about["sources"]][-1] == "names.csv"
    names.write_text("id,name\n5,Five\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"names\.csv is not what .* was prepared from"):
        prepare_history(history, output, names=names)


def test_what_was_read_stays_where_there_was_no_room_for_the_rest(
    history: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, write, written = tmp_path / "output", stage._write_chunk, []

    def full(*arguments: Any) -> dict[str, Any]:
        if len(written) == 3:
            raise listen_store.NoRoomError("full")
        written.append(arguments)
        return write(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(stage, "_write_chunk", full)
        with pytest.raises(UserError, match="full"):
            prepare_history(history, output)
    before = {path.name for path in (output / ".work").glob("*.json")}
    assert {"rows-00000-00000.json", "rows-00000-00002.json"} <= before
    prepare_history(history, output)
    assert files_of(output) == files_of(undisturbed)


def test_every_database_keeps_to_its_memory_and_its_folder(
    history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, connect = [], listen_store.duckdb.connect

    def seen(*, config: dict[str, Any]) -> Any:
        opened.append(config)
        return connect(config=config)

    monkeypatch.setattr(listen_store.duckdb, "connect", seen)
    prepare_history(history, tmp_path / "output")
    assert {each.get("memory_limit") for each in opened} == {"64MiB"}
    assert {Path(each["temp_directory"]).parent.name for each in opened} == {".work"}
    assert len(opened) > 2  # one of each chunk, too
