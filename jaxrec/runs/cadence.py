"""When the run is saved: every so many epochs, steps or minutes."""

import dataclasses
import re
import time
from collections.abc import Callable

from jaxrec.config import EVERY_PATTERN


@dataclasses.dataclass(frozen=True)
class Every:
    """An interval between saves.

    Attributes:
      count: how many units.
      unit: `epoch`, `step` or `minute`.
    """

    count: int
    unit: str


def parse_every(text: str) -> Every:
    """Reads an interval such as `1 epoch`, `500 steps` or `10 minutes`.

    Raises:
      ValueError: it isn't one.
    """
    found = re.fullmatch(EVERY_PATTERN, text)
    if found is None:
        raise ValueError(f"{text!r} is not a number of epochs, steps or minutes")
    return Every(int(found[1]), found[2])


class Cadence:
    """Says when a save is due. When that is changes nothing in what is computed.

    Args:
      every: the interval.
      step: the step the run starts from.
      clock: seconds from a clock that nobody can set back.
    """

    def __init__(
        self, every: Every, *, step: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._every = every
        self._clock = clock
        self.saved(step)

    def due(self, step: int, *, epochs_done: int | None = None) -> bool:
        """Whether to save now.

        Args:
          step: the steps done.
          epochs_done: the epochs done, at the end of one; None within one.
        """
        count = self._every.count
        if self._every.unit == "epoch":
            return epochs_done is not None and epochs_done % count == 0
        if self._every.unit == "step":
            return step // count > self._step // count
        return self._clock() - self._time >= 60 * count

    def saved(self, step: int) -> None:
        """Counts from here."""
        self._step, self._time = step, self._clock()
