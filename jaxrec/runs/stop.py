"""Stopping on request: SIGTERM and Ctrl-C let the step end and be saved, within a time."""

import contextlib
import os
import select
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any, Self

from jaxrec.hosts import together

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(BaseException):
    """A run stopped as it was asked to. Like KeyboardInterrupt, no `except Exception` catches it.

    Attributes:
      status: the exit status, 128 + the signal's number: 130 for Ctrl-C, 143 for SIGTERM.
    """

    def __init__(self, signum: signal.Signals, saved: str = "nothing new to save") -> None:
        name = "Ctrl-C" if signum == signal.SIGINT else signum.name
        super().__init__(f"stopped by {name}: {saved}; run the same command again to go on")
        self.status = 128 + signum


class StopRequest:
    """Listens for SIGTERM and Ctrl-C while it is open.

    The first of them raises `Stopped` at once, unless the work is `deferring`: then it is noted
    for the work to see and to raise. A second Ctrl-C ends the process at once, and so does the
    end of the grace period, whatever the process hangs in; what is saved is whole in any case.

    Python runs a signal's handler when the main thread comes back from whatever it waits for, such
    as a step of half a minute. So the time is kept by a thread, which the system wakes itself, by
    a pipe (https://docs.python.org/3/library/signal.html#signal.set_wakeup_fd).

    Attributes:
      asked: the signal that came, or None.
    """

    def __init__(self, grace_seconds: float) -> None:
        self.asked: signal.Signals | None = None
        self._grace_seconds = grace_seconds
        self._deferring = False
        self._before: dict[signal.Signals, Any] = {}
        self._restore = contextlib.ExitStack()

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # no other may set handlers
            self._before = {each: signal.signal(each, self._on_signal) for each in SIGNALS}
            self._wake()
        return self

    def __exit__(self, *_: object) -> None:
        self._restore.close()
        for each, handler in self._before.items():
            signal.signal(each, handler)

    def _wake(self) -> None:
        """Starts the thread, and lets signals wake it."""
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        thread = threading.Thread(target=self._keep_time, args=(reader,), name="stop", daemon=True)
        thread.start()
        self._restore.callback(thread.join)
        self._restore.callback(os.close, writer)  # by which the thread ends
        before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        self._restore.callback(signal.set_wakeup_fd, before)

    def _keep_time(self, reader: int) -> None:
        """Ends the process in time; runs in the thread until the pipe is closed."""
        asked: signal.Signals | None = None
        deadline = 0.0
        while True:
            left = None if asked is None else max(0.0, deadline - time.monotonic())
            if not select.select([reader], [], [], left)[0]:
                assert asked is not None
                why = f"stopped after {self._grace_seconds:g} s (config.checkpoint.grace_seconds)"
                _leave(asked, why)
            numbers = os.read(reader, 64)
            if not numbers:
                os.close(reader)
                return
            for signum in (each for each in SIGNALS for _ in range(numbers.count(each))):
                if asked is None:
                    asked, deadline = signum, time.monotonic() + self._grace_seconds
                elif signum == signal.SIGINT:
                    _leave(signum, "stopped at once")

    @contextlib.contextmanager
    def deferring(self) -> Iterator[None]:
        """Within the block a signal is only noted in `asked`; its end raises what is still due."""
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False
        if self.asked is not None:
            raise Stopped(self.asked)

    def agreed(self) -> signal.Signals | None:
        """What process 0 has been asked by, in every process of a run alike."""
        asked = together.decided("stop", self.asked)
        if asked is None:
            return None
        self.asked = signal.Signals(asked)
        return self.asked

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self.asked is not None:
            return
        self.asked = signal.Signals(number)
        if not self._deferring:
            raise Stopped(self.asked)
        _say("stopping after this step (Ctrl-C again: at once)")


def _leave(signum: signal.Signals, why: str) -> None:
    _say(f"{why}; the run goes on from its last checkpoint when it is started again")
    os._exit(128 + signum)


def _say(text: str) -> None:
    # Not print, which a signal may have interrupted.
    with contextlib.suppress(OSError):
        os.write(2, f"{text}\n".encode())
