"""The best k items of each history: exact, in bounded memory, from any model.

Histories are scored in blocks of a fixed number of rows, whatever the memory budget, so that a
chunk size can't change a bit of the result: matrix products of other shapes round differently.
"""

import dataclasses
import functools
from collections import deque
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxrec.data.interactions import Interactions
from jaxrec.errors import RunError
from jaxrec.models.factors import Factors
from jaxrec.models.histories import Histories
from jaxrec.models.model import Array, Model
from jaxrec.rank.beside import Beside
from jaxrec.rank.best_columns import (
    HIDDEN_PER_STEP,
    ITEMS_PER_BLOCK,
    USERS_PER_BLOCK,
)
from jaxrec.rank.best_of_few import ADVICE, best_of_few
from jaxrec.rank.devices import best_columns_on, mesh_for, on_each

MOST_BLOCKS_PER_CHUNK = 32  # more users per dispatch measured no faster
USERS_PER_SCORING = 64  # more fall out of the cache, fewer repeat what a model reads for all
MEMORY_BUDGET_MB = 256


@dataclasses.dataclass(frozen=True, eq=False)
class Seen:
    """The items to leave out of each list, or the only ones to be in it, in compressed rows.

    Attributes:
      offsets: [n + 1] int64: the r-th list leaves out `items[offsets[r]:offsets[r + 1]]`.
      items: [num_entries] int32, increasing within a list.
      only: whether these are the only ones that the list may have.
    """

    offsets: np.ndarray
    items: np.ndarray
    only: bool = False

    @classmethod
    def of_users(
        cls, interactions: Interactions, users: np.ndarray, *, only: bool = False
    ) -> "Seen":
        """What each of some users has an interaction with."""
        rows = Histories.of_all(interactions, "binary").take(users)
        return cls(rows.offsets, rows.items, only)

    def take(self, rows: np.ndarray) -> "Seen":
        """Some of the lists' rows, by their places."""
        lengths = np.diff(self.offsets)[rows]
        offsets = np.r_[0, np.cumsum(lengths)].astype(np.int64)
        places = np.repeat(self.offsets[:-1][rows] - offsets[:-1], lengths)
        return Seen(offsets, self.items[places + np.arange(offsets[-1])], self.only)


def top_k(
    model: Model,
    histories: Histories,
    *,
    k: int,
    seen: Seen | None = None,
    candidates: np.ndarray | None = None,
    memory_budget_mb: int = MEMORY_BUDGET_MB,
    on_histories: Callable[[int], None] = lambda count: None,
) -> tuple[np.ndarray, np.ndarray]:
    """The k items with the largest scores, best first; of equal ones the lower index first.

    Every candidate is scored, in float32, and nothing is approximate. For models of factors, on a
    CPU with a sparse matrix of items beside them, too, all users' scores are never written down.

    Args:
      model: what scores them. One of another kind is always asked for USERS_PER_SCORING at once.
      histories: [n], whose lists are wanted.
      k: length of a list, at least 1; may be more than there are items.
      seen: items to leave out of each of the n lists, or all that may be in it; None leaves out
        nothing.
      candidates: [num_items] bool, the items that may be listed; None allows all.
      memory_budget_mb: MiB of working memory beside the model. The result doesn't depend on
        it. The scores of one block of users (32 * num_items * 4 bytes) are needed at least, and
        of one for each of this process's devices, among which they are shared; a
        model of another kind always takes those of twice 64 users.
      on_histories: called with the number of lists found since the last call.

    Returns:
      items [n, k] int32 and scores [n, k] float32; where fewer than k items are left, the rest is
      item -1 with score -inf.

    Raises:
      RunError: a vector or a score isn't finite.
      ValueError: k below 1, or shapes that don't fit together.
    """
    if candidates is None:
        candidates = np.ones(model.num_items, bool)
    factors, beside = Beside.of(model) or (model if isinstance(model, Factors) else None, None)
    _check(model, factors, histories, k, seen, candidates)
    if beside is not None and not beside.model.is_finite:
        raise RunError(f"the items' weights hold a NaN or an infinity; {ADVICE}")
    # Where not all is in a table that could leave items out, the columns are all items.
    alone = factors is not None and beside is None
    listable = np.flatnonzero(candidates | (not alone)).astype(np.int32)
    count = len(histories)
    items = np.full((count, k), -1, np.int32)
    scores = np.full((count, k), -np.inf, np.float32)
    if count == 0 or not candidates.any():
        return items, scores
    if seen is not None and seen.only:
        return best_of_few(
            functools.partial(_scores_of, model),
            histories,
            k,
            own=(seen.offsets, seen.items),
            candidates=candidates,
            rows_at_once=USERS_PER_SCORING,
            on_histories=on_histories,
        )

    columns = -(-len(listable) // ITEMS_PER_BLOCK) * ITEMS_PER_BLOCK
    column_of_item = np.full(len(candidates), -1, np.int32)
    column_of_item[listable] = np.arange(len(listable), dtype=np.int32)
    listed = np.zeros(columns, bool)
    listed[: len(listable)] = candidates[listable]
    longest = min(k, columns)
    counts = np.zeros(count, np.int64) if seen is None else np.diff(seen.offsets)
    mesh = mesh_for(count) if alone else None
    devices = 1 if mesh is None else mesh.size
    if factors is None:
        table, share = None, USERS_PER_SCORING
    else:
        item_table = np.asarray(factors.item)
        table, dim = _column_table(item_table, listable, columns, mesh), item_table.shape[1]
        budget = memory_budget_mb // devices
        entries = counts if beside is None else counts + 2 * np.diff(histories.offsets)
        share = _users_per_chunk(-(-count // devices), columns, dim, longest, entries, budget)
    chunk = devices * share
    # One length for every share, and seldom another one in the next call: fewer compilations.
    most_hidden = int(np.add.reduceat(counts, np.arange(0, count, share)).max())
    hidden_size = 0 if seen is None else (1 << most_hidden.bit_length()) + HIDDEN_PER_STEP
    if beside is not None:
        floor = jnp.where(listed, np.float32(0), -jnp.inf)
        entries_size = beside.size(histories, chunk)

    def collect(
        start: int, finite: jax.Array, device_columns: jax.Array, device_scores: jax.Array
    ) -> None:
        if not finite:
            what = "the scores" if factors is None else "the users' embeddings"
            raise RunError(f"{what} hold a NaN or an infinity; {ADVICE}")
        rows = slice(start, min(start + chunk, count))
        size = rows.stop - rows.start
        found = np.asarray(device_scores).reshape(chunk, longest)[:size]
        if np.isposinf(found).any() or np.isnan(found).any():
            raise RunError(f"the scores hold a NaN or an infinity; {ADVICE}")
        position = np.asarray(device_columns).reshape(chunk, longest)[:size]
        left = found > -np.inf
        scores[rows, :longest] = found
        items[rows, :longest] = np.where(left, listable[np.where(left, position, 0)], -1)
        on_histories(size)

    pending: deque[tuple[int, jax.Array, jax.Array, jax.Array]] = deque()
    for start in range(0, count, chunk):
        chosen = np.arange(start, min(start + chunk, count))
        # Filled up, so that the last product is of the same shape as all others.
        asked = histories.take(np.resize(chosen, chunk))
        rows = _scores_of(model, asked) if factors is None else factors.user_vectors(asked)
        blocks, finite = _blocks(rows)
        hidden = None
        if seen is not None:
            of_each = (chosen[first : first + share] for first in range(0, chunk, share))
            parts = [
                _hidden(seen, users, column_of_item, columns, share, hidden_size)
                for users in of_each
            ]
            positions, offsets = (np.concatenate(each) for each in zip(*parts, strict=True))
            hidden = positions, offsets
        added = None
        if beside is not None:
            added = beside.added(histories.take(chosen), chunk, entries_size, floor)
        found = best_columns_on(blocks, table, listed, hidden, longest, mesh, added)
        pending.append((start, finite, *found))
        # The device ranks this chunk while the host fetches the last one and prepares the next.
        if len(pending) > 1:
            collect(*pending.popleft())
    while pending:
        collect(*pending.popleft())
    return items, scores


def _column_table(
    item_table: np.ndarray, listable: np.ndarray, columns: int, mesh: Mesh | None
) -> jax.Array:
    table = np.zeros((columns, item_table.shape[1]), np.float32)
    table[: len(listable)] = item_table[listable]
    return on_each(table, mesh)


def _scores_of(model: Model, histories: Histories) -> Array:
    scores = model.scores(histories)
    if scores.shape != (len(histories), model.num_items):
        raise ValueError(
            f"the scores have the shape {scores.shape}; expected "
            f"{(len(histories), model.num_items)}"
        )
    return scores


@jax.jit
def _blocks(rows: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The rows as float32 [blocks, USERS_PER_BLOCK, width], and whether all are finite."""
    rows = rows.astype(jnp.float32)
    return rows.reshape(-1, USERS_PER_BLOCK, rows.shape[1]), jnp.isfinite(rows).all()


def _check(
    model: Model,
    factors: Factors | None,
    histories: Histories,
    k: int,
    seen: Seen | None,
    candidates: np.ndarray,
) -> None:
    """Raises where the arguments don't fit together or aren't finite."""
    num_items = model.num_items
    if k < 1:
        raise ValueError(f"k is {k}; expected at least 1")
    if histories.num_items != num_items:
        raise ValueError(f"histories of {histories.num_items} items; expected {num_items}")
    if candidates.shape != (num_items,) or candidates.dtype != bool:
        raise ValueError(
            f"candidates are {candidates.dtype} {candidates.shape}; expected bool ({num_items},)"
        )
    if seen is not None and len(seen.offsets) - 1 != len(histories):
        raise ValueError(f"seen has {len(seen.offsets) - 1} rows; expected {len(histories)}")
    if factors is not None:
        users, user_table = histories.users, factors.user
        if len(users) and users.max() >= len(user_table):
            raise ValueError(f"user {users.max()}; expected below {len(user_table)}")
        if not np.isfinite(np.asarray(factors.item)).all():
            raise RunError(f"the items' embeddings hold a NaN or an infinity; {ADVICE}")
    if num_items * USERS_PER_BLOCK > 2**31 - 2**16:
        raise ValueError(f"{num_items} items; expected at most 67 million")


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
