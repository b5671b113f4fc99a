"""The graph convolution network: parameters, propagation, scores (LightGCN, He et al. 2020)."""

import functools

import jax
import jax.numpy as jnp
from flax import struct

from jaxrec.gcn.graph import BipartiteGraph
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
) -> Embeddings:
    """Light graph convolution: the mean over layers 0..L of A^l e.

    He et al. 2020, https://arxiv.org/abs/2002.02126, eq. 8, with weights 1 / (L + 1). Evaluated
    by Horner's rule, h = e + A h, which needs no sum over layers beside h.

    The map is linear and A symmetric, so its vector-Jacobian product is the map itself: the
    backward pass is one more propagation, and no layer's output is kept for it. The graph is a
    constant; it has no gradient.

    Args:
      graph: the normalised graph.
      embeddings: layer 0.
      num_layers: L >= 0; 0 is plain matrix factorisation.
      kernel: a name in `message_passing.KERNELS`.
      dtype: in what neighbours are gathered, a name in `message_passing.DTYPES`.

    Returns:
      The final embeddings, shaped as layer 0.
    """
    neighbour_sum = KERNELS[kernel]
    user, item = embeddings.user, embeddings.item
    for _ in range(num_layers):
        user, item = (
            embeddings.user + neighbour_sum(graph.to_users, item, dtype),
            embeddings.item + neighbour_sum(graph.to_items, user, dtype),
        )
    return Embeddings(user=user / (num_layers + 1), item=item / (num_layers + 1))


def _propagate_forward(
    graph: BipartiteGraph, embeddings: Embeddings, num_layers: int, kernel: str, dtype: str
) -> tuple[Embeddings, BipartiteGraph]:
    return propagate(graph, embeddings, num_layers, kernel, dtype), graph


def _propagate_backward(
    num_layers: int, kernel: str, dtype: str, graph: BipartiteGraph, cotangent: Embeddings
) -> tuple[None, Embeddings]:
    return None, propagate(graph, cotangent, num_layers, kernel, dtype)


propagate.defvjp(_propagate_forward, _propagate_backward)


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
