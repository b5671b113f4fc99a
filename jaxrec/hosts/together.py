"""How the processes of a run agree on what one of them alone can know.

Times, signals and the state of a folder differ between processes, and what follows from them must
not: each process has to compute the same steps, or all wait for ever. Where there is one process,
everything here is free and says what that process says.
"""

import os
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from jaxrec.hosts.place import Place
from jaxrec.hosts.wire import Message, Wire

T = TypeVar("T")


class _Group:
    """This process among all, and the link to its guard."""

    def __init__(self, wire: Wire, place: Place) -> None:
        self.wire, self.place = wire, place
        self.inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()


_group: _Group | None = None


def index() -> int:
    """This process's number, from 0."""
    return 0 if _group is None else _group.place.index


def count() -> int:
    """How many processes there are."""
    return 1 if _group is None else _group.place.count


def is_first() -> bool:
    """Whether this is process 0, which talks to people and writes the run's folder.

    Of a checkpoint each process writes its parts.
    """
    return index() == 0


def decided(what: str, value: Any) -> Any:
    """Process 0's value, in every process.

    Args:
      what: names the decision; the same in every process, or the program is wrong.
      value: of plain JSON; of other processes than 0 it is not looked at.
    """
    if _group is None:
        return value
    if is_first():
        _group.wire.send("decided", what=what, value=value)
        return value
    return _next("decided", what)["value"]


def by_first(what: str, work: Callable[[], T]) -> T | None:
    """Does something in process 0 alone; every process goes on when it is done.

    Where it fails, process 0 ends with the error, and its guard ends the others.

    Args:
      what: names it; the same in every process, or the program is wrong.
      work: what to do.

    Returns:
      What the work gives, in process 0; None in the others.
    """
    result = work() if is_first() else None
    decided(what, None)
    return result


def gathered(what: str, value: Any) -> list[Any]:
    """The values of all processes, by their numbers.

    Args:
      what: names the question; the same in every process, or the program is wrong.
      value: of plain JSON.
    """
    if _group is None:
        return [value]
    _group.wire.send("gather", what=what, value=value)
    values: list[Any] = _next("gathered", what)["values"]
    return values


def _next(kind: str, what: str) -> Message:
    """The next message from the others; waits as long as it takes, since the guard ends us."""
    assert _group is not None
    message = _group.inbox.get()
    if (message["is"], message["what"]) != (kind, what):
        raise RuntimeError(
            f"process {index()} waits for {what!r} ({kind}), the others are at "
            f"{message['what']!r} ({message['is']})"
        )
    return message


def meet(wire: Wire, place: Place) -> None:
    """Waits until the guards of all processes have found each other.

    Args:
      wire: the link to the guard.
      place: which process this is.
    """
    global _group
    _group = _Group(wire, place)
    wire.send("place", index=place.index, count=place.count, host=place.host, port=place.port)
    _next("met", "")


def attend(wire: Wire) -> None:
    """Starts the thread that beats, takes what comes in, and ends the process with its guard.

    A thread can do so even when the main thread waits for ever in a collective of XLA
    (https://github.com/jax-ml/jax/issues/38503).
    """

    def read() -> None:
        while (messages := wire.receive()) is not None:  # which waits until the next beat is due
            wire.send("beat")
            for message in messages:
                assert _group is not None
                _group.inbox.put(message)
        os._exit(1)

    threading.Thread(target=read, name="guard", daemon=True).start()
