"""Lists with external ids: items for users, and items like an item."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from jaxrec.data.interactions import IdMap, Interactions
from jaxrec.errors import UserError
from jaxrec.files import replacing
from jaxrec.models.histories import Histories
from jaxrec.models.model import Model
from jaxrec.rank.top_k import Seen, top_k

USERS_PER_TABLE = 16_384  # bounds the memory of a table, whatever the number of users


def top_lists(
    model: Model,
    histories: Histories,
    *,
    names: np.ndarray,
    item_ids: IdMap,
    k: int,
    candidates: np.ndarray,
    seen: Interactions | None,
    only: bool = False,
    memory_budget_mb: int,
) -> Iterator[tuple[int, pa.Table]]:
    """The top k items of each history, a table per some thousand of them.

    Args:
      model: what ranks.
      histories: [n], whose lists are wanted, in this order.
      names: [n], what each history's user is called in the table.
      item_ids: the items' external ids and names.
      k: items per list; fewer where fewer are left.
      candidates: [num_items] bool, the items that may be listed.
      seen: items to leave out by user, of an unknown user those of the history; None to leave
        out nothing.
      only: whether all but these are left out instead.
      memory_budget_mb: MiB of scores held at once.

    Yields:
      How many users a table is for, and the table: user, rank (from 1), item, name (where names are
      known), score. At least one table, be it empty.
    """
    for start in range(0, max(len(histories), 1), USERS_PER_TABLE):
        block = np.arange(start, min(start + USERS_PER_TABLE, len(histories)))
        some = histories.take(block)
        items, scores = top_k(
            model,
            some,
            k=k,
            seen=None if seen is None else seen_by(some, seen, only=only),
            candidates=candidates,
            memory_budget_mb=memory_budget_mb,
        )
        listed = items >= 0
        row, rank = np.nonzero(listed)
        columns = {
            "user": pa.array(names[block[row]]),
            "rank": pa.array((rank + 1).astype(np.int32)),
            "item": pa.array(item_ids.ids[items[listed]]),
        }
        if item_ids.names is not None:
            columns["name"] = pa.array(item_ids.names[items[listed]], pa.string())
        yield len(block), pa.table(columns | {"score": pa.array(scores[listed])})


def seen_by(histories: Histories, interactions: Interactions, *, only: bool = False) -> Seen:
    """What each history's user is known to have listened to; of an unknown one, the history."""
    if (histories.users >= 0).all():
        return Seen.of_users(interactions, histories.users, only=only)
    if (histories.users < 0).all():
        return Seen(histories.offsets, histories.items, only)
    raise ValueError("histories of known and of unknown users; expected one or the other")


def similar_items(
    model: Model, item: int, *, k: int, candidates: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The k items nearest to one, itself left out; of equally near ones the lower index first.

    Args:
      model: says how near they are, as of `Model.similarities`.
      item: index of the item.
      k: how many; fewer where there are fewer.
      candidates: [num_items] bool, the items that may be listed.

    Returns:
      items [<= k] int32, similarities [<= k] float32.
    """
    similarity = model.similarities(item)
    others = np.flatnonzero(candidates & (np.arange(len(candidates)) != item)).astype(np.int32)
    nearest = others[np.argsort(-similarity[others], kind="stable")[:k]]
    return nearest, similarity[nearest]


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
