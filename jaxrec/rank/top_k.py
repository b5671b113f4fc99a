"""The best k items of each history: exact, in bounded memory, from any model.

Histories are scored in blocks of a fixed number of rows, whatever the memory budget, so that a
chunk size can't change a bit of the result: matrix products of other shapes round differently.
"""

import functools
from collections import deque
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxrec.errors import RunError
from jaxrec.models.factors import Factors
from jaxrec.models.histories import Histories
from jaxrec.models.model import Array, Model
from jaxrec.rank.beside import Beside
from jaxrec.rank.best_columns import USERS_PER_BLOCK
from jaxrec.rank.best_of_few import ADVICE, best_of_few
from jaxrec.rank.chunks import Columns, Found, Hidden, Lists
from jaxrec.rank.devices import best_columns_on, mesh_for, on_each
from jaxrec.rank.seen import Seen

MOST_BLOCKS_PER_CHUNK = 32  # more users per dispatch measured no faster
USERS_PER_SCORING = 64  # more fall out of the cache, fewer repeat what a model reads for all
MEMORY_BUDGET_MB = 256


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
    count = len(histories)
    what = "the scores" if factors is None else "the users' embeddings"
    lists = Lists.of(count, k, what, on_histories)
    if count == 0 or not candidates.any():
        return lists.items, lists.scores
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

    # Where not all is in a table that could leave items out, the columns are all items.
    alone = factors is not None and beside is None
    columns = Columns.of(candidates, np.flatnonzero(candidates | (not alone)).astype(np.int32))
    width = len(columns.listed)
    longest = min(k, width)
    counts = np.zeros(count, np.int64) if seen is None else np.diff(seen.offsets)
    mesh = mesh_for(count) if alone else None
    devices = 1 if mesh is None else mesh.size
    if factors is None:
        table, share = None, USERS_PER_SCORING
    else:
        table = on_each(columns.table(np.asarray(factors.item)), mesh)
        budget = memory_budget_mb // devices
        entries = counts if beside is None else counts + 2 * np.diff(histories.offsets)
        dim = factors.item.shape[1]
        share = _users_per_chunk(-(-count // devices), width, dim, longest, entries, budget)
    chunk = devices * share
    hidden = None if seen is None else Hidden.of(seen, columns, share)
    if beside is not None:
        floor = jnp.where(columns.listed, np.float32(0), -jnp.inf)
        entries_size = beside.size(histories, chunk)

    pending: deque[Found] = deque()
    for start in range(0, count, chunk):
        chosen = np.arange(start, min(start + chunk, count))
        # Filled up, so that the last product is of the same shape as all others.
        asked = histories.take(np.resize(chosen, chunk))
        rows = _scores_of(model, asked) if factors is None else factors.user_vectors(asked)
        blocks, finite = _blocks(rows)
        added = None
        if beside is not None:
            added = beside.added(histories.take(chosen), chunk, entries_size, floor)
        off = None if hidden is None else hidden.positions(chosen, chunk)
        best = best_columns_on(blocks, table, columns.listed, off, longest, mesh, added)
        pending.append(Found(chosen, finite, *best))
        # The device ranks this chunk while the host fetches the last one and prepares the next.
        if len(pending) > 1:
            lists.keep(pending.popleft(), columns)
    while pending:
        lists.keep(pending.popleft(), columns)
    return lists.items, lists.scores


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
