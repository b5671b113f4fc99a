"""The graph convolution network: parameters, propagation, scores (LightGCN, He et al. 2020)."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
from flax import struct

from jaxrec.gcn.batches import BatchListens
from jaxrec.gcn.graph import Adjacency, BipartiteGraph
from jaxrec.gcn.message_passing import KERNELS


@struct.dataclass
class Embeddings:
    """A vector per node: the parameters (layer 0), or what propagation makes of them.

    Attributes:
      user: [num_users, dim] float32.
      item: [num_items, dim] float32.
    """

    user: jax.Array
    item: jax.Array


@struct.dataclass
class Masks:
    """Some rows of users' and of songs' tables.

    Attributes:
      user: [num_users] bool; None for all.
      item: [num_items] bool; None for all.
    """

    user: jax.Array | None = None
    item: jax.Array | None = None


EVERY_ROW = Masks()


def init_params(
    key: jax.Array, *, num_users: int, num_items: int, dim: int, stddev: float
) -> Embeddings:
    """Layer-0 embeddings drawn from a normal distribution with mean 0.

    Args:
      key: a `jax.random` key.
      num_users: rows for users.
      num_items: rows for songs.
      dim: length of an embedding.
      stddev: standard deviation of each coordinate (LightGCN's code: 0.1).
    """
    user_key, item_key = jax.random.split(key)
    return Embeddings(
        user=stddev * jax.random.normal(user_key, (num_users, dim), jnp.float32),
        item=stddev * jax.random.normal(item_key, (num_items, dim), jnp.float32),
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def propagate(
    graph: BipartiteGraph,
    embeddings: Embeddings,
    num_layers: int,
    kernel: str,
    dtype: str = "float32",
    read: Masks = EVERY_ROW,
) -> Embeddings:
    """Light graph convolution: the mean over layers 0..L of A^l e.

    He et al. 2020, https://arxiv.org/abs/2002.02126, eq. 8, with weights 1 / (L + 1). Evaluated
    by Horner's rule, h = e + A h, which needs no sum over layers beside h.

    The map is linear and A symmetric, so its vector-Jacobian product is the map itself: the
    backward pass is one more propagation, and no layer's output is kept for it. The graph is a
    constant; it has no gradient.

    Where only some rows are read, the last layer need sum no others, and the first product of the
    backward pass meets zeros in all others. Their sums are left out by the kernels that can.

    Args:
      graph: the normalised graph.
      embeddings: layer 0.
      num_layers: L >= 0; 0 is plain matrix factorisation.
      kernel: a name in `message_passing.KERNELS`.
      dtype: in what neighbours are gathered, a name in `message_passing.DTYPES`.
      read: the rows that the caller reads; others may hold anything.

    Returns:
      The final embeddings, shaped as layer 0.
    """
    return _horner(graph, embeddings, num_layers, kernel, dtype, receiving=read)


def _horner(
    graph: BipartiteGraph,
    embeddings: Embeddings,
    num_layers: int,
    kernel: str,
    dtype: str,
    *,
    receiving: Masks = EVERY_ROW,
    sending: Masks = EVERY_ROW,
) -> Embeddings:
    """`propagate`, where the last layer's rows `receiving` are read and others of layer 0 are 0."""
    neighbour_sum = KERNELS[kernel]
    h = embeddings
    for layer in range(num_layers):
        to = receiving if layer == num_layers - 1 else EVERY_ROW
        of = sending if layer == 0 else EVERY_ROW
        h = Embeddings(
            user=neighbour_sum(
                graph.to_users,
                h.item,
                dtype,
                base=embeddings.user,
                receiving=to.user,
                sending=of.item,
            ),
            item=neighbour_sum(
                graph.to_items,
                h.user,
                dtype,
                base=embeddings.item,
                receiving=to.item,
                sending=of.user,
            ),
        )
    return jax.tree.map(lambda table: table / (num_layers + 1), h)


def _propagate_forward(
    graph: BipartiteGraph,
    embeddings: Embeddings,
    num_layers: int,
    kernel: str,
    dtype: str,
    read: Masks,
) -> tuple[Embeddings, tuple[BipartiteGraph, Masks]]:
    return propagate(graph, embeddings, num_layers, kernel, dtype, read), (graph, read)


def _propagate_backward(
    num_layers: int,
    kernel: str,
    dtype: str,
    kept: tuple[BipartiteGraph, Masks],
    cotangent: Embeddings,
) -> tuple[None, Embeddings, None]:
    graph, read = kept
    return None, _horner(graph, cotangent, num_layers, kernel, dtype, sending=read), None


propagate.defvjp(_propagate_forward, _propagate_backward)


@dataclasses.dataclass(frozen=True)
class Convolution:
    """How layers are made and combined; hashable, so that it can be static under jit.

    The defaults are LightGCN's; the rest is LightGCN++'s (Lee et al. 2024,
    https://doi.org/10.1145/3640457.3688176):

        e_u^(l+1) = d_u^-a sum_i w_ui d_i^-b x_i^(l),  x = e or e / |e|,
        e_u = g e_u^(0) + (1 - g) (e_u^(1) + ... + e_u^(L)) / L.

    Attributes:
      num_layers: L >= 0; 0 is plain matrix factorisation.
      kernel: a name in `message_passing.KERNELS`.
      dtype: in what neighbours are gathered, a name in `message_passing.DTYPES`.
      receiver_exponent: a, of the degree of the node that receives.
      sender_exponent: b, of the degree of the node that sends.
      unit_layers: whether each layer's input is scaled to length 1.
      layer_zero: g, the weight of layer 0; None for the mean over all layers.
    """

    num_layers: int
    kernel: str
    dtype: str = "float32"
    receiver_exponent: float = 0.5
    sender_exponent: float = 0.5
    unit_layers: bool = False
    layer_zero: float | None = None

    def __call__(
        self, graph: BipartiteGraph, embeddings: Embeddings, read: Masks = EVERY_ROW
    ) -> Embeddings:
        """The final embeddings: those of layer 0 and of the layers above it, combined.

        Args:
          graph: the normalised graph.
          embeddings: layer 0.
          read: the rows that the caller reads; others may hold anything.
        """
        if self._is_light():
            return propagate(graph, embeddings, self.num_layers, self.kernel, self.dtype, read)
        if self.num_layers == 0:
            return embeddings
        below, sent, share = self._before_last_sums(graph, embeddings)
        sums = neighbour_sums(graph, sent, self.kernel, self.dtype, read)
        return jax.tree.map(lambda rest, part, total: rest + part * total, below, share, sums)

    def of_listeners(
        self,
        graph: BipartiteGraph,
        embeddings: Embeddings,
        users: jax.Array,
        listens: BatchListens,
    ) -> Embeddings:
        """The final embeddings of some users and of all songs, as `__call__` has them.

        In the last layer the users gather along their own edges alone, and the gradient comes back
        along them: of the 4 L sums over all edges that a step takes, two less.

        Args:
          graph: the normalised graph.
          embeddings: layer 0.
          users: [n] int32.
          listens: all edges of these users, from `listens_of`.

        Returns:
          The users' rows [n, dim] and the songs' [num_items, dim].
        """
        if self.num_layers == 0:
            return Embeddings(user=embeddings.user[users], item=embeddings.item)
        below, sent, share = self._before_last_sums(graph, embeddings)
        gathered = sent.item.astype(self.dtype)[listens.item].astype(jnp.float32)
        own = jax.ops.segment_sum(
            listens.weight[:, None] * gathered,
            listens.row,
            num_segments=len(users),
            indices_are_sorted=True,
        )
        songs = half_sums(graph.to_items, graph.to_users, sent.user, self.kernel, self.dtype)
        return Embeddings(
            user=below.user[users] + share.user[users] * own, item=below.item + share.item * songs
        )

    def _is_light(self) -> bool:
        symmetric = self.receiver_exponent == self.sender_exponent == 0.5
        return symmetric and not self.unit_layers and self.layer_zero is None

    def _before_last_sums(
        self, graph: BipartiteGraph, embeddings: Embeddings
    ) -> tuple[Embeddings, Embeddings, Embeddings]:
        """`below`, `sent` and `share`, of which the result is below + share (A sent), L >= 1."""
        if self._is_light():
            layers = self.num_layers
            mean = propagate(graph, embeddings, layers - 1, self.kernel, self.dtype)
            return (
                jax.tree.map(lambda first: first / (layers + 1), embeddings),
                jax.tree.map(lambda part: part * layers, mean),  # Horner's h
                jax.tree.map(lambda table: jnp.full((len(table), 1), 1 / (layers + 1)), embeddings),
            )
        # The graph's weights hold d^-1/2 on both sides already.
        receiving, sending = (
            Embeddings(
                *(power(half.degrees, 0.5 - exponent) for half in (graph.to_users, graph.to_items))
            )
            for exponent in (self.receiver_exponent, self.sender_exponent)
        )
        zero = 1 / (self.num_layers + 1) if self.layer_zero is None else self.layer_zero
        each = (1 - zero) / self.num_layers
        below = jax.tree.map(lambda first: zero * first, embeddings)
        layer = embeddings
        for number in range(1, self.num_layers + 1):
            if self.unit_layers:
                layer = jax.tree.map(unit, layer)
            sent = jax.tree.map(jnp.multiply, layer, sending)
            if number < self.num_layers:
                sums = neighbour_sums(graph, sent, self.kernel, self.dtype)
                layer = jax.tree.map(jnp.multiply, sums, receiving)
                below = jax.tree.map(lambda rest, part: rest + each * part, below, layer)
        return below, sent, jax.tree.map(lambda degrees: each * degrees, receiving)


def power(degrees: jax.Array, exponent: float) -> jax.Array:
    """degrees^exponent as a column, 1 for isolated nodes: [n, 1] float32."""
    return jnp.where(degrees > 0, degrees, 1.0)[:, None] ** exponent


def neighbour_sums(
    graph: BipartiteGraph,
    embeddings: Embeddings,
    kernel: str,
    dtype: str,
    read: Masks = EVERY_ROW,
) -> Embeddings:
    """A x: every user's sum over songs, every song's over users.

    Args:
      graph: the normalised graph; a constant, without a gradient.
      embeddings: x.
      kernel: a name in `message_passing.KERNELS`.
      dtype: in what neighbours are gathered, a name in `message_passing.DTYPES`.
      read: the rows that the caller reads; others may hold anything.
    """
    return Embeddings(
        user=half_sums(graph.to_users, graph.to_items, embeddings.item, kernel, dtype, read.user),
        item=half_sums(graph.to_items, graph.to_users, embeddings.user, kernel, dtype, read.item),
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def half_sums(
    there: Adjacency,
    back: Adjacency,
    senders: jax.Array,
    kernel: str,
    dtype: str,
    read: jax.Array | None = None,
) -> jax.Array:
    """One side's sums over the other. A is symmetric, so the VJP is the sums the way back.

    Args:
      there: the orientation to gather along; a constant, without a gradient.
      back: the other orientation of the same edges.
      senders: [num_senders, dim] float32.
      kernel: a name in `message_passing.KERNELS`.
      dtype: in what neighbours are gathered, a name in `message_passing.DTYPES`.
      read: [num_rows] bool, the rows that the caller reads; None for all.

    Returns:
      [num_rows, dim] float32.
    """
    return KERNELS[kernel](there, senders, dtype, receiving=read)


def _half_forward(
    there: Adjacency,
    back: Adjacency,
    senders: jax.Array,
    kernel: str,
    dtype: str,
    read: jax.Array | None,
) -> tuple[jax.Array, tuple[Adjacency, jax.Array | None]]:
    return half_sums(there, back, senders, kernel, dtype, read), (back, read)


def _half_backward(
    kernel: str, dtype: str, kept: tuple[Adjacency, jax.Array | None], cotangent: jax.Array
) -> tuple[None, None, jax.Array, None]:
    back, read = kept
    return None, None, KERNELS[kernel](back, cotangent, dtype, sending=read), None


half_sums.defvjp(_half_forward, _half_backward)


def scores(user_embeddings: jax.Array, item_embeddings: jax.Array) -> jax.Array:
    """Inner products of users with songs, paired along the last axis.

    Args:
      user_embeddings: [..., dim] float32.
      item_embeddings: [..., dim] float32, broadcast against the users.

    Returns:
      [...] float32.
    """
    return jnp.sum(user_embeddings * item_embeddings, axis=-1)


def unit(embeddings: jax.Array) -> jax.Array:
    """Embeddings scaled to length 1, so that their inner products are cosines.

    Args:
      embeddings: [..., dim] float32; one of length below 1e-12 becomes shorter than 1.
    """
    squared = jnp.sum(jnp.square(embeddings), axis=-1, keepdims=True)
    return embeddings * jax.lax.rsqrt(jnp.maximum(squared, 1e-24))
