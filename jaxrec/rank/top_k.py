"""The best k items of each user: exact, in bounded memory, from embeddings or from a scorer.

Users are scored in blocks of a fixed number of rows, whatever the memory budget, so that a chunk
size can't change a bit of the result: matrix products of other shapes round differently.
"""

import dataclasses
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from jaxrec.data.interactions import Interactions
from jaxrec.errors import RunError
from jaxrec.rank.search import HIDDEN_PER_STEP, ITEMS_PER_BLOCK, USERS_PER_BLOCK, best_columns

MOST_BLOCKS_PER_CHUNK = 32  # more users per dispatch measured no faster
USERS_PER_SCORING = 64  # more fall out of the cache, fewer repeat what a scorer reads for all
MEMORY_BUDGET_MB = 256
_ADVICE = "expected finite numbers; less extreme settings may help"

# users [n] int32 -> scores [n, num_items] float32, for whatever isn't an inner product. A user's
# scores depend on the user alone.
Scorer: TypeAlias = Callable[[np.ndarray], np.ndarray | jax.Array]
# (user embeddings [num_users, dim] float32, item embeddings [num_items, dim] float32), or a scorer.
Model: TypeAlias = tuple[np.ndarray | jax.Array, np.ndarray | jax.Array] | Scorer


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
    model: Model,
    users: np.ndarray,
    *,
    k: int,
    seen: Seen | None = None,
    candidates: np.ndarray | None = None,
    memory_budget_mb: int = MEMORY_BUDGET_MB,
) -> tuple[np.ndarray, np.ndarray]:
    """The k items with the largest scores, best first; of equal ones the lower index first.

    Every candidate is scored, in float32, and nothing is approximate. A score vector shared by
    all users is ranked by the same code: embeddings ones [num_users, 1] and scores [num_items, 1].

    Args:
      model: embeddings of users and items, whose inner products are the scores; or a scorer,
        which is always asked for USERS_PER_SCORING users at once.
      users: [n] integers in [0, num_users), in any order, repeats allowed.
      k: length of a list, at least 1; may be more than there are items.
      seen: items to leave out per user; None leaves out nothing.
      candidates: [num_items] bool, the items that may be listed; None allows all, which only
        embeddings know.
      memory_budget_mb: MiB of working memory beside the model. The result doesn't depend on
        it. The scores of one block of users (32 * num_items * 4 bytes) are needed at least; a
        scorer always takes those of twice 64 users.

    Returns:
      items [n, k] int32 and scores [n, k] float32; where fewer than k items are left, the rest is
      item -1 with score -inf.

    Raises:
      RunError: an embedding or a score isn't finite.
      ValueError: k below 1, a user out of range, shapes that don't fit together.
    """
    users = np.asarray(users)
    if not callable(model):
        model = np.asarray(model[0]), np.asarray(model[1])
        if candidates is None:
            candidates = np.ones(len(model[1]), bool)
    candidates = _check(model, users, k, seen, candidates)
    # A scorer has no table that could leave items out: its columns are all items.
    listable = np.flatnonzero(candidates | callable(model)).astype(np.int32)
    items = np.full((len(users), k), -1, np.int32)
    scores = np.full((len(users), k), -np.inf, np.float32)
    if len(users) == 0 or not candidates.any():
        return items, scores

    columns = -(-len(listable) // ITEMS_PER_BLOCK) * ITEMS_PER_BLOCK
    column_of_item = np.full(len(candidates), -1, np.int32)
    column_of_item[listable] = np.arange(len(listable), dtype=np.int32)
    listed = np.zeros(columns, bool)
    listed[: len(listable)] = candidates[listable]
    longest = min(k, columns)
    counts = np.zeros(len(users), np.int64) if seen is None else np.diff(seen.offsets)[users]
    if callable(model):
        table, chunk = None, USERS_PER_SCORING
    else:
        table, dim = _column_table(model[1], listable, columns), model[1].shape[1]
        chunk = _users_per_chunk(len(users), columns, dim, longest, counts, memory_budget_mb)
    # One length for every chunk, and seldom another one in the next call: fewer compilations.
    most_hidden = int(np.add.reduceat(counts, np.arange(0, len(users), chunk)).max())
    hidden_size = 0 if seen is None else (1 << most_hidden.bit_length()) + HIDDEN_PER_STEP

    def collect(
        start: int, finite: jax.Array, device_columns: jax.Array, device_scores: jax.Array
    ) -> None:
        if not finite:
            what = "the scores" if callable(model) else "the users' embeddings"
            raise RunError(f"{what} hold a NaN or an infinity; {_ADVICE}")
        rows = slice(start, min(start + chunk, len(users)))
        size = rows.stop - rows.start
        found = np.asarray(device_scores).reshape(chunk, longest)[:size]
        position = np.asarray(device_columns).reshape(chunk, longest)[:size]
        left = found > -np.inf
        scores[rows, :longest] = found
        items[rows, :longest] = np.where(left, listable[np.where(left, position, 0)], -1)

    pending: deque[tuple[int, jax.Array, jax.Array, jax.Array]] = deque()
    for start in range(0, len(users), chunk):
        chosen = users[start : start + chunk]
        # Filled up, so that the last product is of the same shape as all others.
        asked = np.resize(chosen, chunk).astype(np.int32)
        rows = _scores_of(model, asked, len(candidates)) if callable(model) else model[0][asked]
        blocks, finite = _blocks(rows)
        hidden = None
        if seen is not None:
            hidden = _hidden(seen, chosen, column_of_item, columns, chunk, hidden_size)
        pending.append((start, finite, *best_columns(blocks, table, listed, hidden, longest)))
        # The device ranks this chunk while the host fetches the last one and prepares the next.
        if len(pending) > 1:
            collect(*pending.popleft())
    while pending:
        collect(*pending.popleft())
    return items, scores


def _column_table(item_table: np.ndarray, listable: np.ndarray, columns: int) -> jax.Array:
    table = np.zeros((columns, item_table.shape[1]), np.float32)
    table[: len(listable)] = item_table[listable]
    return jax.device_put(table)


def _scores_of(scorer: Scorer, users: np.ndarray, num_items: int) -> np.ndarray | jax.Array:
    scores = scorer(users)
    if scores.shape != (len(users), num_items):
        raise ValueError(
            f"the scores have the shape {scores.shape}; expected {(len(users), num_items)}"
        )
    return scores


@jax.jit
def _blocks(rows: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The rows as float32 [blocks, USERS_PER_BLOCK, width], and whether all are finite."""
    rows = rows.astype(jnp.float32)
    return rows.reshape(-1, USERS_PER_BLOCK, rows.shape[1]), jnp.isfinite(rows).all()


def _check(
    model: tuple[np.ndarray, np.ndarray] | Scorer,
    users: np.ndarray,
    k: int,
    seen: Seen | None,
    candidates: np.ndarray | None,
) -> np.ndarray:
    """Raises where the arguments don't fit together or aren't finite; returns the candidates."""
    if k < 1:
        raise ValueError(f"k is {k}; expected at least 1")
    if candidates is None:
        raise ValueError("candidates are None; a scorer needs them: expected [num_items] bool")
    num_items = len(candidates)
    num_users = None if seen is None else len(seen.offsets) - 1
    if not callable(model):
        user_table, item_table = model
        if (
            user_table.ndim != 2
            or item_table.ndim != 2
            or user_table.shape[1] != item_table.shape[1]
        ):
            raise ValueError(
                f"embeddings have the shapes {user_table.shape} and {item_table.shape}; "
                "expected [num_users, dim] and [num_items, dim]"
            )
        num_items = len(item_table)
        if num_users not in (None, len(user_table)):
            raise ValueError(f"seen has {num_users} users; expected {len(user_table)}")
        num_users = len(user_table)
        if not np.isfinite(item_table).all():
            raise RunError(f"the songs' embeddings hold a NaN or an infinity; {_ADVICE}")
    if candidates.shape != (num_items,) or candidates.dtype != bool:
        raise ValueError(
            f"candidates are {candidates.dtype} {candidates.shape}; expected bool ({num_items},)"
        )
    if num_users is not None and len(users) and (users.min() < 0 or users.max() >= num_users):
        raise ValueError(f"users lie in {users.min()}..{users.max()}; expected 0..{num_users - 1}")
    if num_items * USERS_PER_BLOCK > 2**31 - 2**16:
        raise ValueError(f"{num_items} items; expected at most 67 million")
    return candidates


def _users_per_chunk(
    num_users: int, columns: int, width: int, k: int, hidden: np.ndarray, memory_budget_mb: int
) -> int:
    """How many users one dispatch ranks: a multiple of the block, the same for every chunk."""
    in_flight = 2
    # Blocks within a chunk are ranked one by one, so only one has its scores in memory.
    room = memory_budget_mb * 2**20 - USERS_PER_BLOCK * columns * 4
    per_user = in_flight * (4 * width + 8 * k + 4 * int(hidden.mean()))
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
