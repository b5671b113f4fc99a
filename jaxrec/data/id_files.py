"""Ids on disk: a Parquet file of index, id and, where they are known, name."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jaxrec.data.ids import IdMap
from jaxrec.errors import UserError
from jaxrec.files import replacing


def write_ids(path: Path, id_map: IdMap) -> None:
    """Writes the ids, whole or not at all."""
    columns = {
        "index": pa.array(np.arange(len(id_map), dtype=np.int32)),
        "id": pa.array(id_map.ids),
    }
    if id_map.names is not None:
        columns["name"] = pa.array(id_map.names, pa.string())
    with replacing(path) as temporary:
        pq.write_table(pa.table(columns), temporary)


def read_ids(path: Path) -> IdMap:
    """The ids that `write_ids` has written.

    Raises:
      UserError: the file is missing or damaged.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(
            f"{path}: unreadable ({error}); expected the file that was written"
        ) from error
    names = table["name"].to_numpy() if "name" in table.column_names else None
    return IdMap(table["id"].to_numpy(), names)
