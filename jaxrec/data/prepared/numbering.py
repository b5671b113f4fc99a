"""Second stage: ids numbered from 0 in sorted order, and the users cut into partitions."""

import numpy as np

from jaxrec.data.id_files import write_ids
from jaxrec.data.ids import IdMap
from jaxrec.data.listen_store import Store
from jaxrec.data.number_listens import item_names, number_ids, rows_of_ids
from jaxrec.data.prepared.journal import Journal
from jaxrec.data.prepared.layout import Layout
from jaxrec.data.prepared.stage import Staged
from jaxrec.errors import UserError


def number_all(
    store: Store,
    layout: Layout,
    staged: Staged,
    journal: Journal,
    *,
    with_names: bool,
    partition_rows: int,
) -> list[int]:
    """Writes the ids of users and items.

    Args:
      store: has the tables `listens` and `names`.
      layout: where to write.
      staged: says which ids are text.
      journal: what is done.
      with_names: whether items have names.
      partition_rows: about how many rows a partition of the users is to have.

    Returns:
      The first user of each partition, and the number of users.

    Raises:
      UserError: no row is left.
    """
    if (found := journal.found("ids")) is not None:
        return list(found["partitions"])
    users = number_ids(store, "user", in_text=staged.text_ids["user"])
    if len(users) == 0:
        raise UserError(f"no listens left, expected at least one ({staged.report})")
    write_ids(layout.ids("user"), IdMap(users))
    partitions = cut_users(rows_of_ids(store, "user"), partition_rows)
    items = number_ids(store, "item", in_text=staged.text_ids["item"])
    names, several = item_names(store) if with_names else (None, 0)
    write_ids(layout.ids("item"), IdMap(items, names))
    journal.done("ids", {"partitions": partitions, "several_artists": several})
    return partitions


def cut_users(rows: np.ndarray, partition_rows: int) -> list[int]:
    """The first user of each partition, of about as many rows, and the number of users.

    Args:
      rows: [users] int64, the rows of each.
      partition_rows: the rows of a partition; one user alone may have more.
    """
    before = np.concatenate([[0], np.cumsum(rows)[:-1]])
    place = before // partition_rows
    first = np.flatnonzero(np.concatenate([[True], place[1:] != place[:-1]]))
    return [*first.tolist(), len(rows)]
