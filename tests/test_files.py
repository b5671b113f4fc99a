"""What a killed process has left is cleared up, what a living one is writing is not; caches."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jaxrec.files import cache_folder, compiled_folder, remove_leftovers, replacing


def test_leftovers_of_the_dead_are_removed_and_files_of_the_living_are_not(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    parent = os.getppid()
    names = ("of-the-dead", dead.pid), ("our-own-number", os.getpid()), ("of-nobody", 10**30)
    for name, number in (*names, ("of-the-living", parent)):
        (tmp_path / f"{name}.{number}.partial").touch()
    (tmp_path / "results.json").touch()
    remove_leftovers(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"results.json", f"of-the-living.{parent}.partial"}


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "lists.csv"
    with replacing(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
    assert [each.name for each in tmp_path.iterdir()] == ["lists.csv"]


def test_the_cache_folders_are_those_that_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAXREC_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "shared"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    assert cache_folder() == tmp_path / "own"
    assert compiled_folder() == tmp_path / "shared" / "jaxrec" / "compiled"
    monkeypatch.setenv("JAXREC_CACHE", "")
    assert cache_folder() == tmp_path / "shared" / "jaxrec"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == tmp_path / "home" / ".cache" / "jaxrec"
    for elsewhere in ("", "gs://bucket/compiled"):
        monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", elsewhere)
        assert compiled_folder() == tmp_path / "home" / ".cache" / "jaxrec" / "compiled"
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "jax"))
    assert compiled_folder() == tmp_path / "jax"
