"""Starts runs by forking a process that has imported everything: milliseconds instead of seconds.

The server reads requests from its standard input, a line of JSON each, and answers each in a line:
`python -m tests.faults.nursery`. It must not have used JAX, whose threads a fork would lose.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.faults import child

ROOT = Path(__file__).parents[2]


class Forked:
    """A run of the nursery; as much of `subprocess.Popen` as is used."""

    def __init__(self, nursery: "Nursery", pid: int, stderr: Path) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._nursery = nursery
        self._stderr = stderr

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._nursery.ask({"status_of": self.pid})
        return self.returncode

    def send_signal(self, signum: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, signum)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[None, str]:
        """Waits for the end; returns what was written to standard error.

        Raises:
          subprocess.TimeoutExpired: it didn't end in so many seconds.
        """
        begin = time.monotonic()
        while self.poll() is None:
            if timeout is not None and time.monotonic() - begin > timeout:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.005)
        return None, self._stderr.read_text(encoding="utf-8")


class Nursery:
    """The server and the way to it; safe to use from threads.

    Args:
      folder: for what the runs write to standard error.
      environment: the server's; JAX reads its settings from there.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._started = 0
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.nursery"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(
        self, arguments: Sequence[str], fault: dict[str, Any], environment: Mapping[str, str]
    ) -> Forked:
        """Starts `jaxrec.main` with these arguments and with a fault, {} for none."""
        with self._lock:
            self._started += 1
            stderr = self._folder / f"stderr-{self._started}"
        pid = self.ask(
            {
                "arguments": list(arguments),
                "fault": fault,
                "environment": dict(environment),
                "stderr": str(stderr),
            }
        )
        return Forked(self, pid, stderr)

    def ask(self, request: dict[str, Any]) -> Any:
        """The server's answer."""
        assert self._server.stdin is not None and self._server.stdout is not None
        with self._lock:
            print(json.dumps(request), file=self._server.stdin, flush=True)
            return json.loads(self._server.stdout.readline())

    def close(self) -> None:
        self._server.communicate()


def serve() -> int:
    """Forks a run or tells how one has ended, for each line of standard input."""
    importlib.import_module("jaxrec.main")
    importlib.import_module("jaxrec.commands")
    for line in sys.stdin:
        request = json.loads(line)
        if "status_of" in request:
            pid, status = os.waitpid(request["status_of"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # JAX warns of forks; it has not been used yet
                answer = os.fork()
            if answer == 0:
                return _become(request)
        print(json.dumps(answer), flush=True)
    return 0


def _become(request: dict[str, Any]) -> int:
    """Does in a fresh fork what `python -m tests.faults.child` does."""
    nothing = os.open(os.devnull, os.O_RDWR)
    stderr = os.open(request["stderr"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for old, new in enumerate((nothing, nothing, stderr)):
        os.dup2(new, old)
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = ["jaxrec.main", json.dumps(request["fault"]), *request["arguments"]]
    return child.main()


if __name__ == "__main__":
    sys.exit(serve())
