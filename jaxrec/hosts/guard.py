"""A process's guard: its parent, which watches over it, hears of the others, and ends with them.

It does nothing else and knows no JAX, so it answers whatever the process hangs in, and is there to
say what the process died of.
"""

import contextlib
import os
import re
import selectors
import signal
import socket
import sys
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Protocol

from jaxrec.errors import printable
from jaxrec.hosts.follower import Follower
from jaxrec.hosts.leader import Leader
from jaxrec.hosts.place import Place
from jaxrec.hosts.verdict import ERRORS, STOPS, End, Verdict
from jaxrec.hosts.watch import Patience, WakingClock
from jaxrec.hosts.wire import Message, Wire

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# JAX's runtime ends a process that has lost another with pages that don't say which one it was.
_PAGES = re.compile(r"[EF]\d{4} .*(coordination_service|client\.h)|Traceback |terminate called ")
_KEPT_LINES = 200
_TICK_SECONDS = 0.2


class Part(Protocol):
    """What a guard does for its part among the guards: `Leader` or `Follower`."""

    over: Verdict | None
    """What to do at the end, as soon as it is decided."""

    def heard(self, message: Message) -> None:
        """Takes a message of the guard's own process."""

    def ended(self, end: End) -> None:
        """Takes the end of the guard's own process, as `jaxrec.hosts.verdict` wants it."""

    def signalled(self, number: int) -> None:
        """Takes a signal that came to this guard, for all processes."""

    def tick(self, now: float) -> None:
        """Does what is due."""

    def close(self) -> None:
        """Takes leave of the others."""


def guarded(work: Callable[[Wire], int], patience: Patience) -> int:
    """Does the work in a child, and guards it.

    Args:
      work: takes the link to the guard and returns the exit status.
      patience: with the process, and with the others.

    Returns:
      The exit status, in the guard. The child ends within.
    """
    ours, theirs = socket.socketpair()
    errors, end_of_errors = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where a config has imported JAX, which isn't used yet
        child = os.fork()
    if child:
        theirs.close()
        os.close(end_of_errors)
        return Guard(child, Wire(ours), errors, patience).run()
    ours.close()
    os.close(errors)
    os.setpgid(0, 0)  # Ctrl-C comes to the guard, and from there once to each process
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's & ignores
    os.dup2(end_of_errors, sys.stderr.fileno())
    os.close(end_of_errors)
    try:
        status = work(Wire(theirs, patience.beat))
    except Exception:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    if status:
        os._exit(status)  # else JAX's runtime would wait for the others, who wait for us
    sys.exit(0)


class Guard:
    """Watches over a child.

    Args:
      child: its process number.
      link: to it.
      errors: a pipe with what it says on standard error.
      patience: with it, and with the others.
    """

    def __init__(self, child: int, link: Wire, errors: int, patience: Patience) -> None:
        self._child, self._link, self._errors, self._patience = child, link, errors, patience
        self._selector = selectors.DefaultSelector()
        self._part: Part | None = None
        self._clock = WakingClock()
        self._heard = self._clock.now()
        self._index = 0
        self._ended = False
        self._status: int | None = None
        self._partial = b""
        self._last_line = ""
        self._why = ""
        self._kept: deque[str] = deque(maxlen=_KEPT_LINES)
        self._keeps = False
        self._signals: deque[int] = deque()

    def run(self) -> int:
        """Returns the exit status, when all is over."""
        os.set_blocking(self._errors, False)
        self._selector.register(self._link, selectors.EVENT_READ, self._read_link)
        self._selector.register(self._errors, selectors.EVENT_READ, self._read_errors)
        with self._signals_taken():
            while self._part is None or self._part.over is None:
                for key, _ in self._selector.select(_TICK_SECONDS):
                    key.data()
                self._tick(self._clock.now())
                if self._ended and self._part is None:
                    return self._leave(self._without_place())
            return self._leave(self._part.over)

    def _tick(self, now: float) -> None:
        while self._signals:
            number = self._signals.popleft()
            if self._part is None:
                self._kill(number)
            else:
                self._part.signalled(number)
        if not self._ended:
            self._look_at_child(now)
        if self._part is not None:
            self._part.tick(now)

    def _look_at_child(self, now: float) -> None:
        status: int | None = None
        number, code = os.waitpid(self._child, os.WNOHANG)
        if number:
            self._ended = True
            self._status = status = os.waitstatus_to_exitcode(code)
            self._read_errors()
        elif now - self._heard <= self._patience.silence:
            return
        if self._part is not None:
            said = self._patience.hangs if status is None else self._last_words()
            self._part.ended(End(-1, status, said))
            self._heard = now

    def _read_link(self) -> None:
        messages = self._link.receive()
        if messages is None:
            self._selector.unregister(self._link)
            return
        self._heard = self._clock.now()
        for message in messages:
            if message["is"] == "place":
                self._take_part(message)
            elif message["is"] != "beat" and self._part is not None:
                self._part.heard(message)

    def _take_part(self, message: Message) -> None:
        place = Place(*(message[name] for name in ("index", "count", "host", "port")))
        part = Leader if place.index == 0 else Follower
        self._index, self._keeps = place.index, place.index != 0
        self._part = part(
            place, self._link, self._kill, self._selector, self._patience, self._clock
        )

    def _read_errors(self) -> None:
        """Passes on what the child says; what is of use only if nothing explains it is kept."""
        try:
            read = os.read(self._errors, 2**16)
        except BlockingIOError:
            return
        if not read:
            with contextlib.suppress(KeyError):
                self._selector.unregister(self._errors)
        *lines, self._partial = (self._partial + read).split(b"\n")
        for line in (each.decode(errors="replace") for each in lines):
            self._keeps = self._keeps or _PAGES.match(line) is not None
            why = line.startswith((*ERRORS, *STOPS))
            if why:
                self._why = line
            if self._keeps and not (why and self._index == 0):
                self._kept.append(line)
            else:
                print(line, file=sys.stderr, flush=True)
                self._last_line = line

    def _last_words(self) -> str:
        """Why it ended, where it said so; else its last line, rather of an error than of where."""
        if self._why:
            return printable(self._why)[:500]
        kept = [line for line in self._kept if line.strip() and not line.startswith(("*", " "))]
        return printable(kept[-1] if kept else self._last_line)[:500]

    def _kill(self, number: int) -> None:
        if not self._ended:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._child, number)

    def _leave(self, verdict: Verdict) -> int:
        """Ends the child where it still is, says what is to be said, returns the exit status."""
        if not self._ended:
            self._kill(signal.SIGKILL)
            os.waitpid(self._child, 0)
        if self._part is not None:
            self._part.close()
        pages = self._kept if verdict.broken == self._index else ()
        for line in [*pages, *filter(None, [printable(verdict.line)])]:
            print(line, file=sys.stderr, flush=True)
        self._selector.close()
        return verdict.status

    def _without_place(self) -> Verdict:
        """What follows where the process ended before it knew which one it is."""
        status = 0 if self._status is None else self._status
        if status >= 0:  # it has said why
            return Verdict(status, broken=self._index)
        return Verdict(1, f"failed: the process was ended by {signal.Signals(-status).name}")

    @contextlib.contextmanager
    def _signals_taken(self) -> Iterator[None]:
        """Within the block signals are noted, and wake the guard."""
        reader, writer = os.pipe()
        for end in (reader, writer):
            os.set_blocking(end, False)
        self._selector.register(reader, selectors.EVENT_READ, lambda: os.read(reader, 64))

        def note(number: int, _: FrameType | None) -> None:
            self._signals.append(number)

        before = {each: signal.signal(each, note) for each in _SIGNALS}
        waker = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(waker)
            for each, handler in before.items():
                signal.signal(each, handler)
            os.close(reader)
            os.close(writer)
