"""Small histories to cut parts of."""

import numpy as np

from jaxrec.data.ids import IdMap
from jaxrec.data.interactions import Interactions


def history(users: int = 40, items: int = 30, *, times: bool = False) -> Interactions:
    table = np.random.default_rng(0).random((users, items)) < 0.3
    user, item = (each.astype(np.int32) for each in np.nonzero(table))
    return Interactions(
        user=user,
        item=item,
        plays=np.ones(len(user)),
        timestamp=np.arange(len(user))[::-1].astype(np.int64) if times else None,
        users=IdMap(np.arange(users)),
        items=IdMap(np.arange(items)),
    )
