"""The best k items of each user by inner product: exact, on the device, in bounded memory.

Users are scored in blocks of a fixed number of rows, whatever the memory budget, so that a chunk
size can't change a bit of the result: matrix products of other shapes round differently. On a
CPU a block also stays in the cache between the product and the search, which is faster.
"""

import dataclasses
from collections import deque
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxrec.data.interactions import Interactions

USERS_PER_BLOCK = 32
ITEMS_PER_BLOCK = 64
MOST_BLOCKS_PER_CHUNK = 32  # more users per dispatch measured no faster
HIDDEN_PER_STEP = 512
MEMORY_BUDGET_MB = 256


@dataclasses.dataclass(frozen=True, eq=False)
class Seen:
    """The items to leave out of each user's list, in compressed rows.

    Attributes:
      offsets: [num_users + 1] int64: user u's items are `items[offsets[u]:offsets[u + 1]]`.
      items: [n] int32.
    """

    offsets: np.ndarray
    items: np.ndarray

    @classmethod
    def from_interactions(cls, interactions: Interactions) -> "Seen":
        """What each user has an interaction with."""
        return cls(interactions.user_offsets(), interactions.item)


def top_k(
    user_embeddings: np.ndarray | jax.Array,
    item_embeddings: np.ndarray | jax.Array,
    users: np.ndarray,
    *,
    k: int,
    seen: Seen | None = None,
    candidates: np.ndarray | None = None,
    memory_budget_mb: int = MEMORY_BUDGET_MB,
) -> tuple[np.ndarray, np.ndarray]:
    """The k items with the largest `user . item`, best first; of equal ones the lower index first.

    Every candidate is scored, in float32, and nothing is approximate. A score vector shared by
    all users is ranked by the same code: ones [num_users, 1] and scores [num_items, 1].

    Args:
      user_embeddings: [num_users, dim] float32.
      item_embeddings: [num_items, dim] float32.
      users: [n] integers in [0, num_users), in any order, repeats allowed.
      k: length of a list, at least 1; may be more than there are items.
      seen: items to leave out per user; None leaves out nothing.
      candidates: [num_items] bool, the items that may be listed; None allows all.
      memory_budget_mb: MiB of working memory beside the embeddings. The result doesn't depend on
        it. The scores of one block of users (32 * num_items * 4 bytes) are needed at least.

    Returns:
      items [n, k] int32 and scores [n, k] float32; where fewer than k items are left, the rest is
      item -1 with score -inf.

    Raises:
      ValueError: k below 1, a user out of range, an embedding that isn't finite, shapes that
        don't fit together.
    """
    user_table, item_table = np.asarray(user_embeddings), np.asarray(item_embeddings)
    users = np.asarray(users)
    num_items = len(item_table)
    if candidates is None:
        candidates = np.ones(num_items, bool)
    _check(user_table, item_table, users, k, seen, candidates)
    listable = np.flatnonzero(candidates).astype(np.int32)
    items = np.full((len(users), k), -1, np.int32)
    scores = np.full((len(users), k), -np.inf, np.float32)
    if len(users) == 0 or len(listable) == 0:
        return items, scores

    columns = -(-len(listable) // ITEMS_PER_BLOCK) * ITEMS_PER_BLOCK
    column_table = np.zeros((columns, item_table.shape[1]), np.float32)
    column_table[: len(listable)] = item_table[listable]
    column_of_item = np.full(num_items, -1, np.int32)
    column_of_item[listable] = np.arange(len(listable), dtype=np.int32)
    longest = min(k, columns)
    counts = np.zeros(len(users), np.int64) if seen is None else np.diff(seen.offsets)[users]
    chunk = _users_per_chunk(
        len(users), columns, item_table.shape[1], longest, counts, memory_budget_mb
    )
    # One length for every chunk, and seldom another one in the next call: fewer compilations.
    most_hidden = int(np.add.reduceat(counts, np.arange(0, len(users), chunk)).max())
    hidden_size = 0 if seen is None else (1 << most_hidden.bit_length()) + HIDDEN_PER_STEP
    table = jax.device_put(column_table)

    def collect(start: int, device_columns: jax.Array, device_scores: jax.Array) -> None:
        rows = slice(start, min(start + chunk, len(users)))
        size = rows.stop - rows.start
        found = np.asarray(device_scores).reshape(chunk, longest)[:size]
        position = np.asarray(device_columns).reshape(chunk, longest)[:size]
        left = found > -np.inf
        scores[rows, :longest] = found
        items[rows, :longest] = np.where(left, listable[np.where(left, position, 0)], -1)

    pending: deque[tuple[int, jax.Array, jax.Array]] = deque()
    for start in range(0, len(users), chunk):
        chosen = users[start : start + chunk]
        rows = np.zeros((chunk, user_table.shape[1]), np.float32)
        rows[: len(chosen)] = user_table[chosen]
        if not np.isfinite(rows).all():
            raise ValueError("user_embeddings hold a NaN or an infinity; expected finite numbers")
        hidden = None
        if seen is not None:
            hidden = _hidden(seen, chosen, column_of_item, columns, chunk, hidden_size)
        blocks = rows.reshape(-1, USERS_PER_BLOCK, rows.shape[1])
        pending.append((start, *_rank(blocks, table, hidden, longest, len(listable))))
        # The device ranks this chunk while the host fetches the last one and prepares the next.
        if len(pending) > 1:
            collect(*pending.popleft())
    while pending:
        collect(*pending.popleft())
    return items, scores


def _check(
    user_table: np.ndarray,
    item_table: np.ndarray,
    users: np.ndarray,
    k: int,
    seen: Seen | None,
    candidates: np.ndarray,
) -> None:
    if k < 1:
        raise ValueError(f"k is {k}; expected at least 1")
    if user_table.ndim != 2 or item_table.ndim != 2 or user_table.shape[1] != item_table.shape[1]:
        raise ValueError(
            f"embeddings have the shapes {user_table.shape} and {item_table.shape}; "
            "expected [num_users, dim] and [num_items, dim]"
        )
    if candidates.shape != (len(item_table),) or candidates.dtype != bool:
        raise ValueError(
            f"candidates are {candidates.dtype} {candidates.shape}; expected bool "
            f"({len(item_table)},)"
        )
    if seen is not None and len(seen.offsets) != len(user_table) + 1:
        raise ValueError(f"seen has {len(seen.offsets) - 1} users; expected {len(user_table)}")
    if len(users) and (users.min() < 0 or users.max() >= len(user_table)):
        raise ValueError(
            f"users lie in {users.min()}..{users.max()}; expected 0..{len(user_table) - 1}"
        )
    if len(item_table) * USERS_PER_BLOCK > 2**31 - 2**16:
        raise ValueError(f"{len(item_table)} items; expected at most 67 million")
    if not np.isfinite(item_table).all():
        raise ValueError("item_embeddings hold a NaN or an infinity; expected finite numbers")


def _users_per_chunk(
    num_users: int, columns: int, dim: int, k: int, hidden: np.ndarray, memory_budget_mb: int
) -> int:
    """How many users one dispatch ranks: a multiple of the block, the same for every chunk."""
    in_flight = 2
    # Blocks within a chunk are ranked one by one, so only one has its scores in memory.
    room = memory_budget_mb * 2**20 - USERS_PER_BLOCK * columns * 4
    per_user = in_flight * (4 * dim + 8 * k + 4 * int(hidden.mean()))
    most = np.clip(room // (per_user * USERS_PER_BLOCK), 1, MOST_BLOCKS_PER_CHUNK)
    blocks = -(-num_users // USERS_PER_BLOCK)
    chunks = -(-blocks // int(most))
    return -(-blocks // chunks) * USERS_PER_BLOCK


def _hidden(
    seen: Seen, users: np.ndarray, column_of_item: np.ndarray, columns: int, chunk: int, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Where the seen items of a chunk's users lie in their blocks' score matrices.

    Returns:
      positions [size] int32, `row * columns + column`, one past the matrix where nothing is to be
      hidden; and offsets [chunk / USERS_PER_BLOCK + 1] int32 of each block's positions.
    """
    counts = np.zeros(chunk, np.int64)
    counts[: len(users)] = seen.offsets[users + 1] - seen.offsets[users]
    ends = np.concatenate([[0], np.cumsum(counts)])
    total = ends[-1]
    source = np.repeat(seen.offsets[users] - ends[: len(users)], counts[: len(users)])
    column = column_of_item[seen.items[source + np.arange(total)]]
    row = np.repeat(np.arange(chunk) % USERS_PER_BLOCK, counts)
    outside = USERS_PER_BLOCK * columns
    positions = np.full(size, outside, np.int32)
    positions[:total] = np.where(column >= 0, row * columns + column, outside)
    return positions, ends[::USERS_PER_BLOCK].astype(np.int32)


@partial(jax.jit, static_argnames=("k", "num_items"))
def _rank(
    user_blocks: jax.Array,
    table: jax.Array,
    hidden: tuple[jax.Array, jax.Array] | None,
    k: int,
    num_items: int,
) -> tuple[jax.Array, jax.Array]:
    """Columns and scores [blocks, USERS_PER_BLOCK, k] of the best k columns of each user.

    Args:
      user_blocks: [blocks, USERS_PER_BLOCK, dim].
      table: [columns, dim]; columns from `num_items` on are padding.
      hidden: what `_hidden` returns.
      k: how many columns.
      num_items: how many columns are real.
    """
    if hidden is None:
        return lax.map(lambda rows: _best(_scores(rows, table, num_items), k), user_blocks)
    positions, offsets = hidden

    def rank_block(block: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        rows, start, stop = block
        scores = _scores(rows, table, num_items)
        return _best(_hide(scores, positions, start, stop), k)

    return lax.map(rank_block, (user_blocks, offsets[:-1], offsets[1:]))


def _scores(rows: jax.Array, table: jax.Array, num_items: int) -> jax.Array:
    # Full float32 on accelerators too: play counts must stay exact.
    scores = jnp.matmul(rows, table.T, precision=lax.Precision.HIGHEST)
    return scores.at[:, num_items:].set(-jnp.inf)


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
