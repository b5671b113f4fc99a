"""From the rows in the store to `Listens`: ids numbered over all histories, names by item."""

import dataclasses

import numpy as np

from jaxrec.data.ids import IdMap
from jaxrec.data.interactions import Listens
from jaxrec.data.listen_store import ListenStore, Store

# A pair once, from the first time that it was known.
_KNOWN_PAIRS = (
    '(SELECT entry, min(row) AS row, "user", item, 1::DOUBLE AS plays, '
    'min(timestamp) AS timestamp FROM known GROUP BY entry, "user", item)'
)


def number_ids(store: Store, role: str, *, in_text: bool) -> np.ndarray:
    """Numbers the ids of `listens` from 0 in sorted order, in a table `<role>_ids`: the ids.

    Args:
      store: the rows.
      role: `user` or `item`.
      in_text: whether they are text by their type, whatever they look like.
    """
    store.query(
        f'CREATE TEMP TABLE distinct_{role} AS SELECT "{role}" AS id, count(*) AS rows '
        f'FROM listens GROUP BY "{role}"'
    )
    numbers = not in_text and not store.number(
        f"SELECT count(*) FROM distinct_{role} "
        "WHERE TRY_CAST(id AS BIGINT)::VARCHAR IS DISTINCT FROM id"
    )
    key = "id::BIGINT" if numbers else "id"
    store.query(
        f"CREATE TEMP TABLE {role}_ids AS SELECT id, "
        f"(row_number() OVER (ORDER BY {key}) - 1)::INTEGER AS index FROM distinct_{role}"
    )
    ids = store.arrays(f"SELECT {key} AS id FROM {role}_ids ORDER BY index")
    return np.asarray(ids["id"], np.int64 if numbers else object)


def rows_of_ids(store: Store, role: str) -> np.ndarray:
    """How many rows of `listens` each id has, by its number: [ids] int64."""
    counts = store.arrays(
        f"SELECT rows FROM distinct_{role} JOIN {role}_ids USING (id) ORDER BY index"
    )
    return np.asarray(counts["rows"], np.int64)


def item_names(store: Store) -> tuple[np.ndarray, int]:
    """The items' names by index, "" where there is none, and how many have several artists."""
    names = store.arrays(
        "SELECT coalesce(arg_min(name, row), '') AS name, "
        "min(first_artist) IS DISTINCT FROM max(last_artist) AS several "
        "FROM item_ids LEFT JOIN names ON names.item = item_ids.id GROUP BY index ORDER BY index"
    )
    return np.asarray(names["name"], object), int(names["several"].sum())


def histories(
    store: ListenStore,
    num_entries: int,
    users: IdMap,
    items: IdMap,
    *,
    with_times: bool,
    adds_up: bool,
) -> list[Listens]:
    """Each history with its known pairs, when the ids are numbered.

    Args:
      store: the rows.
      num_entries: how many histories there are.
      users: the users' ids.
      items: the items' ids.
      with_times: whether they have timestamps.
      adds_up: whether rows of a pair add up.
    """

    def history(entry: int, source: str) -> Listens:
        columns = store.arrays(
            "SELECT user_ids.index AS user_index, item_ids.index AS item_index, plays, "
            f"timestamp FROM {source} AS rows "
            'JOIN user_ids ON user_ids.id = rows."user" '
            "JOIN item_ids ON item_ids.id = rows.item WHERE entry = ? ORDER BY row",
            [entry],
        )
        return Listens(
            user=columns["user_index"],
            item=columns["item_index"],
            plays=columns["plays"],
            timestamp=columns["timestamp"] if with_times else None,
            users=users,
            items=items,
            adds_up=adds_up,
        )

    def beside(entry: int, table: str, rows: str) -> Listens | None:
        if not store.number(f"SELECT count(*) FROM {table}"):
            return None
        # Whom or what nothing is learnt from has no id.
        found = history(entry, rows)
        return found if len(found) else None

    return [
        dataclasses.replace(
            history(entry, "listens"),
            known=beside(entry, "known", _KNOWN_PAIRS),
            against=beside(entry, "against", "against"),
        )
        for entry in range(num_entries)
    ]
