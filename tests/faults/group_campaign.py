"""Losses of a process in runs of several: `python -m tests.faults.group_campaign`.

Kills or stops one of the processes at a random moment, many times over; all others must end in
time and say which it was, and the run, started again, must come to the same end. Takes half an hour
on two cores. Exit status 1 if a loss was not survived.
"""

import argparse
import collections
import contextlib
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.faults.groups import (
    GUARD,
    WORK,
    Fault,
    ended_at_last,
    has_begun,
    run_group,
    start_group,
    strike_group,
)
from tests.faults.runs import Ended, Outcome, Runs, outcome, wait
from tests.nursery import Nursery


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the campaign and prints what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--kills", type=int, default=20, help="SIGKILL, at random moments")
    parser.add_argument("--stops", type=int, default=5, help="SIGSTOP, at random moments")
    parser.add_argument("--silence", type=float, default=10.0, help="seconds to take for a hang")
    parser.add_argument("--in-time", type=float, default=10.0, help="to end in, beside that")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    flags = {"processes.silence_seconds": options.silence}
    rng = random.Random(options.seed)
    signals = [signal.SIGKILL] * options.kills + [signal.SIGSTOP] * options.stops
    survived: dict[str, list[bool]] = collections.defaultdict(list)
    begin = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(Nursery(Path(folder) / "nursery")) as nursery,
    ):
        runs = Runs(Path(folder), nursery)
        alone = runs.run(runs.folder / "alone", **flags)
        assert (alone.status, alone.stderr) == (0, ""), alone
        reference = outcome(runs.folder / "alone")
        seconds = _undisturbed(runs, options.processes, reference, flags)
        print(f"undisturbed: {seconds:.1f} s, as one process; {reference}", flush=True)
        for number, each in enumerate(signals):
            fault = Fault(rng.randrange(options.processes), rng.choice([GUARD, WORK]), each)
            moment = rng.random()
            workdir = runs.folder / f"trial-{number}"
            wrong = _try(runs, workdir, options, fault, moment * seconds, reference, flags)
            survived[each.name].append(wrong is None)
            print(
                f"{number}: {each.name} to process {fault.process} ({fault.part}) after "
                f"{moment:.0%}: {wrong or 'the same end'}",
                flush=True,
            )
            shutil.rmtree(workdir, ignore_errors=True)
    for name, each in survived.items():
        print(f"{name}: {len(each)} injected, {sum(each)} survived")
    print(
        f"{options.processes} processes, seed {options.seed}, "
        f"{(time.monotonic() - begin) / 60:.0f} minutes"
    )
    return int(not all(all(each) for each in survived.values()))


def _undisturbed(runs: Runs, count: int, reference: Outcome, flags: dict[str, float]) -> float:
    """The seconds of a run from taking its folder to its end, where all is compiled."""
    for name in ("first", "second"):
        workdir = runs.folder / name
        group = start_group(runs, workdir, count, **flags)
        with ended_at_last(group):
            while not has_begun(workdir) and group[0].poll() is None:
                time.sleep(0.005)
            begin = time.monotonic()
            ends = [wait(process, begin) for process in group]
        assert [(each.status, each.stderr) for each in ends] == [(0, "")] * count, ends
        assert outcome(workdir) == reference
    return max(each.seconds for each in ends)


def _try(
    runs: Runs,
    workdir: Path,
    options: argparse.Namespace,
    fault: Fault,
    delay: float,
    reference: Outcome,
    flags: dict[str, float],
) -> str | None:
    """What went wrong in a run that is struck and started again, if anything."""
    ended = None
    while ended is None:
        shutil.rmtree(workdir, ignore_errors=True)
        ended = strike_group(
            runs, workdir, options.processes, fault, after=has_begun, delay=delay, **flags
        )
        delay *= 0.8  # it had come to its end before
    wrong = _said_wrong(ended, fault, options)
    if wrong is not None:
        return wrong
    again = run_group(runs, workdir, options.processes, **flags)
    if [(each.status, each.stderr) for each in again] != [(0, "")] * options.processes:
        return f"did not go on: {again}"
    found = outcome(workdir)
    return None if found == reference else f"came to another end: {found}"


def _said_wrong(ended: dict[int, Ended], fault: Fault, options: argparse.Namespace) -> str | None:
    """What is wrong in how all others ended, if anything."""
    longest = max(each.seconds for each in ended.values())
    in_time = options.in_time + (2 * options.silence if fault.signal == signal.SIGSTOP else 0)
    lines = [line for each in ended.values() for line in each.stderr.splitlines()]
    if {each.status for each in ended.values()} != {1}:
        return f"ended with other statuses: {ended}"
    if longest > in_time:
        return f"took {longest:.1f} s to end: {ended}"
    if len(lines) != 1 or f"process {fault.process} of {options.processes} on " not in lines[0]:
        return f"said {lines}"
    return None


if __name__ == "__main__":
    sys.exit(main())
