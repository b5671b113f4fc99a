"""A run of two processes comes to the bits of one, though one of them is lost on the way."""

import re
import signal
from pathlib import Path

import pytest

from jaxrec.runs.checkpoint import Checkpoints
from tests.faults.groups import GUARD, WORK, Fault, has_saved, run_group, strike_group
from tests.faults.runs import Outcome, Runs, outcome

STOPPED = 10.0  # seconds of silence that are taken for a hang


@pytest.mark.parametrize(
    ("fault", "silence", "said", "count"),
    [
        (Fault(1, WORK, signal.SIGKILL), 60.0, "was ended by SIGKILL", 2),
        (Fault(0, GUARD, signal.SIGSTOP), STOPPED, "has not been heard of for 10 s", 1),
    ],
    ids=["killed", "stopped"],
)
def test_a_process_that_is_lost_ends_the_others_and_the_run_goes_on_to_the_same_end(
    runs: Runs,
    reference: Outcome,
    tmp_path: Path,
    fault: Fault,
    silence: float,
    said: str,
    count: int,
) -> None:
    """It goes on as so many processes."""
    flags = {"processes.silence_seconds": silence}
    workdir = tmp_path / "run"
    ended = strike_group(runs, workdir, 2, fault, after=has_saved, **flags)
    assert ended is not None
    assert {each.status for each in ended.values()} == {1}
    lines = [line for each in ended.values() for line in each.stderr.splitlines()]
    assert len(lines) == 1
    who = rf"failed: process {fault.process} of 2 on \S+ {said}"
    assert re.match(rf"{who}.*; started again, the run goes on", lines[0])
    assert max(each.seconds for each in ended.values()) < STOPPED + 30
    again = run_group(runs, workdir, count, **flags) if count > 1 else [runs.run(workdir)]
    assert [(each.status, each.stderr) for each in again] == [(0, "")] * count
    assert outcome(workdir) == reference


def test_a_process_that_can_not_write_its_parts_ends_all_and_what_was_saved_stays(
    runs: Runs, reference: Outcome, tmp_path: Path
) -> None:
    """In its second save; the run goes on as one process."""
    workdir = tmp_path / "run"
    ended = run_group(runs, workdir, 2, {1: {"full_disk": 4}})
    assert {each.status for each in ended} == {1}
    lines = [line for each in ended for line in each.stderr.splitlines()]
    assert len(lines) == 1
    why = r"the checkpoint could not be saved \(.*No space left on device\)"
    assert re.match(rf"failed: .*/\d+: {why}; .* \(process 1 of 2 on \S+\)$", lines[0])
    assert has_saved(workdir)
    with Checkpoints(workdir / "model.ckpt", read_only=True) as checkpoints:
        assert not checkpoints.damaged
    again = runs.run(workdir)
    assert (again.status, again.stderr) == (0, "")
    assert outcome(workdir) == reference
