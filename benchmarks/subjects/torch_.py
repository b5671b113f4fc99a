"""PyTorch's sparse products, and PyTorch Geometric's LightGCN in the loop of its example."""

import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch_geometric.nn import LightGCN

from benchmarks.edges import normalised_adjacency, read_edges
from benchmarks.measuring import TimedBatches, seconds_of
from benchmarks.subjects import torch_device
from benchmarks.subjects.torch_device import DEVICE

PACKAGES = ["torch", "torch_geometric", "numpy"]


def train(request: dict[str, Any]) -> dict[str, Any]:
    """Time per step of LightGCN with `recommendation_loss` and Adam.

    The edges are given as `edge_index`, as in PyTorch Geometric's example, or (`layout` csr) as a
    normalised sparse matrix, which its memory-efficient aggregation takes.
    """
    start = time.perf_counter()
    edges = read_edges(Path(request["data"]))
    positives = torch.stack(
        [torch.from_numpy(edges.user), torch.from_numpy(edges.item) + edges.num_users]
    ).to(DEVICE)
    as_matrix = request["layout"] == "csr"
    graph = _sparse(edges) if as_matrix else torch.cat([positives, positives.flip(0)], dim=1)
    model = LightGCN(
        num_nodes=edges.num_users + edges.num_items,
        embedding_dim=request["dim"],
        num_layers=request["layers"],
        normalize=not as_matrix,
    ).to(DEVICE)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    loader = torch.utils.data.DataLoader(
        range(positives.size(1)), shuffle=True, batch_size=request["batch"]
    )
    prepared = time.perf_counter() - start

    batches = TimedBatches(loader, request["warmup"] + request["steps"])
    for chosen in batches:
        listened = positives[:, chosen]
        others = torch.randint(
            edges.num_users, model.num_nodes, (len(chosen),), device=listened.device
        )
        pairs = torch.cat([listened, torch.stack([listened[0], others])], dim=1)
        optimizer.zero_grad()
        positive_rank, negative_rank = model(graph, pairs).chunk(2)
        loss = model.recommendation_loss(positive_rank, negative_rank, node_id=pairs.unique())
        loss.backward()
        optimizer.step()
        float(loss)
    step, epoch_start = batches.seconds_per_step(request["warmup"]), batches.epoch_start()
    return {
        "step_s": step + epoch_start / len(loader),
        "epoch_s": step * len(loader) + epoch_start,
        "epoch_start_s": epoch_start,
        "prepare_s": prepared,
        "threads": torch.get_num_threads(),
        **torch_device.used(),
    }


def product(request: dict[str, Any]) -> dict[str, Any]:
    """Time of A X with A in CSR (MKL's product on a CPU) or COO form."""
    matrix = _sparse(read_edges(Path(request["data"])))
    if request["layout"] == "coo":
        matrix = matrix.to_sparse_coo().coalesce()
    rows = np.load(Path(request["work"]) / "rows.npy", allow_pickle=False)
    right = torch.from_numpy(rows).to(DEVICE)

    def multiply() -> torch.Tensor:
        result = torch.sparse.mm(matrix, right)
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()
        return result

    with torch.no_grad():
        times = seconds_of(multiply, request["repeats"], warmup=3)
        result = multiply().cpu().numpy().astype(np.float64)
    return {
        "seconds": statistics.median(times),
        "checksum": float((result * rows).sum()),
        "threads": torch.get_num_threads(),
        **torch_device.used(),
    }


def _sparse(edges: Any) -> torch.Tensor:
    offsets, columns, values = normalised_adjacency(
        edges.user, edges.item, edges.num_users, edges.num_items
    )
    size = edges.num_users + edges.num_items
    # int32 spares MKL the conversion that it would otherwise make at every product.
    return torch.sparse_csr_tensor(
        torch.from_numpy(offsets.astype(np.int32)),
        torch.from_numpy(columns.astype(np.int32)),
        torch.from_numpy(values),
        size=(size, size),
    ).to(DEVICE)
