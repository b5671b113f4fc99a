"""Runs of several processes on this machine, of which one is killed or stopped."""

import contextlib
import dataclasses
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.faults.runs import TIMEOUT, Ended, Runs, wait
from tests.nursery import Forked

GUARD, WORK = "guard", "work"
PART_BYTES = 1000  # of a checkpoint's parts: so small that each process writes some


@dataclasses.dataclass(frozen=True)
class Fault:
    """What befalls one of the processes.

    Attributes:
      process: which one.
      part: `GUARD`, the process that was started, or `WORK`, its child, which computes.
      signal: SIGKILL or SIGSTOP.
    """

    process: int
    part: str
    signal: signal.Signals

    def strike(self, group: Sequence[Forked]) -> None:
        """Sends the signal; the child may not be there yet."""
        pid = group[self.process].pid
        if self.part == WORK:
            children: list[str] = []
            while not children and group[self.process].poll() is None:
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            pid = int(children[0]) if children else pid
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, self.signal)


def has_saved(workdir: Path) -> bool:
    """Whether a checkpoint is whole there."""
    return any((workdir / "model.ckpt").glob("[0-9]*/manifest.json"))


def has_begun(workdir: Path) -> bool:
    """Whether a run has taken its folder."""
    return (workdir / ".lock").exists()


def start_group(
    runs: Runs,
    workdir: Path,
    count: int,
    faults: Mapping[int, dict[str, Any]] | None = None,
    **flags: object,
) -> list[Forked]:
    """Starts one run as so many processes, with faults planted in some, as `tests.child` has it."""
    place = [f"--processes={count}", f"--coordinator=127.0.0.1:{free_port()}"]
    return [
        runs.start(
            workdir,
            {"part_bytes": PART_BYTES} | (faults or {}).get(number, {}),
            more=[*place, f"--process={number}"],
            hasty=True,
            **flags,
        )
        for number in range(count)
    ]


@contextlib.contextmanager
def ended_at_last(group: Sequence[Forked]) -> Iterator[None]:
    """Whatever the block does, none of the processes is left, and none stopped."""
    try:
        yield
    finally:
        for process in group:
            process.kill()


def run_group(
    runs: Runs,
    workdir: Path,
    count: int,
    faults: Mapping[int, dict[str, Any]] | None = None,
    **flags: object,
) -> list[Ended]:
    """Runs one run as so many processes to its end."""
    begin = time.monotonic()
    group = start_group(runs, workdir, count, faults, **flags)
    with ended_at_last(group):
        return [wait(process, begin) for process in group]


def strike_group(
    runs: Runs,
    workdir: Path,
    count: int,
    fault: Fault,
    *,
    after: Callable[[Path], bool],
    delay: float = 0.0,
    **flags: object,
) -> dict[int, Ended] | None:
    """Runs one run as so many processes, of which one is struck.

    Args:
      runs: where.
      workdir: of the run.
      count: how many processes.
      fault: what befalls one of them.
      after: tells by the run's folder whether it has come so far.
      delay: how many seconds later that is.
      **flags: of the configuration.

    Returns:
      How the others ended, and in how many seconds after the fault; None where the run had come
      to its end before.
    """
    group = start_group(runs, workdir, count, **flags)
    with ended_at_last(group):
        while not after(workdir) and group[0].poll() is None:
            time.sleep(0.005)
        time.sleep(delay)
        if any(process.poll() is not None for process in group):
            ends = [wait(process, time.monotonic()) for process in group]
            assert [(each.status, each.stderr) for each in ends] == [(0, "")] * count, ends
            return None
        begin = time.monotonic()
        fault.strike(group)
        others = [number for number in range(count) if number != fault.process]
        found = {number: wait(group[number], begin) for number in others}
        if fault.part == WORK:  # its guard is well, and says what has happened
            found[fault.process] = wait(group[fault.process], begin)
        return None if all(each.status == 0 for each in found.values()) else found


def free_port() -> int:
    """A port that is free, as is the one below it."""
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            with contextlib.suppress(OSError):
                second.bind(("127.0.0.1", port - 1))
                return port
    raise AssertionError("no two neighbouring ports are free")
