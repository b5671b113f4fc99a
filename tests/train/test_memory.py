"""The estimate of device memory is near XLA's own account, and what can't fit is refused."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxrec.errors import UserError
from jaxrec.gcn import pieces
from jaxrec.gcn.convolution import LightGCN
from jaxrec.gcn.embeddings import Embeddings
from jaxrec.gcn.graph import Adjacency, BipartiteGraph, build_graph
from jaxrec.gcn.losses import Softmax
from jaxrec.gcn.message_passing import Sums
from jaxrec.gcn.objectives import EdgeObjective
from jaxrec.gcn.training_graph import TrainingGraph
from jaxrec.gcn.user_objective import UserObjective
from jaxrec.train.loop import STEPS_PER_DISPATCH
from jaxrec.train.memory import available_bytes, check_fits, estimate_bytes
from jaxrec.train.step import TrainState, train_steps
from tests.kernels import ON_CPU, with_kernel

TOLERANCE = 0.25
# Memory is allotted before there is code; how good that is costs time and changes no byte.
CODE_AS_IT_COMES = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
}


def step_of(
    loss: str, *, layers: int, kernel: str, negatives: int
) -> tuple[LightGCN, EdgeObjective | UserObjective]:
    """The convolution and the objective of a step, with the loss that `config.loss.name` names."""
    convolution = LightGCN(layers, Sums(kernel), unit_layers=loss == "softmax")
    if loss == "bpr":
        return convolution, EdgeObjective(convolution, negatives, l2=1e-4)
    return convolution, UserObjective(convolution, negatives, l2=1e-4, loss=Softmax(1.0))


def compiled_bytes(
    num_users: int,
    num_items: int,
    num_edges: int,
    dim: int,
    batch_size: int,
    objective: EdgeObjective | UserObjective,
) -> int:
    """What XLA allots to a dispatch of training steps, and the epoch's order."""
    shape = jax.ShapeDtypeStruct
    optimizer = optax.adam(1e-3)

    def adjacency(rows: int) -> Adjacency:
        return Adjacency(
            shape((rows + 1,), jnp.int32),
            shape((num_edges,), jnp.int32),
            shape((num_edges,), jnp.float32),
            shape((rows,), jnp.float32),
        )

    params = Embeddings(shape((num_users, dim), jnp.float32), shape((num_items, dim), jnp.float32))
    state = TrainState(shape((), jnp.int32), params, jax.eval_shape(optimizer.init, params))
    if isinstance(objective, UserObjective):
        objective = dataclasses.replace(objective, max_edges=batch_size)
        batch_size = num_users * batch_size // num_edges  # so many users
    account = (
        train_steps.lower(
            state,
            TrainingGraph(BipartiteGraph(adjacency(num_users), adjacency(num_items))),
            shape((STEPS_PER_DISPATCH, batch_size), jnp.int32),
            jax.eval_shape(lambda: jax.random.key(0)),
            objective=objective,
            optimizer=optimizer,
        )
        .compile(CODE_AS_IT_COMES)
        .memory_analysis()
    )
    if account is None:
        pytest.skip("this backend gives no account of its memory")
    arguments = account.argument_size_in_bytes + account.output_size_in_bytes
    used = arguments - account.alias_size_in_bytes + account.temp_size_in_bytes
    return int(used) + 4 * num_edges


SHAPES = [
    (29_858, 40_981, 810_128, 64, 3, 2_048, 1, "csr", "bpr"),
    (29_858, 40_981, 810_128, 64, 3, 2_048, 1, "prefetch", "bpr"),
    (29_858, 40_981, 810_128, 64, 0, 2_048, 1, "csr", "bpr"),
    (29_858, 40_981, 810_128, 64, 3, 65_536, 4, "csr", "bpr"),
    (29_858, 40_981, 810_128, 64, 2, 16_384, 4_096, "csr", "softmax"),
    (29_858, 40_981, 810_128, 128, 3, 65_536, 16_384, "csr", "softmax"),
    (200_000, 100_000, 16_000_000, 64, 1, 65_536, 4_096, "csr", "softmax"),
    (200_000, 100_000, 16_000_000, 64, 2, 65_536, 4_096, "prefetch", "softmax"),
    (3_000, 4_000, 50_000, 128, 1, 512, 1, "csr", "bpr"),
    (3_000, 4_000, 50_000, 32, 3, 512, 1, "segment_sum", "bpr"),
    (200_000, 100_000, 16_000_000, 64, 2, 2_048, 1, "csr", "bpr"),
    (200_000, 100_000, 16_000_000, 64, 3, 2_048, 1, "prefetch", "bpr"),
]


@pytest.mark.skipif(not ON_CPU, reason="the estimate is of what a CPU's compiler allots")
@pytest.mark.parametrize("shape", [with_kernel(shape[7], shape) for shape in SHAPES])
def test_the_estimate_is_near_what_is_allotted(
    shape: tuple[int, int, int, int, int, int, int, str, str],
) -> None:
    num_users, num_items, num_edges, dim, layers, batch_size, negatives, kernel, loss = shape
    convolution, objective = step_of(loss, layers=layers, kernel=kernel, negatives=negatives)
    estimate = estimate_bytes(
        num_users=num_users,
        num_items=num_items,
        num_edges=num_edges,
        dim=dim,
        batch_size=batch_size,
        convolution=convolution,
        objective=objective,
    )
    allotted = compiled_bytes(num_users, num_items, num_edges, dim, batch_size, objective)
    assert estimate == pytest.approx(allotted, rel=TOLERANCE)


def test_pieces_of_rows_and_their_sums_are_counted() -> None:
    """Never too few where rows are of all lengths: edges of short rows are counted, too."""
    rng = np.random.default_rng(0)
    user, item = (rng.random((2, 60_000)) ** 3 * [[2_000], [3_000]]).astype(int)
    key = np.unique(user * 3_000 + item)
    graph = build_graph(
        key // 3_000, key % 3_000, np.ones(len(key)), num_users=2_000, num_items=3_000
    )
    cut, dim = pieces.cut(graph), 16
    halves = [half.levels[0].pieces for half in (cut.to_users, cut.to_items)]
    more = sum(leaf.nbytes for leaf in jax.tree.leaves(cut))
    more -= sum(leaf.nbytes for leaf in jax.tree.leaves(graph))
    more += max(len(half.starts) for half in halves) * dim * 4
    estimates = []
    for kernel in ("pallas", "csr"):
        convolution, objective = step_of("bpr", layers=3, kernel=kernel, negatives=1)
        estimates.append(
            estimate_bytes(
                num_users=2_000,
                num_items=3_000,
                num_edges=len(key),
                dim=dim,
                batch_size=512,
                convolution=convolution,
                objective=objective,
            )
        )
    assert more <= estimates[0] - estimates[1] < 1.5 * more


def test_what_can_not_fit_is_refused_with_what_to_change() -> None:
    with pytest.raises(UserError, match=r"needs about 8.0 GiB and 4.0 GiB are free.*at most 32 "):
        check_fits(8 * 2**30, 4 * 2**30, dim=64, batch_size=2048)
    check_fits(2**30, 2**30, dim=64, batch_size=2048)
    check_fits(2**60, None, dim=64, batch_size=2048)


def test_the_device_says_how_much_is_free() -> None:
    available = available_bytes(jax.devices()[0])
    assert available is not None
    assert available > 2**20


@pytest.mark.parametrize("loss", ["bpr", "softmax"])
def test_a_batch_is_no_larger_than_the_graph_and_copies_count_without_their_buffers(
    loss: str,
) -> None:
    convolution, objective = step_of(loss, layers=1, kernel="csr", negatives=10_000)
    shape = {"num_users": 60, "num_items": 40, "num_edges": 500, "dim": 8}
    estimate = functools.partial(
        estimate_bytes, **shape, convolution=convolution, objective=objective
    )
    whole = estimate(batch_size=500)
    assert estimate(batch_size=10**7) == whole
    two, three = (estimate(batch_size=500, copies=n) for n in (2, 3))
    tables = 3 * 4 * 8 * (60 + 40)
    assert tables < two - whole == three - two < 5 * tables
