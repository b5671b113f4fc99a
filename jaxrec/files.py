"""Files that appear whole or not at all, and where those that are kept between runs lie."""

import contextlib
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import platformdirs

PARTIAL = ".partial"  # of what is not yet whole


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`, renamed into place at the end of the block.

    If the block raises, the temporary file is removed and `path` is as it was.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}{PARTIAL}")
    try:
        yield temporary
        sync(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Removes the temporary files that a killed process has left in a folder."""
    for path in folder.glob(f"*.[0-9]*{PARTIAL}"):
        writer = path.name.removesuffix(PARTIAL).rpartition(".")[2]
        if not is_another_process(writer):
            path.unlink(missing_ok=True)


def is_another_process(process: str) -> bool:
    """Whether that is the number of a process running on this machine, and not our own."""
    try:
        os.kill(int(process), 0)
    except (ValueError, OverflowError, ProcessLookupError):
        return False
    except PermissionError:  # another user's
        return True
    return int(process) != os.getpid()


def cache_folder() -> Path:
    """For downloads: `$JAXREC_CACHE`, or the folder in the user's own cache."""
    own = os.environ.get("JAXREC_CACHE")
    return Path(own) if own else _users_cache()


def compiled_folder() -> Path:
    """For what is compiled: JAX's own setting where it names a folder, or `compiled` in the cache.

    Not in `$JAXREC_CACHE`, which users may share: what is compiled is run.
    """
    own = os.environ.get("JAX_COMPILATION_CACHE_DIR", "")
    return Path(own) if own and "://" not in own else _users_cache() / "compiled"


def _users_cache() -> Path:
    """`jaxrec` in `$XDG_CACHE_HOME`, or where the system keeps such things: ~/.cache on Linux."""
    named = os.environ.get("XDG_CACHE_HOME")  # also on systems that have another convention
    return Path(named, "jaxrec") if named else platformdirs.user_cache_path("jaxrec", False)


def is_private(folder: Path) -> bool:
    """Whether only the user can write to a folder, which is made where it is missing."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    except OSError:
        return False
    if hasattr(os, "getuid") and found.st_uid != os.getuid():
        return False
    return not stat.S_IMODE(found.st_mode) & 0o022


def sync(path: Path) -> None:
    """Returns when a file's or a folder's content is on the disk, safe from a loss of power."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def write_json(path: Path, value: Any) -> None:
    """Writes a value as readable JSON, whole or not at all.

    Raises:
      ValueError: the value holds a NaN or an infinity, which JSON can't say.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
