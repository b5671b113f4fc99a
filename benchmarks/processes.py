"""Runs one measurement after another, each in a process of its own."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# A current OpenBLAS finds the fastest kernel by itself, which these may keep it from. They stay
# for RecBole, whose NumPy is of a time when some machines needed them.
OPENBLAS_VARIABLES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


class MeasurementError(Exception):
    """A measured process failed; the message is the last that it said."""


def run_worker(
    python: str,
    request: Mapping[str, Any],
    folder: Path,
    *,
    keep_openblas_variables: bool = False,
) -> dict[str, Any]:
    """Has `benchmarks.worker` do what the request says and returns its result.

    Args:
      python: the interpreter of the subject's environment.
      request: what to measure.
      folder: an existing folder for its files; also its current one.
      keep_openblas_variables: leaves the environment as it is.

    Raises:
      MeasurementError: the process failed.
    """
    request_path, result_path = folder / "request.json", folder / "result.json"
    request_path.write_text(json.dumps(request), encoding="utf-8")
    result_path.unlink(missing_ok=True)
    environment = {
        name: value
        for name, value in os.environ.items()
        if keep_openblas_variables or name not in OPENBLAS_VARIABLES
    }
    environment["PYTHONPATH"] = str(ROOT)
    process = subprocess.run(
        [python, "-W", "ignore", "-m", "benchmarks.worker", str(request_path), str(result_path)],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if process.returncode:
        lines = process.stdout.strip().splitlines() or [f"exit status {process.returncode}"]
        raise MeasurementError(lines[-1])
    return json.loads(result_path.read_text(encoding="utf-8"))


class Progress:
    """Lines that say what is being measured, what came out and how long it took."""

    def __init__(self, total: int) -> None:
        """Expects so many measurements."""
        self._total = total
        self._done = 0
        self._start = time.monotonic()

    def begin(self, label: str) -> None:
        """Names the next measurement."""
        self._done += 1
        self._begun = time.monotonic()
        print(f"[{self._done}/{self._total}] {label} ... ", end="", file=sys.stderr, flush=True)

    def end(self, outcome: str) -> None:
        """Says what came out."""
        now = time.monotonic()
        spent, sofar = now - self._begun, now - self._start
        print(f"{outcome}  ({spent:.0f} s, {sofar / 60:.1f} min so far)", file=sys.stderr)
