"""One run per folder: a lock that the operating system drops when its owner ends, however it ends.

Locks: flock(2), https://man7.org/linux/man-pages/man2/flock.2.html
"""

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from jaxrec.errors import UserError
from jaxrec.hosts import together

FILE_NAME = ".lock"
_TURN_SECONDS = 0.5
_NO_LOCKS_HERE = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


class InUseError(UserError):
    """Another process holds the folder.

    Attributes:
      owner: its number, as far as it is known.
    """

    def __init__(self, workdir: Path, owner: str) -> None:
        """Says whose the folder is."""
        super().__init__(
            f"--workdir={workdir}: process {owner} is running there; expected a folder of its own "
            "for each run, or that one to end first"
        )
        self.owner = owner


@contextlib.contextmanager
def locked(workdir: Path, warn: Callable[[str], None]) -> Iterator[None]:
    """Makes a run's folder where it's missing, and holds it while the block runs.

    The file of the lock stays: removing it would let two runs lock two files of one name. Of
    several processes the first one holds it, for all.

    Args:
      workdir: the run's folder.
      warn: told where the file system knows no locks; then nothing is held.

    Raises:
      UserError: another run holds the folder, or it can't be written to.
    """
    if not together.is_first():
        refused = together.decided("lock", None)
        if refused is not None:
            raise UserError(refused)
        yield
        return
    try:
        file = _held(workdir, warn)
    except UserError as error:
        together.decided("lock", str(error))
        raise
    try:
        together.decided("lock", None)
        yield
    finally:
        os.close(file)


@contextlib.contextmanager
def locked_in_turn(
    folder: Path, warn: Callable[[str], None], *, wait: bool = False
) -> Iterator[None]:
    """As `locked`, but of several processes each holds the folder, one after another.

    For what each process makes where it isn't there yet, on whatever machine it is.

    Args:
      folder: where it is made.
      warn: as of `locked`; and told of whom is waited for, where `wait` is set.
      wait: whether other commands, too, are waited for.

    Raises:
      UserError: as `locked`.
    """
    told = False
    while True:
        try:
            file = _held(folder, warn)
            break
        except InUseError as error:
            if together.count() == 1:
                if not wait:
                    raise
                if not told:
                    warn(f"process {error.owner} makes {folder}; waiting until it ends")
                    told = True
            time.sleep(_TURN_SECONDS)
    try:
        yield
    finally:
        os.close(file)


def _held(workdir: Path, warn: Callable[[str], None]) -> int:
    """The open file by which the folder is held."""
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        file = os.open(workdir / FILE_NAME, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise UserError(
            f"--workdir={workdir}: {error.strerror}; expected a folder to write to"
        ) from error
    try:
        _hold(file, workdir, warn)
    except BaseException:
        os.close(file)
        raise
    return file


def _hold(file: int, workdir: Path, warn: Callable[[str], None]) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = os.pread(file, 32, 0).decode(errors="replace").strip()
        raise InUseError(workdir, owner or "unknown") from error
    except OSError as error:
        if error.errno not in _NO_LOCKS_HERE:
            raise
        warn(f"{workdir}: the file system knows no locks; take care to start one run only")
    try:
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
    except OSError:
        pass  # the number is there to be read by people; the lock holds without it
