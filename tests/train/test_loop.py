"""An epoch visits every edge; stopping and going on changes nothing; bad losses stop the run."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxrec.errors import RunError
from jaxrec.gcn.batches import EdgeBatches
from jaxrec.gcn.convolution import LightGCN
from jaxrec.gcn.message_passing import Sums
from jaxrec.gcn.objectives import EdgeObjective
from jaxrec.gcn.training_graph import TrainingGraph
from jaxrec.models.method import Saved
from jaxrec.runs.checkpoint import Checkpoints
from jaxrec.runs.checkpoint_folder import Progress
from jaxrec.train.loop import STEPS_PER_DISPATCH, Pace, Training, train_epoch
from jaxrec.train.step import TrainState, create_state
from tests.graphs import graph_from_dense
from tests.kernels import in_order

OPTIMIZER = optax.adam(0.05)
GRAPH = graph_from_dense((np.random.default_rng(0).random((30, 40)) < 0.3) * 1.0)
BATCH = 16
BATCHES = EdgeBatches(GRAPH.num_edges, BATCH)
TRAINING = Training(
    data=TrainingGraph(GRAPH),
    objective=EdgeObjective(LightGCN(1, Sums("csr")), num_negatives=1, l2=0.0),
    batches=BATCHES,
    optimizer=OPTIMIZER,
    seed=0,
)


def fresh() -> TrainState:
    return create_state(jax.random.key(0), GRAPH, OPTIMIZER, dim=4, stddev=0.1)


def on_device(saved: Saved) -> TrainState:
    return jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), saved.arrays)


def run_epoch(
    state: TrainState,
    epoch: int,
    seed: int = 0,
    edges_done: list[int] | None = None,
    **options: Any,
) -> tuple[TrainState, float]:
    done = [] if edges_done is None else edges_done
    return train_epoch(
        dataclasses.replace(TRAINING, seed=seed),
        state,
        epoch,
        on_steps=lambda edges, loss: done.append(edges),
        **options,
    )


def test_an_epoch_reports_every_edge_once_and_takes_every_step() -> None:
    done: list[int] = []
    state, loss = run_epoch(fresh(), 0, edges_done=done)
    assert sum(done) == GRAPH.num_edges
    assert int(state.step) == BATCHES.num_steps > STEPS_PER_DISPATCH
    assert 0 < loss < 1


@in_order
def test_stopping_and_going_on_equals_never_stopping_bit_for_bit(tmp_path: Path) -> None:
    state = fresh()
    losses = []
    for epoch in range(4):
        state, loss = run_epoch(state, epoch)
        losses.append(loss)

    stopped = fresh()
    for epoch in range(2):
        stopped, _ = run_epoch(stopped, epoch)
    with Checkpoints(tmp_path / "model.ckpt") as checkpoints:
        checkpoints.save(Saved(stopped), step=int(stopped.step), score=None)
    with Checkpoints(tmp_path / "model.ckpt") as checkpoints:
        step = checkpoints.latest_step()
        assert step == 2 * BATCHES.num_steps
        resumed = on_device(checkpoints.restore(step, jax.eval_shape(fresh)))
    resumed_losses = []
    for epoch in range(2, 4):
        resumed, loss = run_epoch(resumed, epoch)
        resumed_losses.append(loss)

    jax.tree.map(np.testing.assert_array_equal, resumed, state)
    assert resumed_losses == losses[2:]


class FixedPace(Pace):
    """So many steps in a dispatch, however long they take."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def took(self, seconds_per_step: float) -> None:
        pass


@in_order
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_how_many_steps_go_into_a_dispatch_changes_no_bit(steps: int) -> None:
    expected, expected_loss = run_epoch(fresh(), 0)
    state, loss = run_epoch(fresh(), 0, pace=FixedPace(steps))
    jax.tree.map(np.testing.assert_array_equal, state, expected)
    assert loss == expected_loss


@in_order
def test_going_on_from_any_step_within_an_epoch_changes_no_bit(tmp_path: Path) -> None:
    expected, expected_loss = run_epoch(fresh(), 0)
    num_steps = BATCHES.num_steps
    with Checkpoints(tmp_path, keep=num_steps) as checkpoints:
        run_epoch(
            fresh(),
            0,
            pace=FixedPace(1),
            pause_at=lambda step: True,
            on_pause=lambda state, loss_sum: checkpoints.save(
                Saved(state),
                step=int(state.step),
                score=None,
                progress=Progress(loss_sum=loss_sum),
            ),
        )
        checkpoints.wait()
        assert checkpoints.steps() == list(range(1, num_steps))
        for step in (1, 7, num_steps - 1):
            edges_done: list[int] = []
            state, loss = run_epoch(
                on_device(checkpoints.restore(step, jax.eval_shape(fresh))),
                0,
                edges_done=edges_done,
                loss_sum=checkpoints.progress(step).loss_sum,
            )
            jax.tree.map(np.testing.assert_array_equal, state, expected)
            assert loss == expected_loss
            assert edges_done[0] == step * BATCH
            assert sum(edges_done) == GRAPH.num_edges


def test_an_epoch_that_is_done_already_tells_its_loss() -> None:
    expected, expected_loss = run_epoch(fresh(), 0)
    loss_sum = expected_loss * GRAPH.num_edges
    state, loss = run_epoch(jax.tree.map(jnp.copy, expected), 0, loss_sum=loss_sum)
    jax.tree.map(np.testing.assert_array_equal, state, expected)
    assert loss == pytest.approx(expected_loss)


def test_slow_steps_are_dispatched_fewer_at_a_time() -> None:
    assert Pace().steps == STEPS_PER_DISPATCH
    pace = Pace(longest_seconds=4.0)
    assert pace.steps == 1  # nobody knows yet how long one takes
    pace.took(1.0)
    assert pace.steps == 4
    pace.took(60.0)  # a dispatch that had to be compiled
    assert pace.steps == 4
    pace.took(0.1)
    assert pace.steps == STEPS_PER_DISPATCH
    pace = Pace(longest_seconds=4.0)
    pace.took(100.0)
    assert pace.steps == 1


@in_order
def test_the_seed_decides_everything() -> None:
    first, again, other = (run_epoch(fresh(), 0, seed=seed)[0] for seed in (0, 0, 1))
    jax.tree.map(np.testing.assert_array_equal, first, again)
    assert np.any(np.asarray(first.params.user) != np.asarray(other.params.user))


@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_stops_with_step_and_loss(poison: float) -> None:
    state = fresh()
    bad = state.params.replace(user=state.params.user.at[3].set(poison))
    with pytest.raises(RunError, match=r"step \d+ \(epoch 6\): the loss is (nan|inf)"):
        start = jnp.int32(5 * BATCHES.num_steps)
        run_epoch(state.replace(step=start, params=bad), 5)


def test_what_is_not_finite_is_never_saved(tmp_path: Path) -> None:
    state = fresh()
    bad = state.params.replace(item=state.params.item.at[0, 0].set(jnp.nan))
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(Saved(state), step=0, score=0.5)
        with pytest.raises(RunError, match="no longer finite"):
            checkpoints.save(Saved(state.replace(params=bad)), step=1, score=0.6)
    with Checkpoints(tmp_path, read_only=True) as checkpoints:
        assert checkpoints.steps() == [0]


def test_the_newest_and_the_best_are_kept(tmp_path: Path) -> None:
    scores = [0.1, 0.9, 0.3, None, 0.2, 0.4]
    with Checkpoints(tmp_path, keep=2) as checkpoints:
        for step, score in enumerate(scores):
            checkpoints.save(Saved(fresh()), step=step, score=score)
    with Checkpoints(tmp_path, keep=2) as checkpoints:
        assert checkpoints.steps() == [1, 4, 5]
        assert checkpoints.best_step() == 1
        assert checkpoints.latest_step() == 5
