"""The compilation cache lies where only the user can write."""

import stat
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from jaxrec.runs import compilation
from jaxrec.runs.compilation import CompileClock, keep_compiled


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    """JAX's settings as they were."""
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: getattr(jax.config, name) for name in names}
    yield
    for name, value in before.items():
        jax.config.update(name, value)


def test_the_folder_is_made_for_the_user_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = keep_compiled()
    assert folder == tmp_path / "jaxrec" / "compiled"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert jax.config.jax_compilation_cache_dir == str(folder)


def test_a_folder_others_can_write_to_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o777)
    before = jax.config.jax_compilation_cache_dir
    assert keep_compiled(folder) is None
    assert jax.config.jax_compilation_cache_dir == before


def test_jax_s_own_setting_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "own"))
    assert keep_compiled() == tmp_path / "own"
    assert not (tmp_path / "own").exists()


def test_what_is_not_compiling_is_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter((100.0, 110.0))
    monkeypatch.setattr(compilation, "time", SimpleNamespace(perf_counter=now.__next__))
    with CompileClock() as clock:
        clock._add(compilation._COMPILE_EVENT, 1.5)
        clock._add("/another/event", 7.0)
        clock._add(compilation._COMPILE_EVENT, 2.5)
    assert (clock.seconds, clock.rest) == (4.0, 6.0)


def test_the_clock_counts_compiling_and_nothing_else() -> None:
    program = jax.jit(lambda x: jnp.sin(x) + 12.5)
    with CompileClock() as clock:
        program(1.0)
        first = clock.seconds
        program(2.0)
    assert 0 < first == clock.seconds
    program(jnp.ones(3))
    assert clock.seconds == first
