"""Weights by plays and age: sums over single listens, whole where nothing ages, above 0 always."""

import dataclasses
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxrec.data.ids import IdMap
from jaxrec.data.interactions import Listens, aggregate
from jaxrec.data.weighting import DAY, LEAST, MOST_HALVINGS, Weighting, edge_weight, weigh, weigher
from jaxrec.errors import UserError

EVENTS = st.lists(
    st.tuples(*(st.integers(0, 3), st.integers(0, 4), st.integers(1, 3)), st.integers(0, 40 * DAY)),
    min_size=1,
    max_size=30,
)
KINDS = st.sampled_from(["binary", "log", "raw"])


def listens_of(events: list[tuple[int, int, int, int]]) -> Listens:
    table = np.array(events, np.int64).reshape(-1, 4)
    return Listens(
        table[:, 0].astype(np.int32),
        table[:, 1].astype(np.int32),
        table[:, 2].astype(np.float64),
        table[:, 3],
        IdMap(np.arange(4)),
        IdMap(np.arange(5)),
    )


@given(EVENTS, KINDS, st.floats(1, 50), st.integers(0, 10 * DAY))
def test_equals_a_sum_over_the_listens_one_by_one(events, kind, half_life, later):
    moment = max(time for *_, time in events) + 1 + later
    sums, latest = defaultdict(float), defaultdict(float)
    for user, item, plays, time in events:
        counts = 2 ** (-(moment - time) / DAY / half_life)
        sums[user, item] += plays * counts
        latest[user, item] = max(latest[user, item], counts)
    whole = aggregate(listens_of(events)).before(moment)
    found = weigh(whole, Weighting(kind, half_life))
    pairs = list(zip(whole.user.tolist(), whole.item.tolist(), strict=True))
    expected = {
        "raw": [sums[pair] for pair in pairs],
        "log": [np.log1p(sums[pair]) for pair in pairs],
        "binary": [latest[pair] for pair in pairs],
    }[kind]
    if min(expected) > 2.0**-MOST_HALVINGS:
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found.dtype == np.float32 and (found > 0).all()


@given(EVENTS, KINDS)
def test_without_a_half_life_only_plays_count(events, kind):
    whole = aggregate(listens_of(events))
    np.testing.assert_array_equal(weigh(whole, Weighting(kind)), edge_weight(whole.plays, kind))
    np.testing.assert_allclose(
        weigh(whole, Weighting(kind, 1e12)), edge_weight(whole.plays, kind), rtol=1e-6
    )


@given(EVENTS, KINDS, st.sampled_from([None, 3.0]), st.booleans(), st.integers(1, 5))
def test_some_at_a_time_have_the_bits_of_all_at_once(events, kind, half_life, from_last, size):
    whole, weighting = aggregate(listens_of(events)), Weighting(kind, half_life)
    weights_of = weigher(whole, weighting, from_last=from_last)
    starts = range(0, len(whole), size)
    found = [weights_of(start, min(start + size, len(whole))) for start in starts]
    wanted = weigh(whole, weighting, from_last=from_last)
    np.testing.assert_array_equal(np.concatenate(found), wanted)


@given(EVENTS, KINDS, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_no_bit(events, kind, random):
    weights = weigh(aggregate(listens_of(events)), Weighting(kind, 3.0))
    random.shuffle(events)
    again = weigh(aggregate(listens_of(events)), Weighting(kind, 3.0))
    np.testing.assert_array_equal(again, weights)


def test_who_has_been_away_for_long_is_still_somebody_with_an_order_of_songs():
    away = [(0, item, 1, item * DAY) for item in range(3)]
    whole = aggregate(listens_of([*away, (1, 0, 1, 10_000 * DAY)]))
    for kind in ("binary", "raw", "log"):
        weights = weigh(whole, Weighting(kind, 1.0))
        assert (np.diff(weights[:3]) > 0).all() and weights[0] > LEAST
        assert weights[2] == pytest.approx(2.0**-MOST_HALVINGS)
    ancient = aggregate(listens_of([(0, 0, 1, 0), (0, 1, 1, 10_000 * DAY)]))
    assert weigh(ancient, Weighting("raw", 1.0)).tolist() == [np.float32(LEAST), 1.0]


def test_ratings_do_not_add_up():
    listens = listens_of([(0, 0, 3, 0), (0, 0, 2, DAY), (0, 1, 1, DAY)])
    rated = aggregate(dataclasses.replace(listens, adds_up=False))
    assert weigh(rated, Weighting("raw", 1.0)).tolist() == [2.0, 1.0]
    assert weigh(rated, Weighting("raw", 2.0)).tolist() == pytest.approx([3 / 2**0.5, 1.0])


def test_ages_need_times():
    listens = dataclasses.replace(listens_of([(0, 0, 1, 1)]), timestamp=None)
    with pytest.raises(UserError, match=r"config\.data\.columns\.timestamp"):
        weigh(aggregate(listens), Weighting("raw", 1.0))


def test_edge_weight_by_hand():
    plays = np.array([1.0, 3.0])
    assert edge_weight(plays, "binary").tolist() == [1, 1]
    assert edge_weight(plays, "raw").tolist() == [1, 3]
    np.testing.assert_allclose(edge_weight(plays, "log"), np.log([2, 4]), rtol=1e-6)
    assert {edge_weight(plays, w).dtype for w in ("binary", "raw", "log")} == {np.dtype(np.float32)}


def test_an_unknown_weight_is_refused():
    with pytest.raises(ValueError, match="binary, log, raw"):
        edge_weight(np.ones(1), "square")
