"""The CPU's own kernel is compiled once, where only the user can write; else it is told why not."""

import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jaxrec.gcn import native
from jaxrec.gcn.message_passing import choose_kernel
from tests import kernels

COMPILER = """#!{python}
import os, sys
if {wrong!r} and "-o" in sys.argv:
    print("neighbour_sums.cc: In function:\\nline 7: error: " + {wrong!r}, file=sys.stderr)
    sys.exit(1)
if "-o" in sys.argv:
    with open({log!r}, "a") as log:
        print("compiled", file=log)
os.execv({real!r}, [{real!r}, *sys.argv[1:]])
"""


@pytest.fixture(autouse=True)
def forgotten(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is known of this process's kernel, forgotten before and after."""
    native.unavailable_reason.cache_clear()
    monkeypatch.setattr(native, "_PREFIX", request.node.name)  # XLA keeps the first of a name
    yield
    native.unavailable_reason.cache_clear()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def compiler(folder: Path, wrong: str = "") -> Path:
    path = folder / "cxx"
    named = {"python": sys.executable, "wrong": wrong, "log": str(folder / "log")}
    real = next(filter(None, map(shutil.which, ("c++", "g++", "clang++"))))
    path.write_text(COMPILER.format(**named, real=real), encoding="utf-8")
    path.chmod(0o755)
    return path


def in_a_process_of_its_own() -> None:
    program = "from jaxrec.gcn import native; assert native.unavailable_reason() is None"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.parametrize("kernel", kernels.PREFETCH)
def test_it_is_compiled_once_for_all_processes_into_a_folder_of_the_user_alone(
    kernel: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", f"{compiler(tmp_path)} -DSOMETHING")
    assert native.must_be_compiled()
    assert choose_kernel("auto", "cpu") == kernel
    assert not native.must_be_compiled()
    in_a_process_of_its_own()
    assert (tmp_path / "log").read_text() == "compiled\n"
    (library,) = cache.iterdir()
    assert library.suffix == ".so"
    for path in (cache, library):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_without_a_compiler_jaxlib_s_kernel_is_taken_and_the_reason_known(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler -O2")
    assert native.unavailable_reason() == "no C++ compiler: looked for no-such-compiler"
    assert not native.must_be_compiled()
    assert choose_kernel("auto", "cpu") == "csr"
    with pytest.raises(ValueError, match=r"'prefetch', which can't be had here: no C\+\+ compiler"):
        choose_kernel("prefetch", "cpu")
    monkeypatch.delenv("CXX")
    monkeypatch.setenv("PATH", "")
    native.unavailable_reason.cache_clear()
    assert native.unavailable_reason() == "no C++ compiler: looked for c++, g++, clang++"
    assert not cache.exists()


@pytest.mark.parametrize("kernel", kernels.PREFETCH)
def test_a_compiler_s_error_is_told_in_a_line_and_leaves_nothing(
    kernel: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = compiler(tmp_path, "no such option")
    monkeypatch.setenv("CXX", str(wrong))
    assert native.unavailable_reason() == f"{wrong}: line 7: error: no such option"
    assert not list(cache.iterdir())


@pytest.mark.parametrize("named", ["g++ 'unclosed", "/", "c++ --no-such-option"])
def test_a_compiler_that_can_not_be_run_is_no_crash(
    cache: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    monkeypatch.setenv("CXX", named)
    assert not native.must_be_compiled()
    assert native.unavailable_reason()
    assert choose_kernel("auto", "cpu") == "csr"


@pytest.mark.parametrize("kernel", kernels.PREFETCH)
def test_a_library_in_a_folder_that_others_can_write_to_is_not_loaded(
    kernel: str, cache: Path
) -> None:
    assert native.unavailable_reason() is None
    cache.chmod(0o777)
    native.unavailable_reason.cache_clear()
    reason = native.unavailable_reason()
    assert reason is not None and reason.endswith("others can write to it")


@pytest.mark.parametrize("kernel", kernels.PREFETCH)
def test_a_damaged_library_is_no_crash(kernel: str, cache: Path) -> None:
    in_a_process_of_its_own()
    (library,) = cache.iterdir()
    library.write_bytes(b"not a library")
    reason = native.unavailable_reason()
    assert reason is not None and str(library) in reason
