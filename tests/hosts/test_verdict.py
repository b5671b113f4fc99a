"""Of many ends the one that explains the others is told, in a line."""

import signal

import pytest

from jaxrec.hosts.verdict import End, Kind, Verdict, first_cause, verdict

DONE = End(0, 0)
ABORTED = End(1, -signal.SIGABRT, "Terminating process because the JAX distributed service ...")
BROKEN = End(2, 1, "ValueError: Gloo AllGather failed: Connection closed by peer")
STOPPED = End(0, 128 + signal.SIGTERM, "stopped by SIGTERM: step 5 is saved in ...")
SAID = End(3, 2, "error: config.lr is -1; expected a number above 0")
KILLED = End(3, -signal.SIGKILL)
SILENT = End(2, None, "has not been heard of for 10 s (config.processes.silence_seconds)")


@pytest.mark.parametrize(
    ("end", "kind"),
    [
        (DONE, Kind.DONE),
        (ABORTED, Kind.BROKEN),
        (BROKEN, Kind.BROKEN),
        (STOPPED, Kind.STOPPED),
        (End(1, -signal.SIGTERM), Kind.STOPPED),
        (SAID, Kind.SAID),
        (End(0, 1, "failed: no space left"), Kind.SAID),
        (KILLED, Kind.LOST),
        (End(0, -signal.SIGSEGV), Kind.LOST),
        (SILENT, Kind.LOST),
    ],
)
def test_what_kind_of_end_it_is(end: End, kind: Kind) -> None:
    assert end.kind == kind


def test_a_kill_explains_what_the_others_say_of_it_whoever_is_heard_first() -> None:
    for ends in ([BROKEN, ABORTED, KILLED], [KILLED, BROKEN], [DONE, KILLED], [SAID, SILENT]):
        assert first_cause(ends).kind == Kind.LOST
    assert first_cause([BROKEN, SAID, STOPPED]) == SAID
    assert first_cause([DONE, BROKEN]) == BROKEN


def test_each_end_has_its_status_and_its_line() -> None:
    again = "all others are ended, too; started again, the run goes on from its last checkpoint"
    assert verdict(DONE, 4, "a") == Verdict(0)
    assert verdict(KILLED, 4, "a") == Verdict(
        1, f"failed: process 3 of 4 on a was ended by SIGKILL; {again}"
    )
    assert verdict(SILENT, 4, "b").line.startswith("failed: process 2 of 4 on b has not been heard")
    assert verdict(SAID, 4, "a") == Verdict(2, f"{SAID.said} (process 3 of 4 on a)")
    assert verdict(STOPPED, 4, "a") == Verdict(143)  # process 0 has said it
    assert verdict(End(1, -signal.SIGTERM), 2, "a") == Verdict(143, "stopped (process 1 of 2 on a)")
    broken = verdict(BROKEN, 4, "a")
    assert (broken.status, broken.broken) == (1, 2)  # and what it said is shown
    assert "process 2 of 4 on a ended with status 1" in broken.line
