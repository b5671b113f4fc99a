"""SIGTERM and Ctrl-C end the step, save and say where; one folder holds one run at a time."""

import re
import signal
import time
from pathlib import Path

import pytest

from tests.configurations import read_metrics
from tests.faults.kills import wait_for
from tests.faults.runs import Ended, Outcome, Runs, is_one_line, outcome, wait
from tests.nursery import Forked

SLOW = {"slow": 0.2}  # seconds a dispatch; an epoch has two, a run twelve


def start_and_wait_for_epoch(runs: Runs, workdir: Path, epochs: int = 1, **flags: object) -> Forked:
    """A slow run that has done an epoch or more."""
    process = runs.start(workdir, SLOW, **flags)
    wait_for(workdir / "metrics.jsonl", process.poll)
    while len(read_metrics(workdir / "metrics.jsonl")) < epochs and process.poll() is None:
        time.sleep(0.01)
    return process


@pytest.mark.parametrize(
    ("signum", "status", "name"), [(signal.SIGTERM, 143, "SIGTERM"), (signal.SIGINT, 130, "Ctrl-C")]
)
def test_a_signal_saves_and_ends_with_its_own_status(
    runs: Runs, reference: Outcome, tmp_path: Path, signum: int, status: int, name: str
) -> None:
    workdir = tmp_path / "run"
    process = start_and_wait_for_epoch(runs, workdir, **{"checkpoint.every": "100 epochs"})
    begin = time.monotonic()
    process.send_signal(signum)
    ended = wait(process, begin)
    assert ended.status == status
    assert ended.seconds < 10
    said = re.fullmatch(
        r"stopping after this step \(Ctrl-C again: at once\)\n"
        rf"stopped by {name}: step (\d+) is saved in (.*); run the same command again to go on\n",
        ended.stderr,
    )
    assert said is not None, ended
    assert (Path(said[2]) / said[1] / "manifest.json").is_file()
    assert 18 <= int(said[1]) < 108
    assert runs.run(workdir, **{"checkpoint.every": "100 epochs"}).status == 0
    assert outcome(workdir) == reference


def test_a_second_ctrl_c_ends_the_process_at_once(runs: Runs, tmp_path: Path) -> None:
    process = runs.start(tmp_path / "run", {"slow": 30.0})
    wait_for(tmp_path / "run" / "metrics.jsonl", process.poll)
    time.sleep(0.5)
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    ended = wait(process, begin)
    assert ended.status == 130
    assert ended.seconds < 5
    assert "stopped at once" in ended.stderr


def test_the_grace_period_is_kept_whatever_the_run_hangs_in(runs: Runs, tmp_path: Path) -> None:
    process = runs.start(tmp_path / "run", {"slow": 30.0}, **{"checkpoint.grace_seconds": 1.0})
    wait_for(tmp_path / "run" / "metrics.jsonl", process.poll)
    time.sleep(0.5)
    begin = time.monotonic()
    process.send_signal(signal.SIGTERM)
    ended = wait(process, begin)
    assert ended.status == 143
    assert 1 <= ended.seconds < 5
    assert "stopped after 1 s (config.checkpoint.grace_seconds)" in ended.stderr


def test_the_grace_period_is_kept_in_a_step_that_hears_of_no_signal(
    runs: Runs, tmp_path: Path
) -> None:
    process = runs.start(tmp_path / "run", {"stubborn": 15.0}, **{"checkpoint.grace_seconds": 1.0})
    wait_for(tmp_path / "run" / "metrics.jsonl", process.poll)
    time.sleep(1.0)
    begin = time.monotonic()
    process.send_signal(signal.SIGTERM)
    ended = wait(process, begin)
    assert ended.status == 143
    assert 1 <= ended.seconds < 8
    assert "stopped after 1 s (config.checkpoint.grace_seconds)" in ended.stderr


def test_a_step_that_ends_in_the_grace_period_is_saved(runs: Runs, tmp_path: Path) -> None:
    workdir = tmp_path / "run"
    process = runs.start(
        workdir, {"stubborn": 1.5}, **{"checkpoint.grace_seconds": 60.0, "epochs": 1}
    )
    wait_for(workdir / "metrics.jsonl", process.poll)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    ended = wait(process, time.monotonic())
    assert ended.status == 143
    said = re.search(r"stopped by SIGTERM: step (\d+) is saved in ", ended.stderr)
    assert said is not None, ended
    assert 1 <= int(said[1]) <= 4  # a few dispatches of one step, not of sixteen


def test_a_signal_before_the_training_ends_the_run_too(runs: Runs, tmp_path: Path) -> None:
    process = runs.start(tmp_path / "run")
    wait_for(tmp_path / "run" / ".lock", process.poll)
    process.send_signal(signal.SIGTERM)
    ended = wait(process, time.monotonic())
    assert ended.status == 143
    assert "stopped by SIGTERM: " in ended.stderr


def test_a_second_run_is_refused_until_the_first_is_dead(
    runs: Runs, reference: Outcome, tmp_path: Path
) -> None:
    workdir = tmp_path / "run"
    first = runs.start(workdir, {"slow": 30.0})  # outlives the second one's start on any machine
    wait_for(workdir / "metrics.jsonl", first.poll)
    second = runs.run(workdir)
    first.kill()
    wait(first, time.monotonic())
    assert second.status == 2
    assert is_one_line(second)
    assert f"--workdir={workdir}: process {first.pid} is running there" in second.stderr
    third: Ended = runs.run(workdir)
    assert third.status == 0
    assert outcome(workdir) == reference
