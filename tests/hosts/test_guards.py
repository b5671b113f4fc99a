"""The guards, with processes that are made up: who comes, who is refused, when all is over."""

import contextlib
import json
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from jaxrec.hosts.follower import Follower
from jaxrec.hosts.leader import Leader
from jaxrec.hosts.place import Place
from jaxrec.hosts.verdict import End
from jaxrec.hosts.watch import SETTLE_SECONDS, Patience, WakingClock
from jaxrec.hosts.wire import Message, Wire
from tests.faults.groups import free_port

PATIENCE = Patience(silence=30.0, start=20.0)


class Process:
    """A guard's part without a guard, and the link to the process that it would guard."""

    def __init__(self, index: int, count: int, port: int, patience: Patience = PATIENCE) -> None:
        ours, theirs = socket.socketpair()
        self.link, self.child = Wire(ours), Wire(theirs, 0.01)
        self.signals: list[int] = []
        self.clock = WakingClock()
        self.selector = selectors.DefaultSelector()
        part = Leader if index == 0 else Follower
        place = Place(index, count, "127.0.0.1", port)
        self.part = part(place, self.link, self.signals.append, self.selector, patience, self.clock)
        self.messages: list[Message] = []

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self.part.close()
        for key in [*self.selector.get_map().values()]:  # strangers
            key.fileobj.close()
        self.link.close()
        self.child.close()
        self.selector.close()

    def step(self, later: float = 0.0) -> None:
        """What the guard's loop does in a round; `later` pretends that so many seconds went by."""
        for key, _ in self.selector.select(0.0):
            key.data()
        self.part.tick(self.clock.now() + later)
        self.messages += [each for each in self.child.receive() or [] if each["is"] != "beat"]


@contextlib.contextmanager
def group(count: int, patience: Patience = PATIENCE) -> Iterator[list[Process]]:
    """Processes that have met."""
    port = free_port()
    with contextlib.ExitStack() as stack:
        made = [
            stack.enter_context(Process(index, count, port, patience)) for index in range(count)
        ]
        rounds(made, lambda: all(each.messages for each in made))
        assert all(each.messages.pop() == {"is": "met", "what": ""} for each in made)
        yield made


def rounds(processes: list[Process], until: Callable[[], bool], later: float = 0.0) -> None:
    """Rounds of all, until something holds."""
    deadline = time.monotonic() + 20
    while not until():
        assert time.monotonic() < deadline
        for each in processes:
            each.step(later)


def leave(processes: list[Process]) -> list[tuple[int, str]]:
    """The status and the line of each, once process 0 has decided."""
    first, *others = processes
    rounds(processes, lambda: first.part.over is not None)
    first.part.close()
    rounds(others, lambda: all(each.part.over is not None for each in others))
    overs = [each.part.over for each in processes]
    return [(over.status, over.line) for over in overs if over is not None]


def test_what_process_0_decides_and_what_each_gathers_comes_to_all() -> None:
    with group(3) as processes:
        first, *others = processes
        first.part.heard({"is": "decided", "what": "steps", "value": 16})
        for number, each in enumerate(processes):
            each.part.heard({"is": "gather", "what": "data", "value": number * 10})
        rounds(processes, lambda: all(each.messages[-1:] for each in processes))
        rounds(processes, lambda: all(each.messages[-1]["is"] == "gathered" for each in processes))
        gathered = {"is": "gathered", "what": "data", "values": [0, 10, 20]}
        assert first.messages == [gathered]
        for each in others:
            assert each.messages == [{"is": "decided", "what": "steps", "value": 16}, gathered]


def test_a_signal_to_any_of_them_comes_to_each_once() -> None:
    with group(3) as processes:
        for each in processes:  # as a terminal's Ctrl-C does
            each.part.signalled(signal.SIGINT)
        rounds(processes, lambda: all(each.signals for each in processes))
        for _ in range(5):
            rounds(processes, lambda: True)
        assert [each.signals for each in processes] == [[signal.SIGINT]] * 3


def test_all_is_well_when_each_has_done_its_work() -> None:
    with group(3) as processes:
        for each in processes[:2]:
            each.part.ended(End(-1, 0))
            rounds(processes, lambda: True)
        assert processes[0].part.over is None
        processes[2].part.ended(End(-1, 0))
        assert leave(processes) == [(0, "")] * 3


def test_a_kill_ends_all_at_once_and_is_said_once_on_a_machine() -> None:
    with group(3) as processes:
        processes[1].part.ended(End(-1, 1, "ValueError: Gloo: connection closed by peer"))
        processes[2].part.ended(End(-1, -signal.SIGKILL))
        found = leave(processes)
        assert [status for status, _ in found] == [1, 1, 1]
        assert "process 2 of 3" in found[0][1] and "was ended by SIGKILL" in found[0][1]
        assert [line for _, line in found[1:]] == ["", ""]


def test_an_error_that_process_0_says_too_is_not_said_again() -> None:
    error = End(-1, 2, "error: config.data.path is 'x'; no such file")
    with group(2) as processes:
        processes[1].part.ended(error)
        rounds(processes, lambda: True)
        assert processes[0].part.over is None  # it may be about to say so itself
        processes[0].part.ended(error)
        assert leave(processes) == [(2, ""), (2, "")]


def test_an_error_of_one_process_alone_is_said_with_its_name() -> None:
    with group(2) as processes:
        processes[1].part.ended(End(-1, 2, "error: no such file"))
        rounds(processes, lambda: processes[0].part.over is not None, later=SETTLE_SECONDS + 1)
        over = processes[0].part.over
        assert over is not None and over.status == 2
        assert over.line == f"error: no such file (process 1 of 2 on {socket.gethostname()})"


def test_a_guard_that_is_gone_ends_the_others() -> None:
    with group(3) as processes:
        processes[2].part.close()
        found = leave(processes[:2])
        assert "process 2 of 3" in found[0][1] and "is gone" in found[0][1]
    with group(3) as processes:
        first, second, third = processes
        for wire in first.part._peers.values():
            wire.close()
        rounds([second, third], lambda: None not in (second.part.over, third.part.over))
        lines = [each.part.over.line for each in (second, third)]
        assert "process 0 of 3" in lines[0] and lines[1] == ""  # one line on a machine


@pytest.mark.parametrize("silent", [0, 1])
def test_silence_is_taken_for_a_hang_in_time(silent: int) -> None:
    with group(2, Patience(silence=1.0, start=20.0)) as processes:
        heard = processes[1 - silent]
        begin = time.monotonic()
        rounds([heard], lambda: heard.part.over is not None)
        assert 0.5 < time.monotonic() - begin < 5
        over = heard.part.over
        assert over is not None and over.status == 1
        assert f"process {silent} of 2" in over.line
        assert "has not been heard of for 1 s (config.processes.silence_seconds)" in over.line


def test_while_the_one_who_watches_is_stopped_nobody_is_silent() -> None:
    seconds = iter([0.0, 0.5, 1000.0, 1000.25])
    clock = WakingClock(lambda: next(seconds), longest=1.0)
    assert [clock.now() for _ in range(3)] == [0.5, 1.5, 1.75]


def test_who_does_not_come_is_named() -> None:
    for index, missing in ((0, 1), (1, 0)):
        with Process(index, 3, free_port()) as process:
            process.step(later=21)
            over = process.part.over
            assert over is not None and over.status == 1
            assert f"process {missing} of 3" in over.line
            assert "has not come within 20 s (config.processes.start_seconds)" in over.line


def test_who_is_one_too_many_is_refused_and_a_stranger_too() -> None:
    with group(2) as processes:
        port = processes[0].part._place.port
        for index, count, why in ((1, 2, "was started twice"), (2, 3, "--processes is 3")):
            with Process(index, count, port) as other:
                rounds([processes[0], other], lambda other=other: other.part.over is not None)
                assert other.part.over.status == 2 and why in other.part.over.line
        with socket.create_connection(("127.0.0.1", port - 1)) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
            stranger.setblocking(False)
            read = None
            while read is None:
                processes[0].step()
                with contextlib.suppress(BlockingIOError):
                    read = stranger.recv(1)
            assert read == b""
        assert processes[0].part.over is None


def test_what_comes_together_with_a_greeting_is_heard() -> None:
    """Else nobody hears that process 1 has ended, and process 0 waits for ever."""
    port = free_port()
    with (
        Process(0, 2, port) as first,
        socket.create_connection(("127.0.0.1", port - 1)) as second,
    ):
        hello = {"is": "hello", "index": 1, "count": 2, "host": "there"}
        ended = {"is": "ended", "status": 2, "said": "error: no such file"}
        second.sendall("".join(json.dumps(each) + "\n" for each in (hello, ended)).encode())
        rounds([first], lambda: first.part._hosts.get(1) == "there")
        rounds([first], lambda: first.part.over is not None, later=SETTLE_SECONDS + 1)
        over = first.part.over
        assert over is not None
        assert (over.status, over.line) == (2, "error: no such file (process 1 of 2 on there)")


def test_a_port_that_is_taken_is_said() -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port - 1)), Process(0, 2, port) as process:
        over = process.part.over
        assert over is not None and over.status == 2
        assert over.line.startswith(
            f"error: 127.0.0.1:{port - 1}: Address already in use; expected"
        )
