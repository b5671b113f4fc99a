"""A vector per node: the parameters and what is made of them; some of its rows; their scores."""

import jax
import jax.numpy as jnp
from flax import struct


@struct.dataclass
class Embeddings:
    """A vector per node: the parameters (layer 0), or what convolution makes of them.

    Attributes:
      user: [num_users, dim] float32.
      item: [num_items, dim] float32.
    """

    user: jax.Array
    item: jax.Array


@struct.dataclass
class Masks:
    """Some rows of the users' and of the items' tables.

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
      num_items: rows for items.
      dim: length of an embedding.
      stddev: standard deviation of each coordinate (LightGCN's code: 0.1).
    """
    user_key, item_key = jax.random.split(key)
    return Embeddings(
        user=stddev * jax.random.normal(user_key, (num_users, dim), jnp.float32),
        item=stddev * jax.random.normal(item_key, (num_items, dim), jnp.float32),
    )


def scores(user_embeddings: jax.Array, item_embeddings: jax.Array) -> jax.Array:
    """Inner products of users with items, paired along the last axis.

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
