"""The least time that a training step can take: its bytes over the memory's measured speed."""

import functools

import jax
import jax.numpy as jnp

from benchmarks.measuring import seconds_of

FLOAT = INT = 4  # bytes
COPIED = 256 * 2**20  # bytes, more than any cache holds


def step_bytes(
    *, nodes: int, edges: int, dim: int, layers: int, kernel: str, dtype: str = "float32"
) -> int:
    """Bytes that a step of BPR moves if no cache helps, the batch's own few rows left out.

    A sum over all edges reads a row, a sender's number and a weight for each edge in both
    directions, reads what it adds to and writes a table. `prefetch` does two sums of 2 L less: the
    last one writes zeros, the first one backward reads senders and tables. Adam reads and writes
    three tables and reads the gradient, whose first form is a table of zeros.

    Args:
      nodes: users and items.
      edges: each counted once.
      dim: length of an embedding.
      layers: L.
      kernel: a name in `message_passing.KERNELS`.
      dtype: in what neighbours are gathered.
    """
    table = nodes * dim * FLOAT
    row = dim * (2 if dtype == "bfloat16" else FLOAT)
    whole = 2 * edges * (row + INT + FLOAT) + 2 * table
    optimizer = 8 * table
    if layers == 0 or kernel != "prefetch":
        return 2 * layers * whole + optimizer
    masked = table + (2 * edges * INT + 2 * table)
    return (2 * layers - 2) * whole + masked + optimizer


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
