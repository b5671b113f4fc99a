"""A list with a limit goes down the whole ranking, as slowly as by hand."""

import numpy as np
import pytest

from jaxrec.rank.limits import PerGroup, top_within
from jaxrec.rank.top_k import Seen, top_k
from tests.rank.models import factors, users_of

ITEMS, USERS, K = 60, 20, 5


@pytest.mark.parametrize("most", [1, 2, 50])
@pytest.mark.parametrize("groups", [2, 3, 30])
def test_lists_are_those_of_going_down_the_ranking(groups: int, most: int) -> None:
    random = np.random.default_rng(groups)
    model = factors(
        random.normal(size=(USERS, 4)).astype(np.float32),
        random.normal(size=(ITEMS, 4)).astype(np.float32),
    )
    # Most items are of the first group, so that some lists must be looked for further down.
    group = np.minimum(random.geometric(0.5, ITEMS) - 1, groups - 1).astype(np.int32)
    group[:3] = -1
    histories = users_of(range(USERS), ITEMS)
    seen = Seen(np.arange(USERS + 1), random.integers(0, ITEMS, USERS).astype(np.int32))
    candidates = np.arange(ITEMS) % 7 != 0
    ranking, every = top_k(model, histories, k=ITEMS, seen=seen, candidates=candidates)
    items, scores = top_within(
        model, histories, k=K, limit=PerGroup(group, most), seen=seen, candidates=candidates
    )
    for user in range(USERS):
        listed: list[int] = []
        for item in ranking[user][ranking[user] >= 0].tolist():
            same = sum(group[other] == group[item] for other in listed)
            if len(listed) < K and (group[item] < 0 or same < most):
                listed.append(item)
        assert items[user][items[user] >= 0].tolist() == listed
        own = dict(zip(ranking[user].tolist(), every[user].tolist(), strict=True))
        assert scores[user][: len(listed)].tolist() == [own[item] for item in listed]


def test_without_a_limit_nothing_changes() -> None:
    random = np.random.default_rng(0)
    model = factors(random.normal(size=(3, 4)), random.normal(size=(9, 4)))
    histories, nothing = users_of(range(3), 9), Seen(np.zeros(4, np.int64), np.zeros(0, np.int32))
    wanted = top_k(model, histories, k=4, seen=nothing)
    found = top_within(model, histories, k=4, limit=None, seen=nothing)
    for one, other in zip(wanted, found, strict=True):
        np.testing.assert_array_equal(one, other)
