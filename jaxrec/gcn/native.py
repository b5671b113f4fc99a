"""The CPU's own kernels, in C++: compiled once for a machine, kept, and made known to XLA."""

import ctypes
import functools
import hashlib
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import jax
from jaxlib.version import __version__ as jaxlib_version

from jaxrec.files import compiled_folder, is_private, remove_leftovers, replacing

NEIGHBOURS, HISTORIES, STANDARD = KERNELS = ("neighbour_sums", "history_sums", "standard_sums")
_PREFIX = "jaxrec_"
_FOLDER = Path(__file__).parent
_SOURCE = _FOLDER / "kernels.cc"
_READ = [_SOURCE, _FOLDER / "chunks.h", *(_FOLDER / f"{name}.cc" for name in KERNELS)]
# Without contraction a product is rounded before it is added, as in jaxlib's kernel.
_OPTIONS = ["-std=c++20", "-O3", "-march=native", "-ffp-contract=off", "-fPIC", "-shared"]
_COMPILERS = ("c++", "g++", "clang++")
_PATIENCE = 120  # seconds


class UnavailableError(Exception):
    """The kernels can't be had on this machine; says why."""


def target(kernel: str) -> str:
    """What XLA calls a kernel."""
    return f"{_PREFIX}{kernel}"


def _symbol(kernel: str) -> str:
    """What the library calls it."""
    return "Jaxrec" + "".join(part.capitalize() for part in kernel.split("_"))


# Also a $CXX that can't be parsed, no home, no permission, a library of another kind.
_REASONS = (UnavailableError, ValueError, RuntimeError, OSError, AttributeError)


def must_be_compiled() -> bool:
    """Whether `unavailable_reason` will take the seconds that compiling takes."""
    try:
        return not _library(_compiler()).exists()
    except _REASONS:
        return False


@functools.cache
def unavailable_reason() -> str | None:
    """Makes the kernels ready, compiling them where that was not done before on this machine.

    Returns:
      Why they can't be used, or None where they can.
    """
    try:
        compiler = _compiler()
        library = _library(compiler)
        if not is_private(library.parent):  # what lies there is run
            raise UnavailableError(f"{library.parent} can't be made, or others can write to it")
        if not library.exists():
            _compile(compiler, library)
        loaded = ctypes.CDLL(str(library))
        handlers = {name: getattr(loaded, _symbol(name)) for name in KERNELS}
    except _REASONS as error:
        return " ".join(str(error).split())
    for name, handler in handlers.items():
        jax.ffi.register_ffi_target(target(name), jax.ffi.pycapsule(handler), platform="cpu")
    return None


def _compiler() -> list[str]:
    """`$CXX`, or the first of the usual names that is there, with the options."""
    named = shlex.split(os.environ.get("CXX", ""))
    for words in [named] if named else [[name] for name in _COMPILERS]:
        if shutil.which(words[0]):
            return [*words, *_OPTIONS]
    wanted = named[:1] or _COMPILERS
    raise UnavailableError(f"no C++ compiler: looked for {', '.join(wanted)}")


def _library(compiler: list[str]) -> Path:
    """Where the library is kept; the name tells source, compiler, processor and jaxlib apart."""
    code = [path.read_text(encoding="utf-8") for path in _READ]
    made_of = [*compiler, jaxlib_version, _macros(*compiler), *code]
    digest = hashlib.sha256("\0".join(made_of).encode()).hexdigest()
    return compiled_folder() / f"kernels-{digest[:16]}.so"


@functools.cache
def _macros(*compiler: str) -> str:
    """What a compiler defines by itself, its version and the processor's features among it."""
    return _run([*compiler, "-dM", "-E", "-x", "c++", os.devnull])


def _compile(compiler: list[str], library: Path) -> None:
    remove_leftovers(library.parent)
    with replacing(library) as temporary:
        headers = ["-isystem", jax.ffi.include_dir()]
        _run([*compiler, *headers, str(_SOURCE), "-o", str(temporary)])
        temporary.chmod(0o700)


def _run(command: list[str]) -> str:
    """What a command prints."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            check=False,
            encoding="utf-8",
            errors="replace",
            timeout=_PATIENCE,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(f"{command[0]}: {error}") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        wrong = next((line for line in lines if "error" in line), lines[0])
        raise UnavailableError(f"{command[0]}: {wrong}")
    return done.stdout
