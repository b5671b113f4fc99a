"""What users know though nothing is learnt from it: in no part, and from before the cut."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxrec.data.ids import IdMap
from jaxrec.data.interactions import Interactions, Listens
from jaxrec.data.split_rules import Rules
from jaxrec.data.splits import Split, split
from jaxrec.errors import UserError

USERS = IdMap(np.array(["u0", "u1", "u2", "u3"], object))
ITEMS = IdMap(np.arange(6))
ROWS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(1, 3), st.integers(0, 9)),
    min_size=4,
    max_size=30,
)


def history(rows: list[tuple[int, int, int, int]], known: Listens | None = None) -> Listens:
    """Listens from rows of user, item, plays and time."""
    table = np.array(rows, np.int64).reshape(-1, 4)
    return Listens(
        user=table[:, 0].astype(np.int32),
        item=table[:, 1].astype(np.int32),
        plays=table[:, 2].astype(np.float64),
        timestamp=table[:, 3],
        users=USERS,
        items=ITEMS,
        known=known,
    )


def pairs(part: Interactions | None) -> set[tuple[str, int]]:
    """In external ids."""
    if part is None:
        return set()
    users, items = part.users.ids[part.user].tolist(), part.items.ids[part.item].tolist()
    return set(zip(users, items, strict=True))


def held_out(result: Split) -> set[tuple[str, int]]:
    return pairs(result.train) | pairs(result.validation) | pairs(result.test)


@settings(max_examples=120)
@given(
    ROWS,
    ROWS,
    st.sampled_from(
        [
            {"kind": "none"},
            {"kind": "random", "test_fraction": 0.4, "validation_fraction": 0.3},
            {"kind": "last_n", "validation_last_n": 1},
            {"kind": "time", "moment": 5, "validation_fraction": 0.4},
            {"kind": "random", "min_plays": 2, "core": 1},
        ]
    ),
    st.booleans(),
)
def test_the_known_are_the_filtered_that_are_in_no_part(rows, known, cut, timed):
    listens = history(rows, history(known))
    if not timed and cut["kind"] in ("none", "random"):
        listens = dataclasses.replace(
            listens,
            timestamp=None,
            known=dataclasses.replace(listens.known, timestamp=None),
        )
    try:
        result = split(listens, Rules(seed=0, **cut))
    except UserError:
        return
    found = pairs(result.known)
    kept = pairs(result.train) if cut["kind"] == "time" else held_out(result)
    assert not found & kept
    assert result.protocol["known_pairs"] == len(found)
    ids = {user for user, _ in held_out(result)}, {item for _, item in held_out(result)}
    for user, item, _, _ in known:
        pair = (f"u{user}", item)
        cold = result.counts().get("test", {}).get("cold_interactions", 0) or result.counts().get(
            "validation", {}
        ).get("cold_interactions", 0)
        if pair[0] in ids[0] and pair[1] in ids[1] and not cold:
            assert pair in found | held_out(result)
    for part in ("validation", "test"):
        if getattr(result, part) is not None:
            assert pairs(result.known_before_cut(part)) <= found
    if result.known is not None:
        assert result.known.users is result.train.users
        assert (result.known.timestamp is None) == (result.train.timestamp is None)
        assert (np.diff(result.known.keys()) > 0).all()


LISTENS = [(0, 0, 1, 1), (0, 1, 1, 6), (1, 0, 1, 2), (1, 1, 1, 3), (1, 2, 1, 7), (0, 2, 1, 8)]


def test_by_time_only_what_was_known_before_the_moment_is_masked_in_its_part():
    known = history([(0, 3, 1, 2), (1, 3, 1, 6), (1, 3, 1, 9), (2, 0, 1, 1), (1, 4, 1, 1)])
    rows = [*LISTENS, (0, 4, 1, 1), (1, 5, 1, 2), (0, 3, 1, 9), (3, 3, 1, 0)]
    result = split(history(rows, known), Rules(kind="time", seed=0, moment=5))
    # (u0, 3) was skipped at 2 and heard at 9: a positive of test is never known. u2 is unknown.
    assert ("u0", 3) in pairs(result.test)
    assert pairs(result.known) == {("u1", 3), ("u1", 4)}
    assert pairs(result.known_before_cut("test")) == {("u1", 4)}
    assert result.known.timestamp.tolist() == [6, 1]  # the first of several times


def test_what_was_dropped_before_the_moment_is_known_when_it_is_heard_again():
    rows = [(u, i, 2, 1) for u in range(3) for i in range(3)] + [(0, 3, 2, 1)]
    rows += [(1, 3, 1, 2), (1, 3, 2, 8), (0, 4, 2, 8), (2, 4, 2, 1), (2, 3, 1, 7)]
    result = split(history(rows), Rules(kind="time", seed=0, moment=5, min_plays=2))
    # u1 heard 3 once before the moment, too seldom to be learnt from, and twice after it.
    assert pairs(result.test) == {("u0", 4), ("u1", 3)}
    assert pairs(result.known) == {("u1", 3), ("u2", 3)}
    assert pairs(result.known_before_cut("test")) == {("u1", 3)}
    assert ("u1", 3) in pairs(result.seen_before("test"))
    assert result.protocol["again"] == {"test": 1}


def test_by_last_n_what_a_user_knew_before_its_first_held_out_is_masked():
    known = history([(0, 4, 1, 7), (0, 5, 1, 9), (1, 4, 1, 6), (3, 4, 1, 0)])
    rows = [*LISTENS, (3, 0, 1, 4), (2, 4, 1, 0), (2, 5, 1, 0), (2, 2, 1, 0), (2, 0, 1, 9)]
    result = split(history(rows, known), Rules(kind="last_n", seed=0))
    assert ("u0", 2) in pairs(result.test) and ("u1", 2) in pairs(result.test)
    assert pairs(result.known) == {("u0", 4), ("u0", 5), ("u1", 4), ("u3", 4)}
    assert pairs(result.known_before_cut("test")) == {("u0", 4), ("u1", 4)}


def test_pairs_heard_too_seldom_are_known():
    rows = [(u, i, 2, 0) for u in range(3) for i in range(3)] + [(0, 3, 1, 0), (1, 3, 5, 0)]
    result = split(history(rows), Rules(kind="none", seed=0, min_plays=2))
    assert pairs(result.known) == {("u0", 3)}
    assert result.known_before_cut("test") is None


@pytest.mark.parametrize("text_ids", [False, True])
def test_a_given_test_part_keeps_its_positives(text_ids):
    train = history(
        [(0, 0, 1, 0), (1, 1, 1, 0), (1, 2, 1, 0)], history([(0, 1, 1, 0), (0, 2, 1, 0)])
    )
    items = IdMap(np.array(["0", "2"], object)) if text_ids else IdMap(np.array([0, 2]))
    test = Listens(np.array([0]), np.array([1]), np.ones(1), np.zeros(1, np.int64), USERS, items)
    result = split(train, Rules(kind="given", seed=0), given_test=test)
    item = "1" if text_ids else 1
    assert pairs(result.known) == {("u0", item)}


def test_without_filters_nothing_is_known():
    result = split(history(LISTENS), Rules(kind="random", seed=0))
    assert result.known is None and result.protocol["known_pairs"] == 0
