"""The guard of process 0: the others come to it, and it decides when and why all is over."""

import contextlib
import os
import selectors
import signal
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

from jaxrec.hosts.place import Place
from jaxrec.hosts.verdict import End, Kind, Verdict, first_cause, verdict
from jaxrec.hosts.watch import SETTLE_SECONDS, Patience, WakingClock
from jaxrec.hosts.wire import Message, Wire

_SAME_SIGNAL_SECONDS = 1.0  # Ctrl-C at a terminal comes to every guard there


class Leader:
    """Process 0's part; see `jaxrec.hosts.guard.Part`.

    Args:
      place: process 0's.
      link: to process 0.
      kill: sends process 0 a signal.
      selector: of the guard.
      patience: with the others.
      clock: by which it waits.

    Attributes:
      over: what all do at the end, as soon as it is decided.
    """

    def __init__(
        self,
        place: Place,
        link: Wire,
        kill: Callable[[int], None],
        selector: selectors.BaseSelector,
        patience: Patience,
        clock: WakingClock,
    ) -> None:
        self.over: Verdict | None = None
        self._place, self._link, self._kill, self._patience = place, link, kill, patience
        self._selector, self._clock = selector, clock
        self._began = self._beaten = self._clock.now()
        self._peers: dict[int, Wire] = {}
        self._last: dict[int, float] = {}
        self._hosts = {0: socket.gethostname()}
        self._ends: dict[int, End] = {}
        self._first_end = 0.0
        self._asked: dict[int, float] = {}
        self._answers: dict[int, deque[Any]] = {n: deque() for n in range(place.count)}
        self._server: socket.socket | None = None
        try:
            self._server = _server(place)
        except OSError as error:
            self.over = Verdict(
                2,
                f"error: {place.host}:{place.guards_port}: {os.strerror(error.errno or 0)}; "
                f"expected that port and {place.port} to be free on this machine, or another "
                "--coordinator",
            )
            return
        selector.register(self._server, selectors.EVENT_READ, self._accept)
        self._meet_when_all_are_here()

    def heard(self, message: Message) -> None:
        """Takes a message of process 0."""
        self._take(0, message)

    def ended(self, end: End) -> None:
        """Takes the end of process 0."""
        self._end(End(0, end.status, end.said))

    def signalled(self, number: int) -> None:
        """Passes a signal on to all processes, each Ctrl-C once."""
        now = self._clock.now()
        if now - self._asked.get(number, -_SAME_SIGNAL_SECONDS) < _SAME_SIGNAL_SECONDS:
            return
        self._asked[number] = now
        self._kill(number)
        self._tell_all("signal", number=number)

    def tick(self, now: float) -> None:
        """Beats, misses who is silent, and decides."""
        if now - self._beaten >= self._patience.beat:
            self._beaten = now
            self._tell_all("beat")
        for number, last in self._last.items():
            if number not in self._ends and now - last > self._patience.silence:
                self._end(End(number, None, self._patience.hangs))
        absent = sorted(set(range(1, self._place.count)) - self._peers.keys())
        if absent and now - self._began > self._patience.start:
            self._hosts[absent[0]] = "any host"
            self._end(End(absent[0], None, self._patience.absent))
        self._judge(now)

    def close(self) -> None:
        """Tells the others that all is over, and leaves."""
        over = self.over or Verdict(1)
        spoken = {self._hosts[0]}
        for number, wire in sorted(self._peers.items()):
            host = self._hosts[number]
            speaks = host not in spoken  # what it says is read elsewhere
            spoken.add(host)
            wire.send(
                "over", status=over.status, line=over.line if speaks else "", broken=over.broken
            )
        for wire in self._peers.values():
            wire.close()
        if self._server is not None:
            self._server.close()

    def _judge(self, now: float) -> None:
        bad = [end for end in self._ends.values() if end.kind != Kind.DONE]
        all_ended = len(self._ends) == self._place.count
        if self.over is not None or not (bad or all_ended):
            return
        cause = first_cause(bad or self._ends.values())
        if cause.kind == Kind.STOPPED and not all_ended:  # each ends by itself, in its grace period
            if not self._asked:
                self.signalled(signal.SIGTERM)
            return
        if cause.kind == Kind.LOST or all_ended or now - self._first_end > SETTLE_SECONDS:
            host = self._hosts.get(cause.process, "?")
            self.over = verdict(cause, self._place.count, host)

    def _end(self, end: End) -> None:
        if end.process in self._ends:
            return
        if end.kind != Kind.DONE and all(each.kind == Kind.DONE for each in self._ends.values()):
            self._first_end = self._clock.now()
        self._ends[end.process] = end

    def _accept(self) -> None:
        assert self._server is not None
        with contextlib.suppress(OSError):
            wire = Wire(self._server.accept()[0])
            self._selector.register(wire, selectors.EVENT_READ, lambda: self._greet(wire))

    def _greet(self, wire: Wire) -> None:
        """Reads who has come; a stranger, or one too many, is shown the door."""
        messages = wire.receive()
        if messages == []:
            return
        self._selector.unregister(wire)
        hello = messages[0] if messages else {}
        number, count = hello.get("index"), hello.get("count")
        if hello.get("is") != "hello" or not isinstance(number, int):
            wire.close()
            return
        why = None
        if count != self._place.count:
            why = (
                f"--processes is {count}, of process 0 it is {self._place.count}; expected the same"
            )
        elif number in self._peers or not 0 < number < self._place.count:
            why = f"--process={number} was started twice; expected each number once"
        if why is not None:
            wire.send("refused", line=f"error: {why}")
            wire.close()
            return
        self._peers[number], self._last[number] = wire, self._clock.now()
        self._hosts[number] = str(hello.get("host"))
        self._selector.register(wire, selectors.EVENT_READ, lambda: self._read(number))
        self._meet_when_all_are_here()
        for message in (messages or [])[1:]:  # which came together with it
            self._take(number, message)

    def _meet_when_all_are_here(self) -> None:
        if len(self._hosts) == self._place.count:
            hosts = [self._hosts[number] for number in range(self._place.count)]
            self._tell_all("met", what="", hosts=hosts)
            self._link.send("met", what="")

    def _read(self, number: int) -> None:
        wire = self._peers[number]
        messages = wire.receive()
        if messages is None:
            self._selector.unregister(wire)
            self._end(
                End(number, None, "is gone: its machine or the network closed the connection")
            )
            return
        self._last[number] = self._clock.now()
        for message in messages:
            self._take(number, message)

    def _take(self, number: int, message: Message) -> None:
        kind = message["is"]
        if kind == "decided":
            self._tell_all("decided", what=message["what"], value=message["value"])
        elif kind == "gather":
            self._answers[number].append(message)
            self._hand_out_answers()
        elif kind == "signal":
            self.signalled(message["number"])
        elif kind == "ended":
            self._end(End(number, message["status"], message["said"]))

    def _hand_out_answers(self) -> None:
        while all(self._answers.values()):
            found = [self._answers[number].popleft() for number in range(self._place.count)]
            values = [each["value"] for each in found]
            asked = {each["what"] for each in found}
            what = asked.pop() if len(asked) == 1 else " and ".join(sorted(asked))
            self._tell_all("gathered", what=what, values=values)
            self._link.send("gathered", what=what, values=values)

    def _tell_all(self, kind: str, **values: Any) -> None:
        for wire in self._peers.values():
            wire.send(kind, **values)


def _server(place: Place) -> socket.socket:
    if place.listens_at:
        family = socket.AF_INET6 if ":" in place.listens_at else socket.AF_INET
        return socket.create_server((place.listens_at, place.guards_port), family=family)
    if socket.has_dualstack_ipv6():
        return socket.create_server(
            ("", place.guards_port), family=socket.AF_INET6, dualstack_ipv6=True
        )
    return socket.create_server(("", place.guards_port))
