"""jaxrec by its own training loop, kernels and evaluation."""

import contextlib
import dataclasses
import statistics
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.measuring import reset_peak, resident_mb, seconds_of
from benchmarks.roofline import copy_bytes_per_second, share_read, step_bytes
from configs import gowalla_paper
from jaxrec.config import RunConfig, read_config
from jaxrec.data.interactions import Interactions, aggregate
from jaxrec.data.listens import read_listens
from jaxrec.data.meaning import Layout, Source
from jaxrec.gcn.batches import EdgeBatches
from jaxrec.gcn.graph import BipartiteGraph
from jaxrec.gcn.message_passing import KERNELS, choose_kernel, prepared, unavailable_reason
from jaxrec.models.factors import Factors
from jaxrec.models.fold_in import Constant
from jaxrec.models.histories import Histories
from jaxrec.rank import evaluate as ranking
from jaxrec.train import loop
from jaxrec.train.setup import Setup, build
from jaxrec.train.step import TrainState

PACKAGES = ["jax", "jaxlib", "numpy", "optax"]


def train(request: dict[str, Any]) -> dict[str, Any]:
    """Time per step of `train_epoch` on the training part."""
    baseline = _baseline_mb()
    start = time.perf_counter()
    train_part, _ = _read(request)
    config = run_config(request)
    setup = build(config, train_part)
    prepared = time.perf_counter() - start
    figures = measure_steps(setup, batch_size=request["batch"], steps=request["steps"])
    return {
        **figures,
        "prepare_s": prepared,
        "baseline_mb": baseline,
        "above_baseline_mb": resident_mb(peak=True) - baseline,
        "kernel": setup.convolution.sums.kernel,
        **_device(),
    }


def product(request: dict[str, Any]) -> dict[str, Any]:
    """Time of A X by one kernel: both halves of the graph, which together are all of A."""
    train_part, _ = _read(request)
    graph = prepared(build(run_config(request), train_part).whole_graph(), request["kernel"])
    kernel = KERNELS[request["kernel"]]

    @jax.jit
    def both(graph: BipartiteGraph, user: jax.Array, item: jax.Array) -> list[jax.Array]:
        return [kernel(graph.to_users, item), kernel(graph.to_items, user)]

    def multiply() -> list[jax.Array]:
        return jax.block_until_ready(both(graph, user, item))

    rows = np.load(Path(request["work"]) / "rows.npy", allow_pickle=False)
    user, item = jnp.asarray(rows[: graph.num_users]), jnp.asarray(rows[graph.num_users :])
    times = seconds_of(multiply, request["repeats"], warmup=3)
    result = np.concatenate([np.asarray(part, np.float64) for part in multiply()])
    checksum = float((result * rows).sum())
    return {"seconds": statistics.median(times), "checksum": checksum, **_device()}


def kernels(request: dict[str, Any]) -> dict[str, Any]:
    """Which kernels can be had here, and which is used where none is named."""
    backend = jax.default_backend()
    names = [name for name in KERNELS if unavailable_reason(name, backend) is None]
    return {"names": names, "auto": choose_kernel("auto", backend)}


def evaluate(request: dict[str, Any]) -> dict[str, Any]:
    """Time of `evaluate` with train masked, on given embeddings; the first call compiles."""
    train_part, test_part = _read(request)
    folder = Path(request["work"])
    user = np.load(folder / "user_embeddings.npy", allow_pickle=False)
    item = np.load(folder / "item_embeddings.npy", allow_pickle=False)
    users = None
    if request["users"]:
        users = np.flatnonzero(train_part.users.ids < request["users"])
    arguments: dict[str, Any] = {
        "model": Factors(
            user[train_part.users.ids],
            item[train_part.items.ids],
            Constant(np.zeros(item.shape[1], np.float32)),
        ),
        "histories": Histories.of_all(train_part, "binary"),
        "relevant": test_part,
        "seen": train_part,
        "train": train_part,
        "ks": [request["k"]],
        "users": users,
        "memory_budget_mb": run_config(request).eval.memory_budget_mb,
        "protocol": {},
    }
    start = time.perf_counter()
    ranking.evaluate(**arguments)
    first = time.perf_counter() - start
    start = time.perf_counter()
    evaluation = ranking.evaluate(**arguments)
    seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "first_s": first,
        "users": len(evaluation.users),
        **_device(),
        **{name: evaluation.means()[f"{name}@{request['k']}"] for name in ("recall", "ndcg")},
    }


def run_config(request: dict[str, Any]) -> RunConfig:
    """The configuration for Gowalla with the request's batch, layers and dimension."""
    config = gowalla_paper.get_config()
    config.batch_size = request["batch"]
    config.model.layers = request["layers"]
    config.model.dim = request["dim"]
    config.model.dtype = request.get("dtype", "float32")
    return read_config(config.to_dict())


class _Enough(Exception):
    """Ends an epoch early."""


def measure_steps(setup: Setup, *, batch_size: int, steps: int) -> dict[str, Any]:
    """Time per step of `train_epoch`, after what compiles and warms up.

    In a long epoch, the dispatches after the second are measured, and the shuffle at its start is
    measured apart and shared among all of its steps. Short epochs are measured as a whole, after
    a first one.

    Args:
      setup: what to train.
      batch_size: edges per step.
      steps: at least so many are measured.
    """
    batches = EdgeBatches(setup.totals.num_edges, batch_size)
    setup = dataclasses.replace(setup, batches=batches)
    count = batches.num_steps
    edges, times = [0], [time.perf_counter()]

    def on_steps(done: int, loss: float) -> None:
        times.append(time.perf_counter())
        edges.append(done)
        if bounded and sum(edges[3:]) >= steps * batch_size:
            raise _Enough

    def run_epoch(state: TrainState, epoch: int) -> TrainState:
        return setup.train_epoch(state, epoch, on_steps=on_steps)[0]

    # The last dispatch of an epoch is shorter than the others and compiles anew: it stays out.
    bounded = count >= steps + 4 * loop.STEPS_PER_DISPATCH
    state = setup.fresh_state()
    with contextlib.suppress(_Enough):
        state = run_epoch(state, 0)
    first = times[1] - times[0]
    if not bounded:
        epochs = -(-steps // count)
        start = time.perf_counter()
        for epoch in range(1, 1 + epochs):
            state = run_epoch(state, epoch)
        seconds = (time.perf_counter() - start) / epochs
        return {"step_s": seconds / count, "epoch_s": seconds, "first_s": first}

    step = (times[-1] - times[2]) / (sum(edges[3:]) / batch_size)
    order = min(
        seconds_of(lambda: batches.order(jax.random.key(0)).block_until_ready(), 2, warmup=1)
    )
    return {
        "step_s": step + order / count,
        "epoch_s": step * count + order,
        "epoch_start_s": order,
        "first_s": first,
    }


def scale(request: dict[str, Any]) -> dict[str, Any]:
    """Time per step and memory on a synthetic graph of the size asked for, and the roofline."""
    from benchmarks.synthetic_graph import interactions

    baseline = _baseline_mb()
    # At the usual 16 steps, one dispatch on the largest graph would take a minute.
    loop.STEPS_PER_DISPATCH = request["steps_per_dispatch"]
    part = interactions(request["edges"], seed=0)
    setup = build(run_config(request), part)
    built = resident_mb(peak=True)
    del part
    was_reset = reset_peak()
    figures = measure_steps(setup, batch_size=request["batch"], steps=request["steps"])
    training, device = resident_mb(peak=True), _device()
    nodes = setup.totals.num_users + setup.totals.num_items
    convolution = setup.convolution
    moved = step_bytes(
        nodes=nodes,
        edges=setup.totals.num_edges,
        dim=setup.dim,
        layers=convolution.num_layers,
        kernel=convolution.sums.kernel,
        dtype=convolution.sums.dtype,
        read=share_read(setup.whole_graph(), request["batch"]),
    )
    copied = copy_bytes_per_second()  # last, since its array would count as ours
    return {
        **figures,
        "step_bytes": moved,
        "copy_bytes_per_s": copied,
        "roofline_s": moved / copied,
        "nodes": nodes,
        "kernel": convolution.sums.kernel,
        **device,
        "baseline_mb": baseline,
        "build_peak_mb": built,
        "train_peak_mb": training if was_reset else None,
        "peak_mb": max(built, training),
    }


def _read(request: dict[str, Any]) -> tuple[Interactions, Interactions]:
    folder = Path(request["data"])
    files = (folder / "train.txt", folder / "test.txt")
    parts, _ = read_listens([[Source(file, layout=Layout("edges"))] for file in files])
    train_part, test_part = (aggregate(part) for part in parts)
    return train_part, test_part


def _baseline_mb() -> float:
    jnp.zeros(1).block_until_ready()
    return resident_mb(peak=False)


def _device() -> dict[str, Any]:
    """Where arrays lie, and, on an accelerator, how much of its memory they took at the most."""
    device = jax.devices()[0]
    if device.platform == "cpu":
        return {"device": "cpu"}
    found: dict[str, Any] = {"device": f"{device.platform} ({device.device_kind})"}
    if stats := device.memory_stats():
        found["device_peak_mb"] = stats["peak_bytes_in_use"] / 1e6
    return found
