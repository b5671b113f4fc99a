"""Messages arrive as they were sent, however they are cut on the way; others end the link."""

import socket
from collections.abc import Iterator

import pytest

from jaxrec.hosts import wire as wires
from jaxrec.hosts.wire import Wire


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, Wire]]:
    first, second = socket.socketpair()
    with first, second:
        yield first, Wire(second, 0.05)


def test_messages_arrive_whole_and_in_order(ends: tuple[socket.socket, Wire]) -> None:
    raw, wire = ends
    other = Wire(raw)
    values = [{"a": 1.1e-300}, [None, True, "ä\n"], "x" * 100_000]
    assert other.send("beat")
    received = []
    for value in values:
        assert other.send("decided", what="w", value=value)
        while not received or received[-1].get("value") != value:
            received += wire.receive() or []
    assert received == [
        {"is": "beat"},
        *({"is": "decided", "what": "w", "value": v} for v in values),
    ]
    assert wire.receive() == []  # nothing has come


def test_a_message_in_two_pieces_is_one(ends: tuple[socket.socket, Wire]) -> None:
    raw, wire = ends
    raw.sendall(b'{"is": "be')
    assert wire.receive() == []
    raw.sendall(b'at"}\n{"is"')
    assert wire.receive() == [{"is": "beat"}]


@pytest.mark.parametrize(
    "bad", [b"GET / HTTP/1.1\r\n\r\n", b"\xff\n", b"[1]\n", b'{"is": 1}\n', b"{}\n"]
)
def test_what_is_no_message_ends_the_link(ends: tuple[socket.socket, Wire], bad: bytes) -> None:
    raw, wire = ends
    raw.sendall(bad)
    assert wire.receive() is None


def test_a_line_without_end_ends_the_link(
    ends: tuple[socket.socket, Wire], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wires, "LONGEST_LINE", 1000)
    raw, wire = ends
    raw.sendall(b"x" * 1001)
    assert wire.receive() is None


def test_who_has_gone_takes_nothing(ends: tuple[socket.socket, Wire]) -> None:
    raw, wire = ends
    raw.close()
    assert wire.receive() is None
    assert not wire.send("beat")
