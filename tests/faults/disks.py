"""Small, full or read-only disks for tests, where the machine lets us mount them."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from jaxrec.runs.checkpoint import Checkpoints
from tests.faults.runs import Outcome, Runs, is_one_line, outcome


class NoMount(Exception):
    """Mounting isn't allowed here; it takes root, and in a container the right to."""


@contextlib.contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[None]:
    """A file system of a given size at a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    _call("mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder))
    try:
        yield
    finally:
        _call("umount", str(folder))


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """The folder as it is, but not to be written to, even by root."""
    _call("mount", "--bind", str(folder), str(folder))
    try:
        _call("mount", "-o", "remount,bind,ro", str(folder))
        yield
    finally:
        _call("umount", str(folder))


def fill(disk: Path, free_kilobytes: int) -> Path:
    """Fills a disk up to what is to be left; returns the file to delete to have room again."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    with ballast.open("r+b") as file:
        file.truncate(ballast.stat().st_size - 1024 * free_kilobytes)
    return ballast


def check_full_disk(
    runs: Runs, reference: Outcome, disk: Path, free_kilobytes: int, *, blind: bool
) -> bool:
    """A run on a disk with so much room ends in one line or well, and goes on once there is room.

    Args:
      runs: what starts it.
      reference: what it comes to in the end.
      disk: where to mount the disk.
      free_kilobytes: the room.
      blind: whether saves begin without a look at the free space, to fail amid their writes.

    Returns:
      Whether the room was too small.
    """
    with small_disk(disk, 4096):
        ballast = fill(disk, free_kilobytes)
        workdir = disk / "run"
        ended = runs.run(workdir, {"blind": True} if blind else None)
        if ended.status != 0:
            assert ended.status in (1, 2), ended
            assert is_one_line(ended), ended
            assert "o space left" in ended.stderr, ended
            with Checkpoints(workdir / "model.ckpt", read_only=True) as checkpoints:
                assert checkpoints.damages() == []
        ballast.unlink()
        assert runs.run(workdir).status == 0
        assert outcome(workdir) == reference
        return ended.status != 0


def _call(*command: str) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise NoMount(f"no program {command[0]}") from error
    except subprocess.CalledProcessError as error:
        raise NoMount(error.stderr.strip()) from error
