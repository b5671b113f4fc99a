"""Why items are listed: what each item of a history brings to their scores, and what else does."""

import json

import numpy as np
import pyarrow as pa

from jaxrec.data.ids import IdMap
from jaxrec.models.histories import Histories
from jaxrec.models.model import Model

OTHERS = "other items"  # of the history, beside those that are named


def reasons_of(
    model: Model, history: Histories, items: np.ndarray, item_ids: IdMap, count: int
) -> list[str]:
    """Each item's reasons as JSON: `items`, the strongest of the history, and `rest` by name.

    All of it adds up to the score.

    Args:
      model: what ranked them.
      history: one history.
      items: [k] int32, the listed items.
      item_ids: their ids and names.
      count: how many items of the history are named.
    """
    if len(items) == 0:
        return []
    found = model.contributions(history, items)
    texts = []
    for place in range(len(items)):
        own = found.entries[:, place]
        strongest = np.argsort(-own, kind="stable")[:count]
        rest = {name: float(part[place]) for name, part in found.rest.items()}
        if len(own) > len(strongest):
            rest = {OTHERS: float(own.sum() - own[strongest].sum())} | rest
        strongest_items = [
            _named(item_ids, int(history.items[entry])) | {"contribution": float(own[entry])}
            for entry in strongest
        ]
        texts.append(json.dumps({"items": strongest_items, "rest": rest}, ensure_ascii=False))
    return texts


def reasons_table(model: Model, history: Histories, item: int, item_ids: IdMap) -> pa.Table:
    """One item's reasons, the greatest contribution first; what else there is stands last.

    Args:
      model: what scores it.
      history: one history.
      item: its index.
      item_ids: the items' ids and names.

    Returns:
      item, name (where names are known), rest (its name, of a row without an item), contribution.
      The contributions add up to the score.
    """
    found = model.contributions(history, np.array([item], np.int32))
    order = np.argsort(-found.entries[:, 0], kind="stable")
    rest = {name: float(part[0]) for name, part in found.rest.items()}
    columns = {
        name: pa.concat_arrays([column, pa.nulls(len(rest), column.type)])
        for name, column in item_columns(item_ids, history.items[order]).items()
    }
    values = np.r_[found.entries[order, 0], list(rest.values())].astype(np.float32)
    labels = pa.array([None] * len(order) + list(rest), pa.string())
    return pa.table(columns | {"rest": labels, "contribution": pa.array(values)})


def item_columns(item_ids: IdMap, index: np.ndarray) -> dict[str, pa.Array]:
    """Columns of ids, and of names where there are any."""
    columns = {"item": pa.array(item_ids.ids[index])}
    if item_ids.names is not None:
        columns["name"] = pa.array(item_ids.names[index], pa.string())
    return columns


def _named(item_ids: IdMap, index: int) -> dict[str, object]:
    named: dict[str, object] = {"item": item_ids.ids[index : index + 1].tolist()[0]}
    if item_ids.names is not None:
        named["name"] = str(item_ids.names[index])
    return named
