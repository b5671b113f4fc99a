"""The CPU's own kernel, in C++: compiled once for a machine, kept, and made known to XLA."""

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

TARGET = "jaxrec_neighbour_sums"
_SYMBOL = "JaxrecNeighbourSums"
_SOURCE = Path(__file__).with_name("neighbour_sums.cc")
# Without contraction a product is rounded before it is added, as in jaxlib's kernel.
_OPTIONS = ["-std=c++20", "-O3", "-march=native", "-ffp-contract=off", "-fPIC", "-shared"]
_COMPILERS = ("c++", "g++", "clang++")
_PATIENCE = 120  # seconds


class UnavailableError(Exception):
    """The kernel can't be had on this machine; says why."""


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
    """Makes the kernel ready, compiling it where that was not done before on this machine.

    Returns:
      Why it can't be used, or None where it can.
    """
    try:
        compiler = _compiler()
        library = _library(compiler)
        if not is_private(library.parent):  # what lies there is run
            raise UnavailableError(f"{library.parent} can't be made, or others can write to it")
        if not library.exists():
            _compile(compiler, library)
        handler = getattr(ctypes.CDLL(str(library)), _SYMBOL)
    except _REASONS as error:
        return " ".join(str(error).split())
    jax.ffi.register_ffi_target(TARGET, jax.ffi.pycapsule(handler), platform="cpu")
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
    made_of = [*compiler, jaxlib_version, _macros(*compiler), _SOURCE.read_text(encoding="utf-8")]
    digest = hashlib.sha256("\0".join(made_of).encode()).hexdigest()
    return compiled_folder() / f"neighbour_sums-{digest[:16]}.so"


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
