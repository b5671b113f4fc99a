"""Several processes, which are threads here, write one checkpoint, or none."""

import concurrent.futures
import dataclasses
import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
import pytest
from jax.sharding import Mesh

from jaxrec.errors import RunError
from jaxrec.gcn.deal import Deal
from jaxrec.gcn.dealt_table import Dealt
from jaxrec.gcn.shares import AXIS
from jaxrec.manifest import find_damage
from jaxrec.models.method import Saved
from jaxrec.runs import arrays, checkpoint_writing
from jaxrec.runs.checkpoint import Checkpoints
from jaxrec.runs.checkpoint_folder import ARRAYS, Progress, Record

T = TypeVar("T")

TABLE = np.random.default_rng(0).random((37, 3), np.float32)
LIKE = [jax.ShapeDtypeStruct(TABLE.shape, TABLE.dtype)]


def saved() -> Saved:
    mesh = Mesh(np.array(jax.devices()[:1]), (AXIS,))
    deal = Deal.of(np.zeros(len(TABLE), np.int32), 1, len(TABLE))
    return Saved([Dealt(jax.numpy.asarray(TABLE), deal, mesh)])


class Lost(Exception):
    """What a process ends with because another did."""


class Together:
    """As `jaxrec.hosts.together`, of threads."""

    def __init__(self, count: int) -> None:
        self._count, self._own = count, threading.local()
        self._barrier = threading.Barrier(count)
        self._values: list[Any] = [None] * count

    def index(self) -> int:
        number: int = self._own.number
        return number

    def count(self) -> int:
        return self._count

    def is_first(self) -> bool:
        return self.index() == 0

    def gathered(self, what: str, value: Any) -> list[Any]:
        self._values[self.index()] = what, value
        self._meet()
        found = list(self._values)
        self._meet()
        assert {each for each, _ in found} == {what}
        return [each for _, each in found]

    def decided(self, what: str, value: Any) -> Any:
        return self.gathered(what, value)[0]

    def _meet(self) -> None:
        try:
            self._barrier.wait(timeout=60)
        except threading.BrokenBarrierError:
            raise Lost from None

    def run(self, work: Callable[[], T]) -> list[T | Exception]:
        """What the work gives in each process; as soon as it fails in one, all others are lost."""

        def as_process(number: int) -> T | Exception:
            self._own.number = number
            try:
                return work()
            except Exception as error:
                self._barrier.abort()
                return error

        with concurrent.futures.ThreadPoolExecutor(self._count) as threads:
            return list(threads.map(as_process, range(self._count)))


@pytest.fixture(params=[1, 2, 3])
def group(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Together:
    made = Together(request.param)
    monkeypatch.setattr(checkpoint_writing, "together", made)
    monkeypatch.setattr(checkpoint_writing, "PART_BYTES", 100)
    return made


def write(group: Together, directory: Path) -> list[Record | Exception]:
    def work() -> Record:
        progress = Progress(({"epoch": group.index()},))
        return checkpoint_writing.write_checkpoint(
            directory, saved(), step=5, score=0.5 + group.index(), progress=progress
        )

    return group.run(work)


def test_a_checkpoint_says_the_same_whoever_writes_it(group: Together, tmp_path: Path) -> None:
    """All are told what process 0 says of it; each has written some."""
    first, *others = write(group, tmp_path)
    assert others == [first] * len(others)
    assert isinstance(first, Record)
    assert (first.score, first.progress) == (0.5, Progress(({"epoch": 0},)))
    alone = tmp_path / "alone"
    alone.mkdir()
    parts = arrays.own_parts([TABLE], 100)
    assert [arrays.write_part(alone / str(number), part) for number, part in parts] == first.parts
    assert [path.name for path in tmp_path.iterdir() if path != alone] == ["5"]
    assert find_damage(tmp_path / "5") is None
    with Checkpoints(tmp_path, read_only=True) as checkpoints:
        assert dataclasses.asdict(checkpoints.restore(5, LIKE))["arrays"][0].tobytes() == (
            TABLE.tobytes()
        )


def test_a_byte_in_any_part_counts(group: Together, tmp_path: Path) -> None:
    write(group, tmp_path)
    for part in (tmp_path / "5" / ARRAYS).iterdir():
        files = [each for each in part.rglob("*") if each.is_file()]
        path = max(files, key=lambda each: each.stat().st_size)
        content = path.read_bytes()
        middle = len(content) // 2
        changed = bytes([content[middle] ^ 1])
        path.write_bytes(content[:middle] + changed + content[middle + 1 :])
        assert str(find_damage(tmp_path / "5")).startswith(f"{ARRAYS}/{part.name}/")
        path.write_bytes(content)
    assert find_damage(tmp_path / "5") is None


def test_one_that_fails_leaves_nothing_that_looks_whole(
    group: Together, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_part = checkpoint_writing.write_part
    last = group.count() - 1

    def fail(path: Path, part: dict[str, np.ndarray]) -> str:
        if group.index() == last:
            raise OSError(28, "No space left on device")
        return write_part(path, part)

    monkeypatch.setattr(checkpoint_writing, "write_part", fail)
    *others, error = write(group, tmp_path)
    assert isinstance(error, RunError)
    assert "/5: the checkpoint could not be saved (" in str(error)
    assert "No space left on device" in str(error)
    assert all(isinstance(each, Exception) for each in others)
    assert [path.name for path in tmp_path.iterdir() if path.name.isdecimal()] == []
    with Checkpoints(tmp_path) as checkpoints:  # what was left is cleared away
        assert checkpoints.steps() == []
    assert not list(tmp_path.iterdir())


def test_a_part_that_process_0_does_not_find_is_told(
    group: Together, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a process has a folder of its own by that name."""
    list_files = checkpoint_writing.list_files

    def elsewhere(folder: Path, names: list[str]) -> dict[str, Any]:
        found = list_files(folder, names)
        if group.index() == group.count() - 1:
            (folder / names[0]).unlink()
        return found

    monkeypatch.setattr(checkpoint_writing, "list_files", elsewhere)
    error, *_ = write(group, tmp_path)
    assert isinstance(error, RunError)
    assert "isn't there, though another process has written it; expected a --workdir" in str(error)
    assert not (tmp_path / "5").exists()


@pytest.mark.parametrize("group", [2], indirect=True)
def test_what_a_process_says_it_has_written_must_be_found(
    group: Together, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = checkpoint_writing._listing

    def elsewhere(partial: Path, process: int) -> Path:
        return listing(tmp_path if group.index() else partial, process)

    monkeypatch.setattr(checkpoint_writing, "_listing", elsewhere)
    error, other = write(group, tmp_path)
    assert isinstance(error, RunError) and isinstance(other, Lost)
    assert "files-1.json isn't there, though another process has written it" in str(error)
    assert not (tmp_path / "5").exists()


def test_what_a_dead_run_still_writes_to_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leftover = tmp_path / "7.0123abcd.partial"
    leftover.mkdir()
    rmdir = os.rmdir

    def still_written(path: Any, **where: Any) -> None:
        if Path(path).name == leftover.name:
            raise OSError(errno.ENOTEMPTY, "Directory not empty")
        rmdir(path, **where)

    monkeypatch.setattr(os, "rmdir", still_written)
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.steps() == []
    assert leftover.exists()
