"""A list with a limit goes down the whole ranking, as slowly as by hand."""

from typing import Any

import numpy as np
import pytest

from jaxrec.rank import limits
from jaxrec.rank.limits import PerGroup, top_within
from jaxrec.rank.seen import Seen
from jaxrec.rank.top_k import top_k
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


@pytest.mark.parametrize("only", [False, True])
def test_a_list_that_can_not_be_longer_is_not_looked_for_further(
    monkeypatch: pytest.MonkeyPatch, only: bool
) -> None:
    """Nine groups of songs of which each list has one, and ten are wanted."""
    random = np.random.default_rng(0)
    users, width = 200, 900
    model = factors(random.normal(size=(users, 4)), random.normal(size=(width, 4)))
    group = (np.arange(width) % 9).astype(np.int32)
    # The first has heard all songs of a group, the second all but one of it.
    heard = [np.flatnonzero(group == 0), np.flatnonzero(group == 0)[1:]]
    heard += [np.sort(random.choice(width, 200, False)) for _ in range(users - 2)]
    offsets = np.r_[0, np.cumsum([len(each) for each in heard])]
    seen = Seen(offsets, np.concatenate(heard).astype(np.int32), only)
    candidates = np.arange(width) != 5
    limit = PerGroup(group, 1)
    asked: list[int] = []

    def watched(*args: Any, k: int, **options: Any) -> tuple[np.ndarray, np.ndarray]:
        asked.append(k)
        return top_k(*args, k=k, **options)

    monkeypatch.setattr(limits, "top_k", watched)
    items, _ = top_within(
        model, users_of(range(users), width), k=10, limit=limit, seen=seen, candidates=candidates
    )
    reachable = limit.reachable(seen, candidates)
    assert (items >= 0).sum(axis=1).tolist() == reachable.tolist()
    assert reachable[:3].tolist() == ([1, 1, 9] if only else [8, 9, 9])
    assert max(asked) < width


def test_what_is_looked_through_at_once_stays_in_its_memory_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    random = np.random.default_rng(0)
    users = 3000
    model = factors(random.normal(size=(users, 4)), random.normal(size=(ITEMS, 4)))
    nothing = Seen(np.zeros(users + 1, np.int64), np.zeros(0, np.int32))
    arguments: dict[str, Any] = {
        "k": K,
        "limit": PerGroup((np.arange(ITEMS) % 5).astype(np.int32), 1),
        "seen": nothing,
    }
    everyone = users_of(range(users), ITEMS)
    expected = top_within(model, everyone, **arguments)
    held: list[int] = []

    def watched(*args: Any, k: int, **options: Any) -> tuple[np.ndarray, np.ndarray]:
        found = top_k(*args, k=k, **options)
        held.append(sum(each.nbytes for each in found))
        return found

    monkeypatch.setattr(limits, "top_k", watched)
    found = top_within(model, everyone, **arguments, memory_budget_mb=1)
    assert max(held) <= 2**20 / 9  # what is made of it takes eight times as much
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_without_a_limit_nothing_changes() -> None:
    random = np.random.default_rng(0)
    model = factors(random.normal(size=(3, 4)), random.normal(size=(9, 4)))
    histories, nothing = users_of(range(3), 9), Seen(np.zeros(4, np.int64), np.zeros(0, np.int32))
    wanted = top_k(model, histories, k=4, seen=nothing)
    found = top_within(model, histories, k=4, limit=None, seen=nothing)
    for one, other in zip(wanted, found, strict=True):
        np.testing.assert_array_equal(one, other)
