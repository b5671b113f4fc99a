"""Files that appear whole or not at all."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_ENDING = ".partial"


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`, renamed into place at the end of the block.

    If the block raises, the temporary file is removed and `path` is as it was.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}{_ENDING}")
    try:
        yield temporary
        sync(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Removes the temporary files that a killed process has left in a folder."""
    for path in folder.glob(f"*.[0-9]*{_ENDING}"):
        writer = path.name.removesuffix(_ENDING).rpartition(".")[2]
        if not _is_another(writer):
            path.unlink(missing_ok=True)


def _is_another(process: str) -> bool:
    """Whether that is the number of a process running here, and not our own."""
    try:
        os.kill(int(process), 0)
    except (ValueError, OverflowError, ProcessLookupError):
        return False
    except PermissionError:  # another user's
        return True
    return int(process) != os.getpid()


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
