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
from jaxrec.manifest import find_damage
from jaxrec.models.blend import blend
from jaxrec.models.method import Saved
from jaxrec.models.model import Model
from jaxrec.runs.arrays import tree_digest
from jaxrec.runs.checkpoint import Checkpoints
from jaxrec.runs.saved_models import model_shapes, restore_model, save_model
from jaxrec.runs.trained import open_trained
from jaxrec.train.step import TrainState, create_state
from tests.faults.runs import Outcome, Runs, outcome
from tests.graphs import graph_from_dense
from tests.models.problems import fit_model, random_plays

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
            checkpoints.save(Saved(state_at(step)), step=step, score=0.1 * step)
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
            assert tree_digest(checkpoints.restore(5, like).arrays) == tree_digest(state_at(5))

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


PLAYS = random_plays(0, users=20, items=15)
# A model of each kind, as its method makes it.
KINDS: dict[str, Callable[[], Model]] = {
    "factors": lambda: fit_model(
        "ials",
        PLAYS,
        **{"dim": 3, "iterations": 2, "init_stddev": 0.1},
        **{"unobserved_weight": 0.2, "l2": 0.05, "l2_exponent": 0.7},
    ),
    "dense item weights": lambda: fit_model("ease", PLAYS, l2=2.0),
    "sparse item weights": lambda: fit_model("rp3beta", PLAYS, neighbours=5, alpha=0.7, beta=0.4),
    "filter": lambda: fit_model("gfcf", PLAYS, singular_vectors=4, low_pass_weight=0.3),
    "blend": lambda: blend(
        [KINDS["filter"](), KINDS["factors"](), KINDS["sparse item weights"]()],
        [1, 1, 1],
        np.ones(15, bool),
    ),
    "blend of factors": lambda: blend([KINDS["factors"]()] * 2, [1, 2], np.ones(15, bool)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_file_counts_whatever_the_kind_of_model(
    tmp_path: Path, kind: str, record_property: Callable[[str, object], None]
) -> None:
    directory = tmp_path / "model.ckpt"
    model = KINDS[kind]()
    with Checkpoints(directory) as checkpoints:
        checkpoints.save(save_model(model), step=1, score=None)
    files = [path for path in files_of(directory / "1") if path.stat().st_size]
    for path in files:
        content = path.read_bytes()
        middle = len(content) // 2
        flipped = bytes([content[middle] ^ 1])
        path.write_bytes(content[:middle] + flipped + content[middle + 1 :])
        name = path.relative_to(directory / "1")
        with pytest.raises(UserError, match=rf"no checkpoint is whole \(.*/1: {name}: "):
            Checkpoints(directory, read_only=True)
        path.write_bytes(content)
    with Checkpoints(directory, read_only=True) as checkpoints:
        loaded = restore_model(checkpoints.restore(1, model_shapes(checkpoints.about(1))))
    np.testing.assert_array_equal(loaded.similarities(3), model.similarities(3))
    assert len(files) >= 10
    record_property("faults", len(files))


def test_a_damaged_checkpoint_is_replaced_when_its_step_is_saved_again(
    two_checkpoints: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "model.ckpt"
    shutil.copytree(two_checkpoints, directory)
    (directory / "10" / "record.json").write_text("")
    with Checkpoints(directory, keep=2) as checkpoints:
        checkpoints.save(Saved(state_at(10)), step=10, score=None)
        checkpoints.wait()
        assert checkpoints.steps() == [5, 10]
        assert checkpoints.damages() == []
    assert sorted(path.name for path in directory.iterdir()) == ["10", "5"]


def test_pruning_keeps_what_was_whole_until_a_newer_one_is(tmp_path: Path) -> None:
    directory = tmp_path / "model.ckpt"
    with Checkpoints(directory, keep=1) as checkpoints:
        checkpoints.save(Saved(state_at(5)), step=5, score=None)
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
