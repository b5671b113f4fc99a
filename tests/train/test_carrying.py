"""What a network has learnt goes over by id; who is new starts amid who they go with."""

import numpy as np

from jaxrec.data.ids import IdMap
from jaxrec.data.interactions import Interactions
from jaxrec.gcn.embeddings import Embeddings
from jaxrec.train.carrying import Carried, Start, carry_over

RANDOM = np.random.default_rng(0)


def ids(*names: str) -> IdMap:
    return IdMap(np.array(names, object))


def table(rows: int) -> np.ndarray:
    return RANDOM.standard_normal((rows, 3)).astype(np.float32)


def test_rows_go_by_id_and_new_ones_have_their_neighbours_mean() -> None:
    start = Start(
        ids("ann", "bob", "gone"), ids("x", "y"), Embeddings(user=table(3), item=table(2)), ""
    )
    # ann: x, new song z. bob: y. eve is new: x, y, z. joe is new and knows what is new alone.
    train = Interactions(
        user=np.array([0, 0, 1, 2, 2, 2, 3], np.int32),
        item=np.array([1, 3, 2, 1, 2, 3, 0], np.int32),
        plays=np.ones(7),
        timestamp=None,
        users=ids("ann", "bob", "eve", "joe"),
        items=ids("w", "x", "y", "z"),
    )
    fresh = Embeddings(user=table(4), item=table(4))
    params, users, items = carry_over(start, train, fresh)
    old = start.params
    np.testing.assert_array_equal(params.user[:2], old.user[:2])
    np.testing.assert_array_equal(params.item[1:3], old.item)
    np.testing.assert_allclose(params.user[2], old.item.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(params.item[3], old.user[0], rtol=1e-6)  # of ann alone: eve is new
    np.testing.assert_array_equal(params.user[3], fresh.user[3])
    np.testing.assert_array_equal(params.item[0], fresh.item[0])
    assert users == items == Carried(known=2, near=1, others=1)
