"""Lists with external ids: songs for listeners, and songs like a song."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from jaxrec.data.interactions import IdMap
from jaxrec.errors import UserError
from jaxrec.files import replacing
from jaxrec.rank.top_k import Model, Seen, top_k

USERS_PER_TABLE = 16_384  # bounds the memory of a table, whatever the number of users


def top_lists(
    model: Model,
    *,
    users: np.ndarray,
    user_ids: IdMap,
    item_ids: IdMap,
    k: int,
    candidates: np.ndarray,
    seen: Seen | None,
    memory_budget_mb: int,
) -> Iterator[tuple[int, pa.Table]]:
    """The top k songs of each user, a table per some thousand users.

    Args:
      model: (user embeddings, item embeddings), or a scorer, as in `top_k`.
      users: [n] int32, whose lists are wanted, in this order.
      user_ids: the users' external ids.
      item_ids: the songs' external ids and names.
      k: songs per list; fewer where a user has fewer left.
      candidates: [num_items] bool, the songs that may be listed.
      seen: songs to leave out by user, or None.
      memory_budget_mb: MiB of scores held at once.

    Yields:
      How many users a table is for, and the table: user, rank (from 1), item, name (where
      names are known), score.
    """
    for start in range(0, len(users), USERS_PER_TABLE):
        block = users[start : start + USERS_PER_TABLE]
        items, scores = top_k(
            model,
            block,
            k=k,
            seen=seen,
            candidates=candidates,
            memory_budget_mb=memory_budget_mb,
        )
        listed = items >= 0
        row, rank = np.nonzero(listed)
        columns = {
            "user": pa.array(user_ids.ids[block[row]]),
            "rank": pa.array((rank + 1).astype(np.int32)),
            "item": pa.array(item_ids.ids[items[listed]]),
        }
        if item_ids.names is not None:
            columns["name"] = pa.array(item_ids.names[items[listed]], pa.string())
        yield len(block), pa.table(columns | {"score": pa.array(scores[listed])})


def similar_items(
    item_embeddings: np.ndarray | jax.Array, item: int, *, k: int, candidates: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The k songs nearest to a song by the cosine of their embeddings, itself left out.

    Args:
      item_embeddings: [num_items, dim] float32.
      item: index of the song.
      k: how many; fewer where there are fewer.
      candidates: [num_items] bool, the songs that may be listed.

    Returns:
      items [<= k] int32, cosines [<= k] float32.
    """
    item_embeddings = np.asarray(item_embeddings)
    length = np.linalg.norm(item_embeddings, axis=1, keepdims=True)
    directions = item_embeddings / np.maximum(length, np.finfo(np.float32).tiny)
    others = candidates.copy()
    others[item] = False
    items, cosines = top_k(
        (directions, directions), np.array([item], np.int32), k=k, candidates=others
    )
    listed = items[0] >= 0
    return items[0][listed], cosines[0][listed]


def write_lists(
    lists: Iterator[tuple[int, pa.Table]], path: Path, on_users: Callable[[int], None]
) -> int:
    """Writes the tables of `top_lists` to one file, which appears when it is whole.

    Args:
      lists: at least one table.
      path: ends in .parquet or .csv.
      on_users: called with the number of users written since the last call.

    Returns:
      How many rows were written.

    Raises:
      UserError: another ending, or the file can't be written.
    """
    check_ending(path)
    open_writer = pq.ParquetWriter if path.suffix == ".parquet" else pa.csv.CSVWriter
    rows = 0
    try:
        with replacing(path) as temporary, contextlib.ExitStack() as stack:
            writer = None
            for users, table in lists:
                if writer is None:
                    writer = stack.enter_context(open_writer(str(temporary), table.schema))
                writer.write_table(table)
                rows += len(table)
                on_users(users)
    except OSError as error:
        raise UserError(f"--output={path}: {error}; expected a file that can be written") from error
    return rows


def check_ending(path: Path) -> None:
    """Raises UserError unless the path ends in .parquet or .csv."""
    if path.suffix not in (".parquet", ".csv"):
        raise UserError(f"--output={path}: expected a name ending in .parquet or .csv")
