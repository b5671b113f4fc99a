"""Lists with external ids: items for users, and items like an item."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from jaxrec.data.ids import IdMap
from jaxrec.errors import UserError
from jaxrec.files import replacing
from jaxrec.models.model import Model
from jaxrec.rank.asked import Asked
from jaxrec.rank.limits import PerGroup, top_within
from jaxrec.rank.reasons import item_columns, reasons_of

USERS_PER_TABLE = 16_384  # bounds the memory of a table, whatever the number of users


def top_lists(
    model: Model,
    asked: Asked,
    *,
    item_ids: IdMap,
    k: int,
    candidates: np.ndarray,
    memory_budget_mb: int,
    because: int = 0,
    limit: PerGroup | None = None,
) -> Iterator[tuple[int, pa.Table]]:
    """The top k items of each history, a table per some thousand of them.

    Args:
      model: what ranks.
      asked: whose lists are wanted, in this order.
      item_ids: the items' external ids and names.
      k: items per list; fewer where fewer are left.
      candidates: [num_items] bool, the items that may be listed.
      memory_budget_mb: MiB of scores held at once.
      because: how many items of the history are named as reasons; 0 for no such column.
      limit: how often a group of items may be in a list; None for no limit.

    Yields:
      How many users a table is for, and the table: user, rank (from 1), item, name (where names are
      known), score, and because (JSON, as of `reasons_of`). At least one table, be it empty.
    """
    for start in range(0, max(len(asked), 1), USERS_PER_TABLE):
        some = asked.take(np.arange(start, min(start + USERS_PER_TABLE, len(asked))))
        items, scores = top_within(
            model,
            some.histories,
            k=k,
            limit=limit,
            seen=some.hidden,
            candidates=candidates,
            memory_budget_mb=memory_budget_mb,
        )
        listed = items >= 0
        row, rank = np.nonzero(listed)
        columns = {
            "user": pa.array(some.names[row]),
            "rank": pa.array((rank + 1).astype(np.int32)),
            **item_columns(item_ids, items[listed]),
            "score": pa.array(scores[listed]),
        }
        if because:
            reasons = [
                reason
                for place in range(len(some))
                for reason in reasons_of(
                    model,
                    some.histories.take(np.array([place])),
                    items[place][listed[place]],
                    item_ids,
                    because,
                )
            ]
            columns["because"] = pa.array(reasons, pa.string())
        yield len(some), pa.table(columns)


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


def similar_lists(
    model: Model, items: np.ndarray, *, k: int, candidates: np.ndarray, item_ids: IdMap
) -> Iterator[tuple[int, pa.Table]]:
    """The items nearest to each of some, a table for each.

    Args:
      model: says how near they are.
      items: [n], indices.
      k: how many of each; fewer where there are fewer.
      candidates: [num_items] bool, the items that may be listed.
      item_ids: their ids and names.

    Yields:
      1, and the table: to (the id of the item), rank from 1, item, name (where names are known),
      similarity.
    """
    for item in items.tolist():
        nearest, similarities = similar_items(model, item, k=k, candidates=candidates)
        to = np.full(len(nearest), item)
        columns = {
            "to": pa.array(item_ids.ids[to]),
            "rank": pa.array(np.arange(1, len(nearest) + 1, dtype=np.int32)),
            **item_columns(item_ids, nearest),
        }
        yield 1, pa.table(columns | {"similarity": pa.array(similarities)})


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
