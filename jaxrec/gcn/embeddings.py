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
_SHORTEST = 1e-24  # squared length, below which a vector is not brought to length 1


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
    return embeddings * jax.lax.rsqrt(jnp.maximum(squared, _SHORTEST))


@jax.custom_vjp
def unit_table(table: jax.Array) -> jax.Array:
    """As `unit`, where a row's bits and those of its gradient don't depend on how many others are.

    With jax 0.12 the last ones still do (docs/lab/devices.md).

    Args:
      table: [num_rows, dim] float32.
    """
    return _scaled(table)[0]


def _scaled(table: jax.Array) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    squared = _inner(table, table)
    scale = jax.lax.rsqrt(jnp.maximum(squared, _SHORTEST))
    scaled = table * scale
    return scaled, (scaled, scale, squared > _SHORTEST)


def _unit_table_backward(kept: tuple[jax.Array, ...], cotangent: jax.Array) -> tuple[jax.Array]:
    scaled, scale, is_unit = kept
    along = jnp.where(is_unit, _inner(scaled, cotangent), 0.0)
    return (_rounded(scale * (cotangent - _rounded(scaled * along))),)


unit_table.defvjp(_scaled, _unit_table_backward)


def _inner(one: jax.Array, other: jax.Array) -> jax.Array:
    """Inner products of rows: [num_rows, 1].

    XLA sums along rows in an order that depends on how many there are, so it is written out here.
    """
    sums = _rounded(one * other)
    while (width := sums.shape[1]) > 1:
        half = width // 2
        folded = sums[:, :half] + sums[:, half : 2 * half]
        sums = folded if width % 2 == 0 else jnp.concatenate([folded, sums[:, -1:]], axis=1)
    return sums


def _rounded(product: jax.Array) -> jax.Array:
    """A product that is rounded before anything is added to it.

    Of two products that are added LLVM rounds one only after that, and not always the same one. It
    can't where a minimum lies between; this one changes no finite number.
    """
    return jnp.minimum(product, jnp.finfo(jnp.float32).max)
