"""Third stage: the rows with numbers instead of ids, a file for each chunk, cut by partition."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from jaxrec.data.listen_store import Store
from jaxrec.data.prepared.journal import Journal
from jaxrec.data.prepared.layout import Layout
from jaxrec.data.prepared.stage import TABLES, chunk_path
from jaxrec.data.prepared.views import Timing, show_rows
from jaxrec.files import replacing

ROWS = ("listens", "known")
_COLUMNS = ("user", "item", "plays", "timestamp")


def partition_rows(
    store: Store,
    layout: Layout,
    chunks: Sequence[str],
    timing: Timing,
    partitions: Sequence[int],
    journal: Journal,
    *,
    in_order: bool,
) -> Iterator[str]:
    """Cuts each chunk's rows by partition, and removes the chunk; yields its name.

    Args:
      store: may read the folder.
      layout: where the ids are, and the chunks.
      chunks: their names.
      timing: which of their rows count.
      partitions: the first user of each, and the number of users.
      journal: what is done.
      in_order: whether a partition's rows must stay in the order in which they were read.
    """
    todo = [chunk for chunk in chunks if journal.found(f"parted-{chunk}") is None]
    if todo:
        for role in ("user", "item"):
            store.query(
                f"CREATE OR REPLACE TEMP TABLE {role}_ids AS SELECT id::VARCHAR AS id, index "
                "FROM read_parquet(?)",
                [str(layout.ids(role))],
            )
    for chunk in chunks:
        if journal.found(f"parted-{chunk}") is None:
            show_rows(store, layout.work, [chunk], timing)
            for table in ROWS:
                _part(store, layout.work, chunk, table, partitions, in_order=in_order)
            journal.done(f"parted-{chunk}", {})
        for table in TABLES:
            chunk_path(layout.work, chunk, table).unlink(missing_ok=True)
        yield chunk


def _parts_path(work: Path, chunk: str, table: str) -> Path:
    return work / f"{chunk}.{table}.arrow"


def _part(
    store: Store,
    work: Path,
    chunk: str,
    table: str,
    partitions: Sequence[int],
    *,
    in_order: bool,
) -> None:
    columns = store.arrays(
        "SELECT user_ids.index AS user, item_ids.index AS item, plays, "
        "coalesce(timestamp, 0) AS timestamp "  # null where the history has no times
        f"FROM {table} AS rows "
        'JOIN user_ids ON user_ids.id = rows."user" JOIN item_ids ON item_ids.id = rows.item'
        + (" ORDER BY row" if in_order else "")
    )
    order, offsets = by_partition(columns["user"], partitions)
    batch = pa.RecordBatch.from_pydict({name: columns[name][order] for name in _COLUMNS})
    with replacing(_parts_path(work, chunk, table)) as temporary:
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        with pa.ipc.new_file(temporary, batch.schema, options=options) as file:
            for start, stop in itertools.pairwise(offsets):
                file.write_batch(batch.slice(start, stop - start))


def by_partition(user: np.ndarray, partitions: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """The rows of each partition after another, and where each one's begin.

    Args:
      user: [n] int, the user of each row.
      partitions: the first user of each, and the number of users.

    Returns:
      [n] int64, the rows, those of a partition in their order; [partitions + 1] int64, the place
      of the first of each among these, and n.
    """
    ends = np.asarray(partitions[1:])
    place = np.searchsorted(ends, user, side="right").astype(np.int32)
    order = np.argsort(place, kind="stable")
    return order, np.searchsorted(place[order], np.arange(len(ends) + 1))


def remove_parts(work: Path, chunks: Sequence[str]) -> None:
    """Removes what `partition_rows` has written, when all of it has been added up."""
    for chunk in chunks:
        for table in ROWS:
            _parts_path(work, chunk, table).unlink(missing_ok=True)


def read_partition(
    work: Path, chunks: Sequence[str], table: str, number: int
) -> dict[str, np.ndarray]:
    """The rows of a partition from all chunks, in the order of the chunks, by column."""
    pieces: dict[str, list[np.ndarray]] = {name: [] for name in _COLUMNS}
    for chunk in chunks:
        with pa.ipc.open_file(str(_parts_path(work, chunk, table))) as file:
            batch = file.get_batch(number)
        for name in _COLUMNS:
            pieces[name].append(batch.column(name).to_numpy(zero_copy_only=False))
    return {name: np.concatenate(found) for name, found in pieces.items()}
