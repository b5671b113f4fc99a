"""Clocks and memory counters that every measured process uses. Standard library only."""

import contextlib
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any


class TimedBatches:
    """The first batches of an epoch, with a note of when each was asked for.

    A training loop iterates it in place of its own batches. What lies between two requests is one
    step as a user has it: drawing the batch, sampling, forward, backward, update.
    """

    def __init__(self, batches: Iterable[Any], count: int) -> None:
        """Takes `count` of the batches, or all if there are fewer."""
        self._batches = batches
        self._count = count
        self.requested: list[float] = []
        self.first_ready = 0.0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Any]:
        self.requested = [time.perf_counter()]
        for number, batch in enumerate(self._batches, start=1):
            if number == 1:
                self.first_ready = time.perf_counter()
            yield batch
            self.requested.append(time.perf_counter())
            if number == self._count:
                return

    def epoch_start(self) -> float:
        """Seconds from the first request to the first batch: shuffling, mostly."""
        return self.first_ready - self.requested[0]

    def seconds_per_step(self, warmup: int) -> float:
        """Mean over the steps after the first `warmup`.

        Raises:
          ValueError: there were no more steps than those.
        """
        steps = len(self.requested) - 1 - warmup
        if steps < 1:
            raise ValueError(
                f"{len(self.requested) - 1} steps were taken; expected more than {warmup}"
            )
        return (self.requested[-1] - self.requested[warmup]) / steps


def seconds_of(action: Any, repeats: int, warmup: int) -> list[float]:
    """How long each of several calls takes. The action returns when its result is there."""
    times = []
    for number in range(warmup + repeats):
        start = time.perf_counter()
        action()
        if number >= warmup:
            times.append(time.perf_counter() - start)
    return times


def in_turns(actions: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, dict[int, float]]:
    """How long actions take, by name and round; a first round, which compiles, isn't counted.

    They take turns, so that another load on the machine disturbs them alike.
    """
    times: dict[str, dict[int, float]] = {name: {} for name in actions}
    for number in range(rounds + 1):
        for name, action in actions.items():
            (spent,) = seconds_of(action, repeats=1, warmup=0)
            if number:
                times[name][number] = spent
    return times


def seconds_from_due(ask: Callable[[int], Any], count: int, rate: float) -> list[float]:
    """How long after it was due each of some requests was answered, one after another.

    Requests are due at a fixed rate, whether earlier ones are answered or not: whoever is slower
    than that is seen to fall behind.

    Args:
      ask: answers the request of a number, from 0.
      count: how many.
      rate: requests a second.
    """
    taken, begin = [], time.perf_counter()
    for number in range(count):
        due = begin + number / rate
        time.sleep(max(0.0, due - time.perf_counter()))
        ask(number)
        taken.append(time.perf_counter() - due)
    return taken


def resident_mb(peak: bool) -> float:
    """This process's resident memory in MB (10^6 bytes), now or at its highest.

    `VmHWM` belongs to this process alone. `ru_maxrss`, for want of it, may be the parent's.
    """
    field = "VmHWM:" if peak else "VmRSS:"
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="ascii") as lines:
        for line in lines:
            if line.startswith(field):
                return int(line.split()[1]) * 1024 / 1e6
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def reset_peak() -> bool:
    """Makes the highest resident memory count from now on; False where the system can't."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def machine() -> dict[str, Any]:
    """What the figures depend on: processor, cores, memory, system."""
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as lines:
        model = next((ln.split(":", 1)[1].strip() for ln in lines if "model name" in ln), model)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "processor": model,
        "cores": len(affinity(0)) if affinity else os.cpu_count(),
        "memory_gb": round(memory / 1e9, 1),
        "system": platform.platform(),
        "load_average_at_start": round(os.getloadavg()[0], 2),
    }
