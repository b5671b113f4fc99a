"""What a run of several processes died of: the first cause among many ends."""

import dataclasses
import enum
import signal
from collections.abc import Iterable

ERRORS = ("error: ", "failed: ")  # how a process begins the line that says why it ends
STOPS = ("stopped ", "interrupted")  # likewise
_STOPS = (128 + signal.SIGINT, 128 + signal.SIGTERM)


class Kind(enum.IntEnum):
    """Why a process ended, in the order in which ends explain other ends."""

    LOST = 0
    """Killed, gone or silent: nothing that another's end can bring about."""
    SAID = 1
    """By an error that it said in a line."""
    STOPPED = 2
    """As it was asked to."""
    BROKEN = 3
    """In any other way; who loses another in a collective ends so by itself."""
    DONE = 4


@dataclasses.dataclass(frozen=True)
class End:
    """How a process came to its end.

    Attributes:
      process: its number.
      status: its exit status; negative for the signal that ended it; None where it is gone or
        hangs, as far as the others can tell.
      said: its last words, a line; of a None what the others saw.
    """

    process: int
    status: int | None
    said: str = ""

    @property
    def kind(self) -> Kind:
        """Why it ended."""
        if self.status == 0:
            return Kind.DONE
        if self.status in _STOPS or self.status in (-signal.SIGINT, -signal.SIGTERM):
            return Kind.STOPPED
        if self.status is None or (self.status < 0 and self.status != -signal.SIGABRT):
            return Kind.LOST
        return Kind.SAID if self.said.startswith(ERRORS) else Kind.BROKEN


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What all processes do at the end.

    Attributes:
      status: the exit status of each.
      line: what is said; empty where process 0 has said all.
      broken: the process whose pages of words are to be shown, or -1.
    """

    status: int
    line: str = ""
    broken: int = -1


def first_cause(ends: Iterable[End]) -> End:
    """The end that explains the others, of ends that came within moments of each other.

    A process that is killed takes the others with it, by errors of their own, and these may be
    heard of first.
    """
    return min(ends, key=lambda end: (end.kind, end.process))


def verdict(cause: End, count: int, host: str) -> Verdict:
    """What follows from an end.

    Args:
      cause: the end that explains the others.
      count: how many processes there are.
      host: where it ran.
    """
    if cause.kind == Kind.DONE:
        return Verdict(0)
    who = f"process {cause.process} of {count} on {host}"
    status = cause.status if cause.status is not None and cause.status > 0 else 1
    if cause.kind in (Kind.SAID, Kind.STOPPED):
        if cause.status is not None and cause.status < 0:
            status = 128 - cause.status
        own = cause.process == 0 and bool(cause.said)
        return Verdict(status, "" if own else f"{cause.said or 'stopped'} ({who})")
    if cause.status is None:
        what = cause.said
    elif cause.status < 0:
        what = f"was ended by {signal.Signals(-cause.status).name}"
    else:
        what = f"ended with status {cause.status}"
    line = (
        f"failed: {who} {what}; all others are ended, too; started again, the run goes on from its "
        "last checkpoint"
    )
    return Verdict(1, line, cause.process if cause.kind == Kind.BROKEN else -1)
