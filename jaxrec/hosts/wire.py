"""Lines of JSON over a socket, between a process and its guard and between guards."""

import contextlib
import json
import socket
import threading
from typing import Any

LONGEST_LINE = 2**26  # bytes; nobody we know sends more

Message = dict[str, Any]


class Wire:
    """One end of a link; safe to send from several threads.

    Args:
      end: a connected stream socket, which the wire then owns.
      wait_seconds: how long sending and receiving may wait. Messages are small, so who doesn't
        take one in that time takes none.
    """

    def __init__(self, end: socket.socket, wait_seconds: float = 2.0) -> None:
        self._end = end
        self._end.settimeout(wait_seconds)
        self._partial = bytearray()
        self._sending = threading.Lock()

    def fileno(self) -> int:
        """For a selector."""
        return self._end.fileno()

    def send(self, kind: str, **values: Any) -> bool:
        """Sends a message of a kind, and returns whether the other side took it."""
        line = json.dumps({"is": kind} | values) + "\n"
        try:
            with self._sending:
                self._end.sendall(line.encode())
        except OSError:  # the other side has gone or hangs, which the reader will see
            return False
        return True

    def receive(self) -> list[Message] | None:
        """The messages that have come, perhaps none; waits a little where nothing has.

        Returns:
          None where the other side has closed the link, or sends what is no message.
        """
        try:
            read = self._end.recv(2**16)
        except TimeoutError:
            return []
        except OSError:
            return None
        *lines, rest = (self._partial + read).split(b"\n")
        self._partial = bytearray(rest)
        if not read or len(rest) > LONGEST_LINE:
            return None
        try:
            messages = [json.loads(line) for line in lines]
        except ValueError:
            return None
        known = all(isinstance(each, dict) and isinstance(each.get("is"), str) for each in messages)
        return messages if known else None

    def close(self) -> None:
        """Closes this end; the other side then reads None."""
        with contextlib.suppress(OSError):
            self._end.close()
