"""How long the others may be silent, and how long the first of them to come waits for the last."""

import dataclasses
import time
from collections.abc import Callable

BEATS_IN_SILENCE = 5
# After a first bad end: others may explain it, and process 0 may be about to say the same.
SETTLE_SECONDS = 2.0


class WakingClock:
    """Seconds in which this process ran: while it didn't, nobody else was silent to it.

    A machine that is suspended or has far too much to do stops the one who watches, too.

    Args:
      clock: seconds from a clock that nobody can set back.
      longest: a longer time between two looks at the clock counts as so long.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, longest: float = 1.0) -> None:
        self._clock, self._longest = clock, longest
        self._before, self._seconds = clock(), 0.0

    def now(self) -> float:
        """The seconds so far; to be asked often."""
        now = self._clock()
        self._seconds += min(now - self._before, self._longest)
        self._before = now
        return self._seconds


@dataclasses.dataclass(frozen=True)
class Patience:
    """In seconds.

    Attributes:
      silence: after so long a silence a process counts as hanging.
      start: so long processes wait for each other at the start.
    """

    silence: float
    start: float

    @property
    def beat(self) -> float:
        """Between two signs of life."""
        return min(2.0, self.silence / BEATS_IN_SILENCE)

    @property
    def hangs(self) -> str:
        """What is said of a process that is silent for too long."""
        return f"has not been heard of for {self.silence:g} s (config.processes.silence_seconds)"

    @property
    def absent(self) -> str:
        """What is said of a process that didn't come."""
        return f"has not come within {self.start:g} s (config.processes.start_seconds)"
