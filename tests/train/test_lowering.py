"""Every step lowers to StableHLO for the accelerators, though this machine may have none.

That says that nothing in a step is only for CPUs, not how it runs there. Two kernels are for one
backend: `auto` takes them there alone.
"""

import contextlib
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxrec.gcn import native, pieces
from jaxrec.gcn.convolution import LightGCN
from jaxrec.gcn.losses import Softmax
from jaxrec.gcn.message_passing import KERNELS, Sums, choose_kernel, prepared
from jaxrec.gcn.objectives import EdgeObjective, Objective
from jaxrec.gcn.training_graph import TrainingGraph
from jaxrec.gcn.user_objective import UserObjective
from jaxrec.train.step import create_state, train_steps
from tests.graphs import graph_from_dense, popularity_mass

PLATFORMS = {"cuda": "gpu", "rocm": "gpu", "tpu": "tpu"}  # and what JAX calls the backend
GRAPH = graph_from_dense((np.random.default_rng(0).random((20, 30)) < 0.25) * 1.0)
OPTIMIZER = optax.adam(0.05)
CONVOLUTIONS = {
    "factorisation": {"num_layers": 0},
    "LightGCN": {"num_layers": 2},
    "LightGCN++": {
        "num_layers": 2,
        "receiver_exponent": 0.6,
        "sender_exponent": -0.1,
        "unit_layers": True,
        "layer_zero": 0.3,
    },
}
PORTABLE = sorted(set(KERNELS) - {"prefetch", "pallas"})


def lowered(
    objective: Objective, kernel: str, *, popular: bool, platforms: Sequence[str] = (*PLATFORMS,)
) -> str:
    """The text of a dispatch of steps for all platforms at once."""
    objective, batches = objective.with_batches(GRAPH, 40)
    mass = popularity_mass(GRAPH, alpha=0.75) if popular else None
    data = TrainingGraph(prepared(GRAPH, kernel), mass)
    state = create_state(jax.random.key(0), GRAPH, OPTIMIZER, dim=4, stddev=0.1)
    order = jnp.zeros((2, *batches.order(jax.random.key(0)).shape[1:]), jnp.int32)
    key = jax.random.key(1)
    with _as_if_there_were_a_gpu() if platforms == ["cuda"] else contextlib.nullcontext():
        traced = train_steps.trace(
            state, data, order, key, objective=objective, optimizer=OPTIMIZER
        )
        return traced.lower(lowering_platforms=tuple(platforms)).as_text()


@pytest.mark.parametrize("loss", ["bpr", "softmax"])
@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.parametrize("kernel", PORTABLE)
def test_every_step_lowers_for_every_platform(kernel: str, name: str, loss: str) -> None:
    for dtype in ("float32", "bfloat16"):
        convolution = LightGCN(sums=Sums(kernel, dtype), **CONVOLUTIONS[name])
        objective = (
            EdgeObjective(convolution, num_negatives=2, l2=1e-3)
            if loss == "bpr"
            else UserObjective(convolution, num_negatives=8, l2=1e-3, loss=Softmax(0.2))
        )
        text = lowered(objective, kernel, popular=dtype == "bfloat16")
        assert "stablehlo.while" in text  # over the steps
        assert "custom_call" not in text
        products = [line for line in text.splitlines() if "dot_general" in line]
        # The messages of `csr` are one that sums nothing, which XLA takes for a multiplication.
        products = [line for line in products if "contracting_dims = [] x []" not in line]
        assert products or loss == "bpr"
        # By default a GPU rounds what it multiplies to 10 bits of 23, a TPU to 7.
        assert all("precision = [HIGHEST, HIGHEST]" in line for line in products)


def test_what_is_taken_there_is_among_what_was_lowered(monkeypatch: pytest.MonkeyPatch) -> None:
    for reason in (None, "an old GPU"):
        monkeypatch.setattr(pieces, "unavailable_reason", lambda reason=reason: reason)
        taken = {choose_kernel("auto", backend) for backend in PLATFORMS.values()}
        assert taken <= {*PORTABLE, "pallas"}


def test_the_cpu_s_own_kernel_is_a_foreign_function() -> None:
    """So what the first test looks for would be seen."""
    convolution = LightGCN(1, Sums("prefetch"))
    objective = EdgeObjective(convolution, num_negatives=1, l2=0.0)
    text = lowered(objective, "prefetch", popular=False)
    assert f"custom_call @{native.target(native.NEIGHBOURS)}" in text


def _as_if_there_were_a_gpu() -> contextlib.AbstractContextManager[object]:
    """Since jax 0.12 lowering to Triton asks which GPU it is for."""
    if jax.__version_info__ < (0, 12):
        return contextlib.nullcontext()
    device = jax.sharding.AbstractDevice("NVIDIA H100 80GB HBM3", 132, "gpu")
    mesh = jax.sharding.AbstractMesh((1,), ("one",), abstract_device=device)
    return jax.sharding.use_abstract_mesh(mesh)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_kernel_for_gpus_lowers_to_triton(dtype: str) -> None:
    """It has no other check without a GPU than this and that it is right when interpreted."""
    convolution = LightGCN(2, Sums("pallas", dtype))
    objective = EdgeObjective(convolution, num_negatives=1, l2=0.0)
    text = lowered(objective, "pallas", popular=False, platforms=["cuda"])
    assert text.count("triton") >= 4  # two layers for users and items, and the gradient's
