"""Full, read-only and vanishing disks, a wrong clock, a NaN: a clear error, and nothing is lost."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from jaxrec.runs.checkpoint import Checkpoints
from tests.configurations import read_metrics
from tests.faults.disks import NoMount, check_full_disk, fill, read_only, small_disk
from tests.faults.runs import Outcome, Runs, is_one_line, outcome


@pytest.fixture(autouse=True)
def skip_where_nothing_can_be_mounted() -> Iterator[None]:
    try:
        yield
    except NoMount as reason:
        pytest.skip(f"no file system can be mounted here: {reason}")


@pytest.mark.parametrize(
    ("free_kilobytes", "blind"), [(4, False), (24, False), (24, True), (116, True), (240, False)]
)
def test_no_space_left(
    runs: Runs, reference: Outcome, tmp_path: Path, free_kilobytes: int, blind: bool
) -> None:
    assert check_full_disk(runs, reference, tmp_path / "disk", free_kilobytes, blind=blind)


def check_all_whole(workdir: Path) -> None:
    directory = workdir / "model.ckpt"
    with Checkpoints(directory, read_only=True) as checkpoints:
        assert checkpoints.damages() == []


def test_a_nan_in_a_gradient_stops_the_run_and_nothing_bad_is_saved(
    runs: Runs, tmp_path: Path
) -> None:
    # Of the 18 steps of an epoch step 17 is the last but one, so that no loss tells of it.
    ended = runs.run(tmp_path / "run", {"nan_at_step": 18 + 17})
    assert ended.status == 1
    assert is_one_line(ended)
    assert "step 36 (epoch 2): the parameters are no longer finite" in ended.stderr
    check_all_whole(tmp_path / "run")
    with Checkpoints(tmp_path / "run" / "model.ckpt", read_only=True) as checkpoints:
        assert checkpoints.latest_step() == 34
    assert [row["epoch"] for row in read_metrics(tmp_path / "run" / "metrics.jsonl")] == [1]


def test_a_read_only_folder_is_refused(
    runs: Runs, reference_workdir: Path, reference: Outcome, tmp_path: Path
) -> None:
    workdir = tmp_path / "run"
    workdir.mkdir()
    with read_only(workdir):
        ended = runs.run(workdir)
    assert ended.status == 2
    assert is_one_line(ended)
    assert f"--workdir={workdir}: Read-only file system" in ended.stderr
    shutil.copytree(reference_workdir, workdir, dirs_exist_ok=True)
    with read_only(workdir):
        ended = runs.run(workdir)
    assert ended.status == 2
    assert is_one_line(ended)
    assert outcome(workdir) == reference


def test_a_folder_removed_under_the_run_ends_it(runs: Runs, tmp_path: Path) -> None:
    workdir = tmp_path / "run"
    ended = runs.run(workdir, {"remove_at_save": 4})
    assert ended.status == 1
    assert is_one_line(ended)
    assert f"{workdir}/model.ckpt/" in ended.stderr
    assert "the folder is gone" in ended.stderr
    assert not workdir.exists()


def test_a_clock_that_runs_backwards_changes_nothing(
    runs: Runs, reference: Outcome, tmp_path: Path
) -> None:
    ended = runs.run(tmp_path / "run", {"clock": 3600.0})
    assert (ended.status, ended.stderr) == (0, "")
    assert outcome(tmp_path / "run") == reference


def test_a_full_folder_for_temporary_files_changes_nothing(
    runs: Runs, reference: Outcome, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk, 64):
        fill(disk, 0)
        ended = runs.run(tmp_path / "run", variables={"TMPDIR": str(disk)})
    assert (ended.status, ended.stderr) == (0, "")
    assert outcome(tmp_path / "run") == reference
