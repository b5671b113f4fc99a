"""What a training step would take if all its bytes came from memory, at the speed of a copy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.measuring import seconds_of
from jaxrec.gcn.graph import BipartiteGraph

FLOAT = INT = 4  # bytes
COPIED = 256 * 2**20  # bytes, more than most caches hold


def step_bytes(
    *,
    nodes: int,
    edges: int,
    dim: int,
    layers: int,
    kernel: str,
    dtype: str = "float32",
    read: float = 1.0,
) -> float:
    """Bytes that a step of BPR moves if no cache helps.

    A sum over all edges reads a row, a sender's number and a weight for each edge in both
    directions, reads what it adds to and writes a table; in bfloat16 the table is converted
    before. `prefetch` does less in two of 2 L sums: the last one reads the edges of the rows that
    the batch reads, and the first one backward of every edge the sender's number and of theirs the
    rest. Adam reads and writes three tables and reads the gradient, which begins as a table of
    zeros. What else a batch takes is left out.

    Args:
      nodes: users and items.
      edges: each counted once.
      dim: length of an embedding.
      layers: L.
      kernel: a name in `message_passing.KERNELS`.
      dtype: in what neighbours are gathered.
      read: the share of the edges that rows which the batch reads have.
    """
    table = nodes * dim * FLOAT
    halved = dtype == "bfloat16"
    edge = (dim * FLOAT / 2 if halved else dim * FLOAT) + INT + FLOAT
    tables = 2 * table + (1.5 * table if halved else 0)
    optimizer = 8 * table
    if layers == 0:
        return optimizer
    if kernel != "prefetch":
        read = 1.0
    whole = 2 * edges * edge
    first_back = 2 * edges * (INT + read * (edge - INT))
    sums = (2 * layers - 2) * whole + read * whole + first_back
    return sums + 2 * layers * tables + optimizer


def share_read(graph: BipartiteGraph, batch_size: int, *, seed: int = 0) -> float:
    """The share of the edges, both directions counted, of the rows that a batch of BPR reads."""
    random = np.random.default_rng(seed)
    edge = random.choice(graph.num_edges, min(batch_size, graph.num_edges), replace=False)
    degrees = [np.diff(half.offsets) for half in (graph.to_users, graph.to_items)]
    user = np.repeat(np.arange(graph.num_users), degrees[0])[edge]
    item = np.asarray(graph.to_users.senders)[edge]
    others = random.integers(graph.num_items, size=len(edge))
    rows = np.unique(user), np.unique(np.concatenate([item, others]))
    read = sum(int(each[row].sum()) for each, row in zip(degrees, rows, strict=True))
    return read / (2 * graph.num_edges)


def copy_bytes_per_second() -> float:
    """Bytes read and written a second where an array is changed in place, the best of five."""

    @functools.partial(jax.jit, donate_argnums=0)
    def change(array: jax.Array) -> jax.Array:
        return array + 1

    array = jnp.zeros(COPIED // FLOAT, jnp.float32)

    def copy() -> None:
        nonlocal array
        array = change(array).block_until_ready()

    return 2 * COPIED / min(seconds_of(copy, 5, warmup=2))
