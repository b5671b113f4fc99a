"""Tiny real runs as processes of their own, to be broken and started again."""

import dataclasses
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxrec.runs.arrays import tree_digest
from jaxrec.runs.checkpoint import Checkpoints
from jaxrec.runs.fit import restore
from jaxrec.runs.methods import fitting_of, member_config, method_of
from jaxrec.runs.record import Run, load_run
from jaxrec.runs.run_folder import RunFolder
from tests.configurations import read_metrics
from tests.nursery import ROOT, Forked, Nursery

GROUPS, USERS_PER_GROUP, ITEMS_PER_GROUP = 4, 12, 10
TIMEOUT = 300.0

# Small, but with all that a state can hold: a schedule, popularity's negatives, a best score.
FLAGS = {
    "epochs": 6,
    "batch_size": 16,
    "lr_schedule": "cosine",
    "warmup_epochs": 0.5,
    "data.source": "listens",
    "data.columns.plays": "plays",
    "data.validation_fraction": 0.2,
    "model.dim": 4,
    "model.layers": 2,
    "loss.sampler": "popularity",
    "eval.ks": "(5,)",
    "eval.metric": "recall@5",
    "eval.patience": 5,
    "checkpoint.every": "5 steps",
    "mesh.loss": "repeated",  # several processes are to come to the bits of one
}

SEARCHED = {
    "data.split": "random",
    "data.validation_fraction": 0,
    "checkpoint.every": "1 epochs",
    "lr_schedule": "constant",
    "warmup_epochs": 0,
}


@dataclasses.dataclass(frozen=True)
class Kind:
    """What is run.

    Attributes:
      flags: beside `FLAGS`, by field.
      command: the command's words.
      member: the folder in which figures are, below the run's own.
    """

    flags: dict[str, object]
    command: tuple[str, ...] = ("train",)
    member: str = ""


# The network alone, models of three kinds, each fitted in a folder below, and searches.
KINDS: dict[str, Kind] = {
    "network": Kind({}),
    "blend": Kind(
        {
            "method": "blend",
            "blend.models": "('gcn', 'itemknn', 'gfcf')",
            "baseline.gfcf.singular_vectors": 4,
        }
    ),
    "auto": Kind(
        SEARCHED
        | {
            "method": "auto",
            "auto.effort": "quick",
            "auto.refit": True,
            "blend.models": "('gcn', 'itemknn', 'rp3beta')",
            "loss.name": "softmax",  # set, and so not searched: each would be compiled
            "loss.temperature": 0.3,
            "loss.popularity_alpha": 0.5,
            "loss.negative_weight": 0.9,
            "lr": 0.02,
        }
    ),
    "tune": Kind(
        SEARCHED
        | {
            "data.validation_fraction": 0.2,
            "tune.space": "('lr in 0.003 0.01 0.03', 'model.layers in 1 2')",
            "tune.trials": 4,
        },
        command=("tune",),
    ),
    "final": Kind(
        SEARCHED | {"eval.patience": 0},
        command=("evaluate", "--final", "--seeds=3"),
        member="final",
    ),
}


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a process ended; a signal's number is negative."""

    status: int
    stderr: str
    seconds: float


@dataclasses.dataclass(frozen=True)
class Outcome:
    """All of a finished run that doesn't depend on how long it took.

    Attributes:
      states_sha256: of the newest state of each fit: the run's own, or those of a blend's members.
      step: how far the first of them has come.
      metrics: the rows of all of them.
      results_sha256: of `results.json`, or of what a search has written in its place.
    """

    states_sha256: tuple[str, ...]
    step: int
    metrics: str
    results_sha256: str


class Runs:
    """Starts runs of one configuration, each in a folder of its own.

    Args:
      folder: for the listens and the runs.
      nursery: what starts them.
    """

    def __init__(self, folder: Path, nursery: Nursery) -> None:
        self.folder = folder
        self._nursery = nursery
        folder.mkdir(parents=True, exist_ok=True)
        self.listens = folder / "listens.csv"
        lines = ["user,item,plays"]
        for group in range(GROUPS):
            for user in range(USERS_PER_GROUP):
                for item in range(ITEMS_PER_GROUP):
                    if item != user % ITEMS_PER_GROUP:
                        lines.append(f"u{group}-{user},s{group}-{item},{1 + item}")
        self.listens.write_text("\n".join(lines) + "\n")

    def start(
        self,
        workdir: Path,
        fault: dict[str, Any] | None = None,
        *,
        variables: dict[str, str] | None = None,
        more: Sequence[str] = (),
        hasty: bool = False,
        command: Sequence[str] = ("train",),
        **flags: object,
    ) -> Forked:
        """Starts a run, with a fault if one is given; `more` are flags beside the config's."""
        environment = self._nursery.environment(**(variables or {}))
        arguments = [*self._arguments(workdir, command, flags), *more]
        return self._nursery.start(arguments, fault or {}, environment, hasty=hasty)

    def run_as_users_do(
        self, workdir: Path, command: Sequence[str] = ("train",), **flags: object
    ) -> Ended:
        """Runs the command itself, not a fork of what has imported it, and waits for its end."""
        begin = time.monotonic()
        ended = subprocess.run(
            [sys.executable, "-m", "jaxrec.main", *self._arguments(workdir, command, flags)],
            env=self._nursery.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        return Ended(ended.returncode, ended.stderr, time.monotonic() - begin)

    def _arguments(
        self, workdir: Path, command: Sequence[str], flags: dict[str, object]
    ) -> list[str]:
        given = FLAGS | {"data.path": self.listens} | flags
        return [
            *command,
            f"--config={ROOT / 'configs' / 'default.py'}",
            f"--workdir={workdir}",
            *(f"--config.{name}={value}" for name, value in given.items()),
        ]

    def run(
        self,
        workdir: Path,
        fault: dict[str, Any] | None = None,
        **options: Any,
    ) -> Ended:
        """Starts a run and waits for its end."""
        begin = time.monotonic()
        return wait(self.start(workdir, fault, **options), begin)


def wait(process: Forked, begin: float) -> Ended:
    """Waits for a process to end and tells how it did."""
    try:
        _, stderr = process.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    assert process.returncode is not None
    return Ended(process.returncode, stderr, time.monotonic() - begin)


def outcome(workdir: Path, kind: str = "network") -> Outcome:
    """What a finished run of some kind has come to, read back from its folder."""
    if kind == "network" or kind == "blend":
        return _of_run(workdir)
    if kind == "auto":
        answers = [json.loads(line) for line in (workdir / "auto.jsonl").open(encoding="utf-8")]
        for row in answers[1:]:
            if isinstance(row["answer"], dict):
                row["answer"].pop("seconds", None)
        own, of_all = _of_run(workdir), _of_run(workdir / "for-use", measured=False)
        return dataclasses.replace(
            own,
            states_sha256=own.states_sha256 + of_all.states_sha256,
            metrics=json.dumps([answers, own.metrics]),
        )
    if kind == "tune":
        written = [(workdir / name).read_bytes() for name in ("trials.csv", "best_config.json")]
        return Outcome((), 0, "", hashlib.sha256(b"".join(written)).hexdigest())
    seeds = [_of_run(each) for each in sorted((workdir / "final").glob("seed-*"))]
    return Outcome(
        states_sha256=tuple(digest for seed in seeds for digest in seed.states_sha256),
        step=seeds[0].step,
        metrics=json.dumps([seed.metrics for seed in seeds]),
        results_sha256=_digest(workdir / "final" / "results.json"),
    )


def _of_run(workdir: Path, *, measured: bool = True) -> Outcome:
    folder = RunFolder(workdir)
    run = load_run(folder)
    names = method_of(run.config).members(run.config)
    fits = [
        (folder.member(name), dataclasses.replace(run, config=member_config(run.config, name)))
        for name in names
    ] or [(folder, run)]
    newest = [_newest(place, of) for place, of in fits]
    rows = [
        {name: value for name, value in row.items() if "second" not in name}
        for place, _ in fits
        for row in read_metrics(place.metrics)
    ]
    return Outcome(
        states_sha256=tuple(digest for _, digest in newest),
        step=newest[0][0],
        metrics=json.dumps(rows),
        results_sha256=_digest(folder.results) if measured else "",
    )


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _newest(folder: RunFolder, run: Run) -> tuple[int, str]:
    """The newest checkpoint's step, and its state's SHA-256."""
    fitting = fitting_of(run.config, run.split.train)
    with Checkpoints(folder.checkpoints, read_only=True) as checkpoints:
        assert not checkpoints.damaged
        step = checkpoints.latest_step()
        assert step is not None
        return step, tree_digest(fitting.save(restore(checkpoints, step, fitting)).arrays)


def is_one_line(ended: Ended) -> bool:
    """Whether a failed run said why in one line, without a traceback."""
    lines = ended.stderr.splitlines()
    return len(lines) == 1 and lines[0].startswith(("failed: ", "error: "))
