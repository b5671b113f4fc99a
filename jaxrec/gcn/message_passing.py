"""Neighbourhood sums: what graph convolution spends its time on.

`segment_sum` is the reference. Other kernels compute the same sums faster on some backend and
are tested equal to it. None is differentiated: `model.propagate` supplies its own derivative.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.experimental import sparse

from jaxrec.gcn.graph import Adjacency

Kernel = Callable[[Adjacency, jax.Array, str], jax.Array]
DTYPES = ("float32", "bfloat16")


def segment_sum(adjacency: Adjacency, embeddings: jax.Array, dtype: str = "float32") -> jax.Array:
    """Sums weighted sender embeddings into each row by `jax.ops.segment_sum`.

    Args:
      adjacency: the orientation to gather along.
      embeddings: [num_senders, dim] float32.
      dtype: in what the embeddings are gathered, `float32`, or `bfloat16` for half the traffic;
        the sums are float32 either way.

    Returns:
      [num_rows, dim] float32; zeros for a row without edges.
    """
    receivers = jnp.repeat(
        jnp.arange(adjacency.num_rows, dtype=jnp.int32),
        jnp.diff(adjacency.offsets),
        total_repeat_length=adjacency.num_edges,
    )
    gathered = embeddings.astype(dtype)[adjacency.senders].astype(jnp.float32)
    messages = adjacency.weights[:, None] * gathered
    return jax.ops.segment_sum(
        messages, receivers, num_segments=adjacency.num_rows, indices_are_sorted=True
    )


def csr(adjacency: Adjacency, embeddings: jax.Array, dtype: str = "float32") -> jax.Array:
    """The same sums by jaxlib's CSR product (multi-threaded on CPU).

    It knows float32 alone: with `bfloat16` the embeddings are rounded to it, which shows what
    that does to the result but saves no time. `jax.experimental.sparse` is not actively
    developed, so nothing else may use it.
    """
    if dtype == "bfloat16":
        embeddings = jax.lax.reduce_precision(embeddings, exponent_bits=8, mantissa_bits=7)
    shape = (adjacency.num_rows, embeddings.shape[0])
    matrix = sparse.BCSR((adjacency.weights, adjacency.senders, adjacency.offsets), shape=shape)
    return matrix @ embeddings


KERNELS: dict[str, Kernel] = {"segment_sum": segment_sum, "csr": csr}


def choose_kernel(name: str, backend: str) -> str:
    """The kernel's name, `auto` replaced by what measures fastest on the backend.

    Raises:
      ValueError: unknown name.
    """
    if name == "auto":
        return "csr" if backend == "cpu" else "segment_sum"
    if name not in KERNELS:
        raise ValueError(f"kernel is {name!r}; expected auto, {', '.join(KERNELS)}")
    return name
