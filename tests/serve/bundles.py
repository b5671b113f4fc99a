"""A bundle made by hand: few songs, each of which speaks for its neighbours."""

from typing import Any

import numpy as np
import pyarrow as pa

from jaxrec.data.ids import IdMap
from jaxrec.serve.bundle import Bundle
from jaxrec.serve.ids import item_table

NAMES = [
    "Été — Zaz",
    "Rain — The Café",
    "Rain — Zaz",
    "rain  dance — Nobody",
    "Sun — The Café",
    "",
    "Moon — Unheard",
]
IDS = [f"s{number}" for number in range(len(NAMES))]
HISTORIES = {"ann": [0, 1], "bob": [1, 2, 5], "eve": [4]}
ALSO_KNOWN = {"ann": [3]}  # beside what is learnt from
NUM_LISTED = len(NAMES) - 1  # nobody has listened to the last one
# What a song says of each other: 1 / (1 + the distance of their numbers).
WEIGHTS = 1 / (1 + np.abs(np.subtract.outer(np.arange(7), np.arange(7)))).astype(np.float32)


def small_bundle(**about: Any) -> Bundle:
    """The bundle; `about` says what else it tells of itself."""
    users = [item for items in HISTORIES.values() for item in items]
    seen = {who: sorted(items + ALSO_KNOWN.get(who, [])) for who, items in HISTORIES.items()}
    listed = np.arange(len(NAMES)) < NUM_LISTED
    return Bundle(
        about={
            "kind": "item_weights",
            "settings": {"step_exponent": None},
            "method": "itemknn",
            "weight": "binary",
            "half_life_days": None,
            "learnt": {"plays": "binary", "half_life_days": None},
            "protocol": {},
            "part": "test",
            "metrics": {"recall@20": 0.5},
        }
        | about,
        model={"weights": WEIGHTS},
        histories={
            "offsets": np.cumsum([0, *map(len, HISTORIES.values())]),
            "items": np.array(users, np.int32),
            "weights": np.ones(len(users), np.float32),
            "seen_offsets": np.cumsum([0, *map(len, seen.values())]),
            "seen_items": np.concatenate(list(seen.values())).astype(np.int32),
            "listed": listed,
            "users": np.bincount(users, minlength=len(NAMES)).astype(np.int32),
        },
        items=item_table(IdMap(np.array(IDS, object), np.array(NAMES, object))),
        users=pa.table({"id": list(HISTORIES)}),
    )
