"""A folder is held by one run, until its process ends."""

import contextlib
import errno
import fcntl
import os
import threading
from pathlib import Path
from typing import NoReturn

import pytest

from jaxrec.errors import UserError
from jaxrec.hosts import together
from jaxrec.runs.lock import locked, locked_in_turn


def test_a_second_owner_is_refused_by_the_number_of_the_first(tmp_path: Path) -> None:
    warnings: list[str] = []
    with (
        locked(tmp_path / "run", warnings.append),
        pytest.raises(UserError, match=f"--workdir=.*run: process {os.getpid()} is running there"),
        locked(tmp_path / "run", warnings.append),
    ):
        pass
    with locked(tmp_path / "run", warnings.append):
        pass
    assert warnings == []


def test_what_each_of_several_processes_makes_is_made_in_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with locked(tmp_path, print), pytest.raises(UserError), locked_in_turn(tmp_path, print):
        pass
    monkeypatch.setattr(together, "count", lambda: 2)
    first = contextlib.ExitStack()
    first.enter_context(locked_in_turn(tmp_path, print))
    order = ["first"]

    def leave() -> None:
        order.append("left")
        first.close()

    threading.Timer(0.2, leave).start()
    with locked_in_turn(tmp_path, print):
        order.append("second")
    assert order == ["first", "left", "second"]


def test_a_file_left_by_a_dead_owner_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("1\n")
    with locked(tmp_path, print):
        assert (tmp_path / ".lock").read_text() == f"{os.getpid()}\n"


def test_a_file_system_without_locks_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(file: int, operation: int) -> NoReturn:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    warnings: list[str] = []
    with locked(tmp_path, warnings.append):
        assert len(warnings) == 1
        assert "knows no locks" in warnings[0]


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UserError, match=r"--workdir=.*expected a folder"),
        locked(tmp_path / "file", print),
    ):
        pass
