"""Prepares generated listens of any number, killed on the way or not, and starts from them.

    ./benchmarks/run.sh prepare --rows=25000000 --kills=10

Each measurement is a process of its own; of each the wall time, the processor's seconds (which say
more on a machine that others use, too) and the most memory are told.
"""

import argparse
import dataclasses
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.make_listens import write_listens
from benchmarks.tables import markdown_table

CONFIG = """from ml_collections import ConfigDict


def get_config():
    data = {"source": "listens", "columns": {"timestamp": "timestamp"}}
    return ConfigDict({"quiet": True, "data": data})
"""
SHORTEST = 2.0  # seconds from a start to a kill


@dataclasses.dataclass
class Cost:
    """What processes took, one after another.

    Attributes:
      wall: seconds.
      processor: seconds, of all threads.
      peak_gb: the most resident memory of any, 10^9 bytes.
    """

    wall: float = 0.0
    processor: float = 0.0
    peak_gb: float = 0.0


def run(command: Sequence[str], cost: Cost, kill_after: float | None = None) -> bool:
    """Runs a command, and adds what it took; whether it came to its end.

    Args:
      command: its words.
      cost: added to.
      kill_after: seconds after which it gets a SIGKILL; None for never.

    Raises:
      SystemExit: it failed.
    """
    began = time.perf_counter()
    process = subprocess.Popen(command)
    if kill_after is not None:
        try:
            process.wait(kill_after)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
    _, status, used = os.wait4(process.pid, 0) if process.returncode is None else (0, 0, None)
    if used is not None:
        cost.processor += used.ru_utime + used.ru_stime
        cost.peak_gb = max(cost.peak_gb, used.ru_maxrss * 1024 / 1e9)
    cost.wall += time.perf_counter() - began
    code = process.returncode if used is None else os.waitstatus_to_exitcode(status)
    if code not in (0, -signal.SIGKILL):
        raise SystemExit(f"{' '.join(command)} ended with {code}")
    return code == 0


def prepare(given: argparse.Namespace, output: Path, kills: int, usual_seconds: float) -> Cost:
    """Prepares into a folder, killed so many times at moments drawn by the seed."""
    command = [sys.executable, "-P", "-m", "jaxrec.main", "prepare"]
    command += [
        f"--config={given.out / 'config.py'}",
        f"--config.data.path={listens_of(given)}",
    ]
    command += [f"--config.prepare.memory_mb={given.memory_mb}", f"--output={output}"]
    cost, draw = Cost(), random.Random(given.seed)
    for _ in range(kills):
        longest = max(SHORTEST, 2 * usual_seconds / (kills + 1))
        if run(command, cost, SHORTEST + draw.random() * longest):
            raise SystemExit("it came to its end before it was killed so often; expected more rows")
    run(command, cost)
    return cost


def listens_of(given: argparse.Namespace) -> Path:
    """The folder of generated listens, kept for other calls that want as many."""
    out: Path = given.out
    return out / f"listens-{given.rows}-{given.users}-{given.items}"


def digest(output: Path) -> str:
    """The SHA-256 of a manifest, which has that of every file."""
    return hashlib.sha256((output / "manifest.json").read_bytes()).hexdigest()


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """All that is asked for; the results by name."""
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "config.py").write_text(CONFIG, encoding="utf-8")
    listens = listens_of(given)
    if not listens.exists():
        making = given.out / "listens.partial"
        shutil.rmtree(making, ignore_errors=True)
        write_listens(making, rows=given.rows, users=given.users, items=given.items)
        making.rename(listens)
    found: dict[str, Any] = {}
    whole = given.out / "prepared"
    shutil.rmtree(whole, ignore_errors=True)  # of an earlier call
    found["prepared"] = dataclasses.asdict(prepare(given, whole, 0, 0.0))
    found["digest"] = digest(whole)
    if given.kills:
        killed = given.out / "killed"
        shutil.rmtree(killed, ignore_errors=True)
        cost = prepare(given, killed, given.kills, found["prepared"]["wall"])
        found[f"prepared, killed {given.kills} times"] = dataclasses.asdict(cost)
        found["the same when killed"] = digest(killed) == found["digest"]
        shutil.rmtree(killed)
    if given.steps:
        command = [sys.executable, "-P", "-m", "benchmarks.from_prepared", str(whole)]
        command += [f"--steps={given.steps}", f"--dim={given.dim}", f"--layers={given.layers}"]
        command += [f"--batch={given.batch}", f"--lists={given.lists}"]
        command += [f"--result={given.out / 'used.json'}"]
        for name in ("used first", "used again"):
            cost = Cost()
            run(command, cost)
            told = json.loads((given.out / "used.json").read_text(encoding="utf-8"))
            found[name] = dataclasses.asdict(cost) | told
    return found


def report(given: argparse.Namespace, found: dict[str, Any]) -> str:
    """What was measured, as tables of Markdown."""
    costs = {name: value for name, value in found.items() if isinstance(value, dict)}
    rows = [
        [name, f"{cost['wall']:,.0f}", f"{cost['processor']:,.0f}", f"{cost['peak_gb']:.1f}"]
        for name, cost in costs.items()
    ]
    text = f"{given.rows:,} rows, memory_mb {given.memory_mb}\n\n"
    text += markdown_table(["", "seconds", "processor seconds", "peak memory, GB"], rows)
    for name, cost in costs.items():
        seconds = [[step, f"{took:,.1f}"] for step, took in cost.get("seconds", {}).items()]
        if seconds:
            text += f"\n{name}\n\n" + markdown_table(["step", "seconds"], seconds)
    if "the same when killed" in found:
        text += f"\nthe same SHA-256 when killed: {found['the same when killed']}\n"
    return text


def main() -> None:
    """Measures what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000, help="listens")
    parser.add_argument("--users", type=int, help="listeners at most; without it, rows / 40")
    parser.add_argument("--items", type=int, help="songs at most; without it, rows / 100")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/prepare"))
    parser.add_argument("--memory_mb", type=int, default=4096)
    parser.add_argument("--kills", type=int, default=1, help="of a second preparation")
    parser.add_argument("--steps", type=int, default=20, help="of training; 0 for none")
    parser.add_argument("--dim", type=int, default=16)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--batch", type=int, default=65_536, help="edges in a step")
    parser.add_argument("--lists", type=int, default=10_000, help="listeners to make lists for")
    parser.add_argument("--seed", type=int, default=0, help="of the kills' moments")
    given = parser.parse_args()
    given.users = given.users or max(given.rows // 40, 10)
    given.items = given.items or max(given.rows // 100, 10)
    found = measure(given)
    text = report(given, found)
    (given.out / "prepare.json").write_text(json.dumps(found, indent=2), encoding="utf-8")
    (given.out / "prepare.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
