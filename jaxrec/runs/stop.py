"""Stopping on request: SIGTERM and Ctrl-C let the step end and be saved, within a time."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, Self

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

    Attributes:
      asked: the signal that came, or None.
    """

    def __init__(self, grace_seconds: float) -> None:
        self.asked: signal.Signals | None = None
        self._grace_seconds = grace_seconds
        self._deferring = False
        self._deadline: threading.Timer | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # no other may set handlers
            self._before = {each: signal.signal(each, self._on_signal) for each in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)
        if self._deadline is not None:
            self._deadline.cancel()

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

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        signum = signal.Signals(number)
        if self.asked is not None:
            if signum == signal.SIGINT:
                _leave(signum, "stopped at once")
            return
        self.asked = signum
        self._deadline = threading.Timer(
            self._grace_seconds,
            _leave,
            (signum, f"stopped after {self._grace_seconds:g} s (config.checkpoint.grace_seconds)"),
        )
        self._deadline.daemon = True
        self._deadline.start()
        if not self._deferring:
            raise Stopped(signum)
        _say("stopping after this step (Ctrl-C again: at once)")


def _leave(signum: signal.Signals, why: str) -> None:
    _say(f"{why}; the run goes on from its last checkpoint when it is started again")
    os._exit(128 + signum)


def _say(text: str) -> None:
    # Not print, which a signal may have interrupted.
    with contextlib.suppress(OSError):
        os.write(2, f"{text}\n".encode())
