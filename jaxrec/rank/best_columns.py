"""The search for the best columns of a block of users' scores, on the device.

A block has a fixed number of users, so that on a CPU it stays in the cache between the product
and the search.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxrec.models.sparse_weights import Added

USERS_PER_BLOCK = 32
ITEMS_PER_BLOCK = 64
HIDDEN_PER_STEP = 512


@partial(jax.jit, static_argnames=("k",))
def best_columns(
    user_blocks: jax.Array,
    table: jax.Array | None,
    listed: jax.Array,
    hidden: tuple[jax.Array, jax.Array] | None,
    k: int,
    added: Added | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Columns and scores [blocks, USERS_PER_BLOCK, k] of the best k columns of each user.

    Args:
      user_blocks: [blocks, USERS_PER_BLOCK, dim] embeddings or, without a table, the scores
        themselves: [blocks, USERS_PER_BLOCK, num_items], where num_items <= columns.
      table: [columns, dim] embeddings of the items, or None.
      listed: [columns] bool, False for padding and, without a table, for items that are not to be
        found; a table holds those that are.
      hidden: `positions` and `offsets` of what is to be left out, as `top_k` makes them.
      k: how many columns.
      added: what is added to the products with the table, whose columns are then all items.
    """
    bounds = None if hidden is None else (hidden[1][:-1], hidden[1][1:])
    entries = None if added is None else added.rows.offsets

    def rank_block(block: Any) -> tuple[jax.Array, jax.Array]:
        rows, bounds, entries = block
        if added is None or table is None:
            scores = _scores(rows, table, listed)
        else:
            scores = added.to(_products(rows, table), entries)
        if hidden is not None:
            scores = _hide(scores, hidden[0], *bounds)
        return _best(scores, k)

    return lax.map(rank_block, (user_blocks, bounds, entries))


def _scores(rows: jax.Array, table: jax.Array | None, listed: jax.Array) -> jax.Array:
    if table is None:
        scores = jnp.pad(rows, ((0, 0), (0, len(listed) - rows.shape[1])))
        return jnp.where(listed, scores, -jnp.inf)
    scores = _products(rows, table)
    # A pass over all scores would take a quarter of the time: only the last block has padding.
    last = jnp.where(listed[-ITEMS_PER_BLOCK:], scores[:, -ITEMS_PER_BLOCK:], -jnp.inf)
    return scores.at[:, -ITEMS_PER_BLOCK:].set(last)


def _products(rows: jax.Array, table: jax.Array) -> jax.Array:
    # Full float32 on accelerators too: play counts must stay exact.
    return jnp.matmul(rows, table.T, precision=lax.Precision.HIGHEST)


def _hide(scores: jax.Array, positions: jax.Array, start: jax.Array, stop: jax.Array) -> jax.Array:
    """Sets the scores at `positions[start:stop]` to -inf, as many steps as there are positions."""

    def step(index: jax.Array, flat: jax.Array) -> jax.Array:
        begin = start + index * HIDDEN_PER_STEP
        here = lax.dynamic_slice(positions, (begin,), (HIDDEN_PER_STEP,))
        own = begin + jnp.arange(HIDDEN_PER_STEP, dtype=jnp.int32) < stop
        return flat.at[jnp.where(own, here, flat.size)].set(-jnp.inf, mode="drop")

    steps = (stop - start + HIDDEN_PER_STEP - 1) // HIDDEN_PER_STEP
    return lax.fori_loop(0, steps, step, scores.reshape(-1)).reshape(scores.shape)


def _best(scores: jax.Array, k: int) -> tuple[jax.Array, jax.Array]:
    """The k largest of each row, of equal ones the lower column first: columns and values [.., k].

    Any of them lies in one of the k blocks of columns with the largest maxima (of equal maxima
    the lower block): were an item of another block among the best k, each of those k blocks'
    maxima would come before it. So one pass finds the maxima, and only k blocks are searched.
    """
    users, columns = scores.shape
    num_blocks = columns // ITEMS_PER_BLOCK
    if num_blocks < 4 * k:  # measured on 41,000 items: no faster in two stages
        values, found = lax.top_k(_one_zero(scores), k)
        return found, values
    blocks = scores.reshape(users, num_blocks, ITEMS_PER_BLOCK)
    _, chosen = lax.top_k(_one_zero(blocks.max(axis=-1)), k)
    chosen = jnp.sort(chosen, axis=-1)  # in order of index, so that ties stay in it too
    searched = jnp.take_along_axis(blocks, chosen[:, :, None], axis=1).reshape(users, -1)
    values, position = lax.top_k(_one_zero(searched), k)
    block = jnp.take_along_axis(chosen, position // ITEMS_PER_BLOCK, axis=1)
    return block * ITEMS_PER_BLOCK + position % ITEMS_PER_BLOCK, values


def _one_zero(scores: jax.Array) -> jax.Array:
    """Makes -0.0 to 0.0: `lax.top_k` would put it behind, though the two are equal."""
    return jnp.where(scores == 0, jnp.zeros_like(scores), scores)
