"""A damaged checkpoint is named and never loaded; the newest whole one is used instead."""

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import numpy as np
import optax
import pytest

from jaxrec.errors import UserError
from jaxrec.runs.arrays import state_digest
from jaxrec.runs.checkpoint import Checkpoints
from jaxrec.runs.manifest import find_damage
from jaxrec.runs.trained import open_trained
from jaxrec.train.step import TrainState, create_state
from tests.faults.runs import Outcome, Runs, outcome
from tests.graphs import graph_from_dense

GRAPH = graph_from_dense(np.eye(6, 9))
OPTIMIZER = optax.adam(0.1)
FLIPS = 1_000

DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "deleted": lambda content: None,
    "emptied": lambda content: b"",
    "cut after a byte": lambda content: content[:1],
    "cut in half": lambda content: content[: len(content) // 2],
    "cut by a byte": lambda content: content[:-1],
}


def state_at(step: int) -> TrainState:
    state = create_state(jax.random.key(step), GRAPH, OPTIMIZER, dim=4, stddev=0.1)
    return state.replace(step=np.int32(step))


@pytest.fixture(scope="module")
def two_checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("two") / "model.ckpt"
    with Checkpoints(directory, keep=2) as checkpoints:
        for step in (5, 10):
            checkpoints.save(state_at(step), score=0.1 * step)
    return directory


def files_of(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


@pytest.mark.parametrize("how", DAMAGES)
def test_each_file_counts(
    two_checkpoints: Path, tmp_path: Path, how: str, record_property: Callable[[str, object], None]
) -> None:
    like = jax.eval_shape(lambda: state_at(5))
    injected = 0
    for path in files_of(two_checkpoints / "10"):
        content = path.read_bytes()
        damaged = DAMAGES[how](content)
        if damaged == content:
            continue  # an empty file can't be emptied
        directory = tmp_path / str(injected)
        shutil.copytree(two_checkpoints, directory)
        name = path.relative_to(two_checkpoints / "10")
        if damaged is None:
            (directory / "10" / name).unlink()
        else:
            (directory / "10" / name).write_bytes(damaged)
        injected += 1

        with Checkpoints(directory, keep=2, read_only=True) as checkpoints:
            assert checkpoints.steps() == [5]
            assert checkpoints.latest_step() == checkpoints.best_step() == 5
            assert checkpoints.damages()[0].startswith(f"{directory / '10'}: {name}: ")
            assert state_digest(checkpoints.restore(5, like)) == state_digest(state_at(5))

        shutil.rmtree(directory / "5")
        with pytest.raises(UserError, match=r"no checkpoint is whole \(.*/10: "):
            Checkpoints(directory, keep=2)
    assert injected >= 10
    record_property("faults", injected)


def test_no_flipped_bit_goes_unseen(
    two_checkpoints: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    folder = tmp_path / "10"
    shutil.copytree(two_checkpoints / "10", folder)
    files = [path for path in files_of(folder) if path.stat().st_size]
    rng = random.Random(0)
    for _ in range(FLIPS):
        path = rng.choice(files)
        content = path.read_bytes()
        bit = rng.randrange(8 * len(content))
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        damage = find_damage(folder)
        assert damage is not None
        assert damage.startswith(f"{path.relative_to(folder)}: ")
        path.write_bytes(content)
    assert find_damage(folder) is None
    record_property("faults", FLIPS)


def test_a_damaged_checkpoint_is_replaced_when_its_step_is_saved_again(
    two_checkpoints: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "model.ckpt"
    shutil.copytree(two_checkpoints, directory)
    (directory / "10" / "record.json").write_text("")
    with Checkpoints(directory, keep=2) as checkpoints:
        checkpoints.save(state_at(10), score=None)
        checkpoints.wait()
        assert checkpoints.steps() == [5, 10]
        assert checkpoints.damages() == []
    assert sorted(path.name for path in directory.iterdir()) == ["10", "5"]


def test_pruning_keeps_what_was_whole_until_a_newer_one_is(tmp_path: Path) -> None:
    directory = tmp_path / "model.ckpt"
    with Checkpoints(directory, keep=1) as checkpoints:
        checkpoints.save(state_at(5), score=None)
    (directory / "10.partial").mkdir()
    with Checkpoints(directory, keep=1) as checkpoints:
        assert checkpoints.steps() == [5]
    assert [path.name for path in directory.iterdir()] == ["5"]


def test_a_state_of_other_shapes_is_refused(two_checkpoints: Path) -> None:
    like = jax.eval_shape(
        lambda: create_state(jax.random.key(0), GRAPH, OPTIMIZER, dim=5, stddev=0.1)
    )
    with (
        Checkpoints(two_checkpoints, read_only=True) as checkpoints,
        pytest.raises(UserError, match=r"holds float32\[.*4\]; expected float32\[.*5\]"),
    ):
        checkpoints.restore(10, like)


def test_training_goes_on_from_the_newest_whole_one_and_says_so(
    runs: Runs, reference: Outcome, reference_workdir: Path, tmp_path: Path
) -> None:
    workdir = tmp_path / "run"
    shutil.copytree(reference_workdir, workdir)
    newest = workdir / "model.ckpt" / str(reference.step)
    (newest / "record.json").write_bytes(b"")
    ended = runs.run(workdir)
    assert ended.status == 0
    assert ended.stderr.startswith(f"warning: damaged checkpoint, not used: {newest}: record.json")
    assert ended.stderr.count("\n") == 1
    assert outcome(workdir) == reference


def test_the_other_commands_refuse_it_too(
    reference: Outcome, reference_workdir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workdir = tmp_path / "run"
    shutil.copytree(reference_workdir, workdir)
    newest = workdir / "model.ckpt" / str(reference.step)
    (newest / "record.json").write_bytes(b"")
    assert open_trained(workdir, None).step < reference.step
    assert f"damaged checkpoint, not used: {newest}: record.json" in capsys.readouterr().err
    with pytest.raises(UserError, match=f"--step={reference.step}: damaged \\(record.json: "):
        open_trained(workdir, reference.step)
    for step in (workdir / "model.ckpt").iterdir():
        (step / "manifest.json").unlink(missing_ok=True)
    with pytest.raises(UserError, match="no checkpoint is whole"):
        open_trained(workdir, None)
