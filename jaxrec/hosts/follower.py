"""The guard of any other process than 0: finds process 0's guard, and does as that says."""

import selectors
import socket
from collections.abc import Callable

from jaxrec.hosts.place import Place
from jaxrec.hosts.verdict import End, Verdict, verdict
from jaxrec.hosts.watch import Patience, WakingClock
from jaxrec.hosts.wire import Message, Wire

_CONNECT_SECONDS = 1.0


class Follower:
    """The part of a process other than 0; see `jaxrec.hosts.guard.Part`.

    Args:
      place: the process's.
      link: to the process.
      kill: sends the process a signal.
      selector: of the guard.
      patience: with process 0.
      clock: by which it waits.

    Attributes:
      over: what to do at the end, as soon as it is decided.
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
        self._began = self._last = self._beaten = self._clock.now()
        self._leader: Wire | None = None
        self._hosts: list[str] = []

    def heard(self, message: Message) -> None:
        """Passes on what the process says to all."""
        if self._leader is not None:
            self._leader.send(message["is"], what=message["what"], value=message["value"])

    def ended(self, end: End) -> None:
        """Passes on how the process ended; what follows is process 0's to say."""
        if self._leader is None:
            own = End(self._place.index, end.status, end.said)
            self.over = verdict(own, self._place.count, socket.gethostname())
        else:
            self._leader.send("ended", status=end.status, said=end.said)

    def signalled(self, number: int) -> None:
        """Passes a signal on, which then comes to all processes at once."""
        if self._leader is None or not self._leader.send("signal", number=number):
            self._kill(number)

    def tick(self, now: float) -> None:
        """Looks for process 0's guard, then beats and misses it."""
        if self._leader is None:
            self._connect(now)
            return
        if now - self._beaten >= self._patience.beat:
            self._beaten = now
            self._leader.send("beat")
        if now - self._last > self._patience.silence:
            self._lose(self._patience.hangs)

    def close(self) -> None:
        """Leaves."""
        if self._leader is not None:
            self._leader.close()

    def _connect(self, now: float) -> None:
        place = self._place
        address = place.host.strip("[]"), place.guards_port
        try:
            end = socket.create_connection(address, _CONNECT_SECONDS)
        except OSError as error:
            if now - self._began > self._patience.start:
                self._lose(
                    f"can't be reached at {place.host}:{place.guards_port} "
                    f"({error.strerror or error}) and {self._patience.absent}"
                )
            return
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._leader, self._last = Wire(end), now
        self._leader.send("hello", index=place.index, count=place.count, host=socket.gethostname())
        self._selector.register(self._leader, selectors.EVENT_READ, self._read)

    def _read(self) -> None:
        assert self._leader is not None
        messages = self._leader.receive()
        if messages is None:
            self._selector.unregister(self._leader)
            if self.over is None:
                self._lose("is gone: its machine or the network closed the connection")
            return
        self._last = self._clock.now()
        for message in messages:
            self._take(message)

    def _take(self, message: Message) -> None:
        kind = message["is"]
        if kind == "over":
            self.over = Verdict(message["status"], message["line"], message["broken"])
        elif kind == "refused":
            self.over = Verdict(2, message["line"])
        elif kind == "signal":
            self._kill(message["number"])
        elif kind != "beat":
            if kind == "met":
                self._hosts = message.pop("hosts")
            self._link.send(message.pop("is"), **message)

    def _lose(self, what: str) -> None:
        """All is over since process 0 is lost; the first process on each machine says so."""
        said = verdict(
            End(0, None, what), self._place.count, self._hosts[0] if self._hosts else "?"
        )
        own = socket.gethostname()
        others = self._hosts[1 : self._place.index]
        self.over = Verdict(said.status, "" if own in others else said.line)
