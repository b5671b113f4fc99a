"""Neighbourhood sums: what graph convolution spends its time on.

`segment_sum` is the reference. Other kernels compute the same sums faster on some backend and
are tested equal to it. None is differentiated: `propagation` has its own derivatives.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Protocol

import jax
import jax.numpy as jnp
from jax.experimental import sparse
from jaxlib.version import __version_info__ as JAXLIB

from jaxrec.gcn import native, pieces
from jaxrec.gcn.graph import Adjacency, BipartiteGraph
from jaxrec.gcn.shares import by_columns, gathered, own_part

DTYPES = ("float32", "bfloat16")


class Kernel(Protocol):
    """Sums of weighted sender embeddings into each row."""

    def __call__(
        self,
        adjacency: Adjacency,
        embeddings: jax.Array,
        dtype: str = "float32",
        *,
        base: jax.Array | None = None,
        receiving: jax.Array | None = None,
        sending: jax.Array | None = None,
    ) -> jax.Array:
        """Computes base + A x.

        The masks are promises, by which a kernel may save work: whoever passes `receiving` reads no
        other rows of the result, and whoever passes `sending` has zeros in all other rows of x.

        Args:
          adjacency: the orientation to gather along, A; of a graph from `prepared`.
          embeddings: [num_senders, dim] float32, x.
          dtype: in what the embeddings are gathered, `float32`, or `bfloat16` for half the
            traffic; the sums are float32 either way.
          base: [num_rows, dim] float32, what the sums are added to; None for zeros.
          receiving: [num_rows] bool, the rows that will be read; None for all.
          sending: [num_senders] bool, the rows of x that may be other than 0; None for all.

        Returns:
          [num_rows, dim] float32; `base` for a row without edges.
        """


def _over_all_edges(sums: Callable[[Adjacency, jax.Array, str], jax.Array]) -> Kernel:
    """The kernel of a function that computes A x, whatever is promised."""

    @functools.wraps(sums)
    def kernel(
        adjacency: Adjacency,
        embeddings: jax.Array,
        dtype: str = "float32",
        *,
        base: jax.Array | None = None,
        receiving: jax.Array | None = None,
        sending: jax.Array | None = None,
    ) -> jax.Array:
        total = sums(adjacency, embeddings, dtype)
        return total if base is None else base + total

    return kernel


@_over_all_edges
def segment_sum(adjacency: Adjacency, embeddings: jax.Array, dtype: str) -> jax.Array:
    """The sums by `jax.ops.segment_sum`."""
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


@_over_all_edges
def csr(adjacency: Adjacency, embeddings: jax.Array, dtype: str) -> jax.Array:
    """The same sums by jaxlib's CSR product (multi-threaded on CPU).

    It knows float32 alone: with `bfloat16` the embeddings are rounded to it, which shows what
    that does to the result but saves no time. `jax.experimental.sparse` is not actively
    developed, so nothing else may use it.
    """
    embeddings = _rounded(embeddings.astype(jnp.float32), dtype)
    shape = (adjacency.num_rows, embeddings.shape[0])
    matrix = sparse.BCSR((adjacency.weights, adjacency.senders, adjacency.offsets), shape=shape)
    return matrix @ embeddings


def prefetch(
    adjacency: Adjacency,
    embeddings: jax.Array,
    dtype: str = "float32",
    *,
    base: jax.Array | None = None,
    receiving: jax.Array | None = None,
    sending: jax.Array | None = None,
) -> jax.Array:
    """The same sums by our own CPU kernel, which fetches rows ahead of their use.

    Equal to `csr` to the bit where all rows receive and send. Rows that don't receive are 0.
    """
    call = jax.ffi.ffi_call(
        native.target(native.NEIGHBOURS),
        jax.ShapeDtypeStruct((adjacency.num_rows, embeddings.shape[1]), jnp.float32),
    )
    nothing = jnp.zeros(0, bool)
    return call(
        adjacency.offsets,
        adjacency.senders,
        adjacency.weights,
        embeddings.astype(dtype),
        jnp.zeros((0, 0), jnp.float32) if base is None else base,
        nothing if receiving is None else receiving,
        nothing if sending is None else sending,
    )


KERNELS: dict[str, Kernel] = {
    "segment_sum": segment_sum,
    "csr": csr,
    "prefetch": prefetch,
    "pallas": _over_all_edges(pieces.piece_sums),
}


def prepared(graph: BipartiteGraph, kernel: str) -> BipartiteGraph:
    """The graph as the kernel needs it: with its rows cut into pieces for `pallas`."""
    if kernel != "pallas" or isinstance(graph.to_users, pieces.PiecedAdjacency):
        return graph
    return pieces.cut(graph)


@dataclasses.dataclass(frozen=True)
class Sums:
    """How neighbourhoods are summed; hashable, so that it can be static under jit.

    Attributes:
      kernel: a name in `KERNELS`.
      dtype: in what the embeddings are gathered, a name in `DTYPES`.
      dealt: whether rows are dealt to the devices of a mesh. Each then sums into its own rows, of
        the rows of all; masks are of all places.
      gather_dims: how many dimensions a device gathers at a time of rows that are dealt, so that it
        never holds a whole table; 0 for all.
    """

    kernel: str
    dtype: str = "float32"
    dealt: bool = False
    gather_dims: int = 0

    def __call__(
        self,
        adjacency: Adjacency,
        embeddings: jax.Array,
        *,
        base: jax.Array | None = None,
        receiving: jax.Array | None = None,
        sending: jax.Array | None = None,
    ) -> jax.Array:
        """The kernel's sums: see `Kernel`."""
        kernel = functools.partial(KERNELS[self.kernel], adjacency, dtype=self.dtype)
        if not self.dealt:
            return kernel(embeddings, base=base, receiving=receiving, sending=sending)
        own = None if receiving is None else own_part(receiving)

        def of_block(senders: jax.Array, base: jax.Array | None = None) -> jax.Array:
            every = gathered(senders.astype(self.dtype))
            return kernel(every, base=base, receiving=own, sending=sending)

        tables = (embeddings,) if base is None else (embeddings, base)
        return by_columns(of_block, self.gather_dims, *tables)

    def rounded(self, embeddings: jax.Array) -> jax.Array:
        """Embeddings as they are gathered, in float32."""
        return _rounded(embeddings, self.dtype)


def _rounded(embeddings: jax.Array, dtype: str) -> jax.Array:
    """Not by two conversions: XLA may leave out both."""
    if dtype == "float32":
        return embeddings
    return jax.lax.reduce_precision(embeddings, exponent_bits=8, mantissa_bits=7)


_ONLY = {"prefetch": "cpu", "pallas": "gpu"}  # kernels for one backend
_FASTEST = {"cpu": ("prefetch", "csr"), "gpu": ("pallas",)}  # what measures so; else the reference


def unavailable_reason(name: str, backend: str, *, dealt: bool = False) -> str | None:
    """Why a kernel can't be had on this machine and backend, or None where it can.

    Args:
      name: in `KERNELS`.
      backend: JAX's name of it.
      dealt: whether rows are dealt to the devices of a mesh.
    """
    if (only := _ONLY.get(name, backend)) != backend:
        return f"it is for {only}, not {backend}"
    if dealt and name == "pallas":  # its pieces have other shapes on every device
        return "it sums on one device alone (config.mesh.devices=1)"
    match name:
        case "prefetch":
            return native.unavailable_reason()
        case "pallas":
            return pieces.unavailable_reason()
    return None


def choose_kernel(name: str, backend: str, *, dealt: bool = False) -> str:
    """The kernel's name, `auto` replaced by what measures fastest on the backend.

    `prefetch` is compiled where that was not done before on this machine: see `native`.

    Args:
      name: in `KERNELS`, or `auto`.
      backend: JAX's name of it.
      dealt: whether rows are dealt to the devices of a mesh.

    Raises:
      ValueError: unknown name, or a kernel that this machine or backend can't have.
    """
    if name == "auto":
        fastest = (*_FASTEST.get(backend, ()), "segment_sum")
        return next(each for each in fastest if not unavailable_reason(each, backend, dealt=dealt))
    if name not in KERNELS:
        raise ValueError(f"kernel is {name!r}; expected auto, {', '.join(KERNELS)}")
    if reason := unavailable_reason(name, backend, dealt=dealt):
        raise ValueError(f"kernel is {name!r}, which can't be had here: {reason}")
    return name


def slow_reason(name: str, backend: str) -> str | None:
    """Why a kernel is known to be slow with this jaxlib on a backend, or None where it isn't."""
    if name != "segment_sum" or backend != "gpu" or not (0, 10, 2) <= JAXLIB <= (0, 11, 0):
        return None
    return (
        f"jaxlib {'.'.join(map(str, JAXLIB))} can take hundreds of times as long as others for its "
        "additions on a GPU (https://github.com/jax-ml/jax/issues/38806); expected 0.11.1 or "
        "later, which asks for Python 3.12"
    )
