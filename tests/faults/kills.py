"""Runs killed at random moments and at named points, started again, and compared."""

import concurrent.futures
import dataclasses
import random
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.child import POINTS
from tests.faults.runs import KINDS, Ended, Kind, Outcome, Runs, outcome, wait

RANDOM = "a random moment"
# How often a run of `runs.FLAGS` comes to a point; at the others, as often as it saves.
SAVES, EPOCHS, PRUNINGS = 12, 6, 8
VISITS = {
    "before pruning": PRUNINGS,
    "pruning: renamed": PRUNINGS,
    "pruning: half removed": PRUNINGS,
    "after pruning": PRUNINGS,
    "metrics row written, not saved": EPOCHS,
    "metrics row half written": EPOCHS,
    "measuring": EPOCHS,
    "fitted, not yet measured": 1,
    "final evaluation": 1,
    "results.json written": 1,
    "results.json half written": 1,
    "interactions not yet written": 1,
    "config.json half written": 1,
}
# A blend's other members are saved once each, and come to these once more each.
IN_EACH_FIT = {point for point in POINTS if VISITS.get(point, SAVES) in (SAVES, EPOCHS)}
IN_EACH_FIT |= {"fitted, not yet measured"}
EXTRA_VISITS = {"network": 0, "blend": 2, "auto": 0, "tune": 0, "final": 0}
# A search is killed where it writes down what it knows, beside at random.
SEARCH_POINTS = {"auto": ("an answer half written",), "tune": (), "final": ()}
ANSWERS = 8


@dataclasses.dataclass(frozen=True)
class Kill:
    """A SIGKILL.

    Attributes:
      point: where, a name of `POINTS`, or `RANDOM`.
      visit: at which arrival at the point, or at the last one where there are fewer.
      moment: for `RANDOM`, when: 0 as the run takes its folder, 1 as it ends.
    """

    point: str
    visit: int = 1
    moment: float = 0.0


@dataclasses.dataclass(frozen=True)
class Trial:
    """A run that is killed, started again, and perhaps killed again, until it may end.

    Attributes:
      number: which one of its kind.
      kills: what befalls it.
      kind: what it is a run of, a name of `KINDS`.
    """

    number: int
    kills: tuple[Kill, ...]
    kind: str = "network"


@dataclasses.dataclass(frozen=True)
class Reference:
    """A run that nobody kills.

    Attributes:
      outcome: what it comes to.
      seconds: from taking its folder to its end.
    """

    outcome: Outcome
    seconds: float


@dataclasses.dataclass(frozen=True)
class Result:
    """What came of a trial: what went wrong, if anything."""

    trial: Trial
    wrong: str | None


def plan(kind: str, random_kills: int, named_kills: int, seed: int) -> list[Trial]:
    """Trials at random moments and at the named points in turn, decided by the seed.

    A run is killed once, but to be killed while it resumes it has to be killed before, too.
    """
    rng = random.Random(seed)
    kills = [(Kill(RANDOM, moment=rng.random()),) for _ in range(random_kills)]
    if kind in SEARCH_POINTS:
        for point in SEARCH_POINTS[kind]:
            kills += [(Kill(point, rng.randint(1, ANSWERS)),) for _ in range(named_kills // 8)]
        named_kills = 0
    for n in range(named_kills):
        point = POINTS[n % len(POINTS)]
        visits = VISITS.get(point, SAVES) + EXTRA_VISITS[kind] * (point in IN_EACH_FIT)
        if point.startswith("resuming"):
            kills.append((Kill("after the commit", rng.randint(1, SAVES)), Kill(point)))
        else:
            kills.append((Kill(point, rng.randint(1, visits)),))
    return [Trial(number, each, kind) for number, each in enumerate(kills)]


def run_trials(
    runs: Runs,
    trials: Sequence[Trial],
    references: Mapping[str, Reference],
    *,
    workers: int,
    say: Callable[[Result], None] = lambda result: None,
) -> list[Result]:
    """Carries trials out, some at a time.

    Args:
      runs: where.
      trials: what.
      references: by kind of run.
      workers: how many trials run at a time.
      say: told of each result.
    """

    def carry_out(trial: Trial) -> Result:
        try:
            wrong = _find_wrong(runs, trial, references[trial.kind])
        except Exception as error:
            wrong = f"{type(error).__name__}: {error}"
        result = Result(trial, wrong)
        say(result)
        return result

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        return list(pool.map(carry_out, trials))


def _find_wrong(runs: Runs, trial: Trial, reference: Reference) -> str | None:
    workdir = runs.folder / f"trial-{trial.kind}-{trial.number}"
    for kill in trial.kills:
        ended = _kill(runs, workdir, kill, reference.seconds, KINDS[trial.kind])
        if ended.status != -signal.SIGKILL:
            return f"not killed at {kill}: {ended}"
    ended = _run(runs, workdir, KINDS[trial.kind])
    if ended.status != 0 or ended.stderr:
        return f"did not go on: {ended}"
    found = outcome(workdir, trial.kind)
    if found != reference.outcome:
        return f"came to another end: {found}"
    shutil.rmtree(workdir)
    return None


def _run(runs: Runs, workdir: Path, kind: Kind, fault: dict[str, Any] | None = None) -> Ended:
    return runs.run(workdir, fault, command=kind.command, **kind.flags)


def _kill(runs: Runs, workdir: Path, kill: Kill, seconds: float, kind: Kind) -> Ended:
    """Kills a run; where it ends before, again from where it began, at an earlier moment or visit.

    How often a run saves within an epoch depends on how long its dispatches take.
    """
    before = workdir.with_name(f"{workdir.name}-before")
    if workdir.exists():
        shutil.copytree(workdir, before)
    delay, visit = kill.moment * seconds, kill.visit
    while True:
        if kill.point == RANDOM:
            ended = _kill_at(runs, workdir, delay, kind)
        else:
            ended = _run(runs, workdir, kind, {"point": kill.point, "visit": visit})
        delay, visit = delay * 0.8, visit - 1
        if ended.status != 0 or (visit == 0 and kill.point != RANDOM):
            break
        shutil.rmtree(workdir)
        if before.exists():
            shutil.copytree(before, workdir)
    shutil.rmtree(before, ignore_errors=True)
    return ended


def _kill_at(runs: Runs, workdir: Path, seconds: float, kind: Kind) -> Ended:
    """Kills a run so long after it has taken its folder, unless it ends before."""
    begin = time.monotonic()
    process = runs.start(workdir, command=kind.command, **kind.flags)
    try:
        wait_for(workdir / kind.member / ".lock", process.poll)
        time.sleep(seconds)
    finally:
        process.kill()
    return wait(process, begin)


def wait_for(path: Path, ended: Callable[[], int | None]) -> None:
    """Waits for a path to appear, or for a process to end."""
    while not path.exists() and ended() is None:
        time.sleep(0.005)


def reference_run(runs: Runs, kind: str) -> Reference:
    """Runs twice without a kill.

    The first run is as users run it, and compiles; the second one tells the time, and that a fork
    comes to the same.
    """
    of = KINDS[kind]
    name = "reference" if kind == "network" else f"reference-{kind}"
    workdirs = [runs.folder / name, runs.folder / f"{name}-again"]
    ended = [runs.run_as_users_do(workdirs[0], of.command, **of.flags)]
    begin = time.monotonic()
    process = runs.start(workdirs[1], command=of.command, **of.flags)
    wait_for(workdirs[1] / of.member / ".lock", process.poll)
    taken = time.monotonic()
    ended.append(wait(process, begin))
    seconds = time.monotonic() - taken
    assert [(each.status, each.stderr) for each in ended] == [(0, "")] * 2, ended
    outcomes = [outcome(workdir, kind) for workdir in workdirs]
    assert outcomes[0] == outcomes[1]
    return Reference(outcomes[0], seconds)
