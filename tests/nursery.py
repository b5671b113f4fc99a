"""Starts runs by forking a process that has imported everything: milliseconds instead of seconds.

The server reads requests from its standard input, a line of JSON each, and answers each in a line:
`python -m tests.nursery`. It must not have used JAX, whose threads a fork would lose.
"""

import atexit
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

from tests import child

ROOT = Path(__file__).parents[1]


class Forked:
    """A run of the nursery; as much of `subprocess.Popen` as is used."""

    def __init__(self, nursery: "Nursery", pid: int, outputs: tuple[Path, Path]) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._nursery = nursery
        self._outputs = outputs

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._nursery.ask({"status_of": self.pid})
        return self.returncode

    def send_signal(self, signum: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, signum)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Waits for the end; returns what was written to standard output and standard error.

        Raises:
          subprocess.TimeoutExpired: it didn't end in so many seconds.
        """
        begin = time.monotonic()
        while self.poll() is None:
            if timeout is not None and time.monotonic() - begin > timeout:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.005)
        stdout, stderr = (path.read_text(encoding="utf-8") for path in self._outputs)
        return stdout, stderr


class Nursery:
    """The server and the way to it; safe to use from threads.

    Args:
      folder: for what the runs write to standard output and standard error, and for caches.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._started = 0
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.nursery"],
            cwd=ROOT,
            env=self.environment(),  # JAX reads its settings from there
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def environment(self, **changes: str) -> dict[str, str]:
        """That of a run: on the CPU, with compiled programs shared by all runs, small ones too."""
        return (
            {
                "JAX_COMPILATION_CACHE_DIR": str(self.folder / "cache" / "compiled"),
                "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
                "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            }
            | os.environ
            | {
                "PYTHONPATH": str(ROOT),
                "JAX_PLATFORMS": "cpu",
                "XDG_CACHE_HOME": str(self.folder / "cache"),
                "MPLCONFIGDIR": str(self.folder / "cache" / "matplotlib"),
            }
            | changes
        )

    def start(
        self,
        arguments: Sequence[str],
        fault: dict[str, Any],
        environment: Mapping[str, str],
        cwd: Path = ROOT,
        *,
        hasty: bool = False,
    ) -> Forked:
        """Starts `jaxrec.main` with these arguments and with a fault, {} for none.

        Half a second is what Python takes to tear all its modules down. A hasty run is spared
        that, so what would be said then is not seen.
        """
        with self._lock:
            self._started += 1
            number = self._started
        outputs = self.folder / f"stdout-{number}", self.folder / f"stderr-{number}"
        pid = self.ask(
            {
                "arguments": list(arguments),
                "fault": fault,
                "environment": dict(environment),
                "outputs": list(map(str, outputs)),
                "cwd": str(cwd),
                "hasty": hasty,
            }
        )
        return Forked(self, pid, outputs)

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
    # The last is what a run loads at its end, with all of Matplotlib.
    for module in ("jaxrec.main", "jaxrec.commands", "jaxrec.report.curves"):
        importlib.import_module(module)
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
    """Does in a fresh fork what `python -m tests.child` does."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    outputs = [os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) for path in request["outputs"]]
    for old, new in enumerate((nothing, *outputs)):
        os.dup2(new, old)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = ["jaxrec.main", json.dumps(request["fault"]), *request["arguments"]]
    status = child.main()
    if request["hasty"]:
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status


if __name__ == "__main__":
    sys.exit(serve())
