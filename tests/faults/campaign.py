"""All faults, many times over: `python -m tests.faults.campaign`.

Kills runs at random moments and at named points, starts them on disks of many sizes, runs the
tests in `tests/faults`, and writes what came of it to `docs/reliability.md`. Takes the better part
of an hour. Exit status 1 if a fault was not survived.
"""

import argparse
import collections
import contextlib
import itertools
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.etree import ElementTree

import jax

from tests.child import POINTS
from tests.faults.disks import NoMount, check_full_disk
from tests.faults.kills import RANDOM, Result, plan, reference_run, run_trials
from tests.faults.runs import KINDS, Outcome, Runs
from tests.nursery import ROOT, Nursery

REPORT = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- campaign: begin -->", "<!-- campaign: end -->"
FREE_KILOBYTES = range(4, 440, 24)
RUNS_OF = {
    "network": "A run of the network",
    "blend": "A run of a blend (network, ItemKNN and GF-CF)",
    "auto": "A search by `auto`, with its fits and its model for use",
    "tune": "A search by `tune`",
    "final": "`evaluate --final` with three seeds",
}

# Promise, what proves it, faults injected, faults survived.
Row = tuple[str, str, int | str, int | str]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the campaign and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    of_each = "of each kind of run"
    parser.add_argument(
        "--random", type=int, default=50, help=f"kills at random moments, {of_each}"
    )
    parser.add_argument(
        "--named", type=int, default=2 * len(POINTS), help=f"kills at named points, {of_each}"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2, help="runs at a time")
    options = parser.parse_args(arguments)
    begin = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(Nursery(Path(folder) / "nursery")) as nursery,
    ):
        runs = Runs(Path(folder), nursery)
        references = {kind: reference_run(runs, kind) for kind in KINDS}
        trials = [
            trial
            for kind in KINDS
            for trial in plan(kind, options.random, options.named, options.seed)
        ]
        results = run_trials(runs, trials, references, workers=options.workers, say=_say_result)
        disk = _disk_row(runs, references["network"].outcome)
        rows = [*_kill_rows(results), disk, *_test_rows(Path(folder))]
    minutes = (time.monotonic() - begin) / 60
    _write(rows, _point_lines(results), minutes, options.seed)
    return int(any(injected != survived for _, _, injected, survived in rows))


def _say_result(result: Result) -> None:
    where = ", then ".join(kill.point for kill in result.trial.kills)
    print(
        f"{result.trial.kind} {result.trial.number}: {where}: {result.wrong or 'the same end'}",
        flush=True,
    )


def _kill_rows(results: Sequence[Result]) -> list[Row]:
    rows: list[Row] = []
    moments = (("at a random moment", True), ("at a named point", False))
    for kind, (name, is_random) in itertools.product(KINDS, moments):
        chosen = [
            each
            for each in results
            if each.trial.kind == kind and (each.trial.kills[0].point == RANDOM) == is_random
        ]
        if not chosen:
            continue
        rows.append(
            (
                f"{RUNS_OF[kind]}, killed {name} (SIGKILL) and started again, comes to the same "
                "parameters, optimizer state, metrics and results, bit for bit",
                "`tests/faults/campaign.py`",
                len(chosen),
                sum(each.wrong is None for each in chosen),
            )
        )
    return rows


def _point_lines(results: Sequence[Result]) -> list[str]:
    counts: dict[str, list[bool]] = collections.defaultdict(list)
    for result in results:
        counts[result.trial.kills[-1].point].append(result.wrong is None)
    return [f"| {point} | {len(each)} | {sum(each)} |" for point, each in counts.items()]


def _disk_row(runs: Runs, reference: Outcome) -> Row:
    promise = (
        "With no space left the run ends with one line, earlier checkpoints are whole, and with "
        "space it goes on to the same end"
    )
    injected = survived = 0
    for blind in (False, True):
        for kilobytes in FREE_KILOBYTES:
            disk = runs.folder / f"disk-{kilobytes}-{blind}"
            try:
                if check_full_disk(runs, reference, disk, kilobytes, blind=blind):
                    injected, survived = injected + 1, survived + 1
                    print(f"{kilobytes} KiB free, blind {blind}: survived", flush=True)
            except NoMount as reason:
                return promise, "`tests/faults/campaign.py`", f"skipped: {reason}", "-"
            except AssertionError as error:
                injected += 1
                print(f"{kilobytes} KiB free, blind {blind}: {error}", flush=True)
    return promise, "`tests/faults/campaign.py`", injected, survived


def _test_rows(folder: Path) -> list[Row]:
    """A row per test function; a test says by its property `faults` how many it injects."""
    report = folder / "report.xml"
    command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
    command += ["-o", "junit_family=xunit1"]  # the one that knows properties
    subprocess.run([sys.executable, *command, "tests/faults"], cwd=ROOT, check=False)
    faults: dict[tuple[str, str], int] = collections.Counter()
    survived: dict[tuple[str, str], int] = collections.Counter()
    for case in ElementTree.parse(report).iter("testcase"):
        name = re.sub(r"\[.*", "", case.attrib["name"])
        path = case.attrib["classname"].replace(".", "/") + ".py"
        found = case.find("properties/property[@name='faults']")
        count = 1 if found is None else int(found.attrib["value"])
        faults[path, name] += count
        if not list(case.iterfind("*[@message]")):  # a failure, an error or a skip
            survived[path, name] += count
    return [
        (
            name.removeprefix("test_").replace("_", " ").capitalize(),
            f"`{path}::{name}`",
            count,
            survived[path, name],
        )
        for (path, name), count in faults.items()
    ]


def _write(rows: Iterable[Row], points: Sequence[str], minutes: float, seed: int) -> None:
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    lines = [
        BEGIN,
        f"Run at {commit}, seed {seed}, in {minutes:.0f} minutes on {jax.default_backend()}, "
        f"Python {platform.python_version()}, jax {jax.__version__}.",
        "",
        "| Promise | Proved by | Faults injected | Survived |",
        "|---|---|---:|---:|",
        *(f"| {' | '.join(map(str, row))} |" for row in rows),
        "",
        "Kills by point:",
        "",
        "| Killed at | Kills | Survived |",
        "|---|---:|---:|",
        *points,
        END,
    ]
    text = REPORT.read_text(encoding="utf-8")
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    REPORT.write_text(before + "\n".join(lines) + after, encoding="utf-8")
    print(f"wrote {REPORT}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
