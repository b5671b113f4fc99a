"""The k-core of pairs."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxrec.data.core import k_core
from jaxrec.data.interactions import aggregate
from tests.data.test_interactions import EVENTS, make_interactions, make_listens


def test_removal_goes_on_to_the_fixpoint():
    # A chain hangs on the square (0,1)x(0,1); each removal leaves the next link too small.
    square = [(0, 0), (0, 1), (1, 0), (1, 1)]
    chain = [(1, 2), (2, 2), (2, 3), (3, 3), (3, 4)]
    core = k_core(make_interactions(square + chain), 2)
    assert list(zip(core.user.tolist(), core.item.tolist(), strict=True)) == square


@settings(max_examples=50)
@given(EVENTS, st.integers(0, 4))
def test_is_the_largest_part_with_k_each(events, k):
    whole = aggregate(make_listens(events))
    core = k_core(whole, k)
    for index in (core.user, core.item):
        assert (np.bincount(index)[index] >= k).all() if len(core) else True
    pairs = set(zip(whole.user.tolist(), whole.item.tolist(), strict=True))
    while True:
        users = [user for user, _ in pairs]
        items = [item for _, item in pairs]
        smaller = {p for p in pairs if users.count(p[0]) >= k and items.count(p[1]) >= k}
        if smaller == pairs:
            break
        pairs = smaller
    assert set(zip(core.user.tolist(), core.item.tolist(), strict=True)) == pairs
