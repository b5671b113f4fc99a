"""Interactions: ids, aggregation, fingerprints and compaction."""

import dataclasses
import hashlib
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxrec.data import interactions
from jaxrec.data.ids import IdMap
from jaxrec.data.interactions import Interactions, Listens, aggregate, compact, together
from jaxrec.errors import UserError

EVENTS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 6), st.integers(1, 4), st.integers(-5, 20)),
    max_size=40,
)


def text_ids(*ids: str) -> IdMap:
    return IdMap(np.array(ids, object))


def make_listens(
    events: list[tuple[int, int, int, int]], *, num_users: int = 6, num_items: int = 7
) -> Listens:
    """Listens from (user, item, plays, time) rows."""
    table = np.array(events, np.int64).reshape(-1, 4)
    return Listens(
        user=table[:, 0].astype(np.int32),
        item=table[:, 1].astype(np.int32),
        plays=table[:, 2].astype(np.float64),
        timestamp=table[:, 3],
        users=text_ids(*(f"u{u}" for u in range(num_users))),
        items=text_ids(*(f"i{i}" for i in range(num_items))),
    )


def make_interactions(pairs: list[tuple[int, int]]) -> Interactions:
    return aggregate(make_listens([(user, item, 1, 0) for user, item in pairs]))


class TestAggregate:
    def test_repeated_listens_add_up_and_the_first_time_counts(self):
        whole = aggregate(make_listens([(1, 2, 3, 50), (0, 1, 1, 9), (1, 2, 4, 20), (1, 0, 1, 7)]))
        assert whole.user.tolist() == [0, 1, 1]
        assert whole.item.tolist() == [1, 0, 2]
        assert whole.plays.tolist() == [1.0, 1.0, 7.0]
        assert whole.timestamp.tolist() == [9, 7, 20]
        assert (whole.user.dtype, whole.plays.dtype, whole.timestamp.dtype) == (
            np.int32,
            np.float64,
            np.int64,
        )

    @given(EVENTS, st.randoms(use_true_random=False))
    def test_equals_a_dictionary_whatever_the_order_of_the_rows(self, events, random):
        plays, first = defaultdict(int), {}
        for user, item, count, time in events:
            plays[user, item] += count
            first[user, item] = min(first.get((user, item), time), time)
        random.shuffle(events)
        whole = aggregate(make_listens(events))
        pairs = list(zip(whole.user.tolist(), whole.item.tolist(), strict=True))
        assert pairs == sorted(plays)
        assert whole.plays.tolist() == [plays[pair] for pair in pairs]
        assert whole.timestamp.tolist() == [first[pair] for pair in pairs]

    @given(EVENTS, st.integers(-6, 21), st.integers(-6, 21))
    def test_before_and_since_have_the_listens_of_their_time(self, events, moment, later):
        whole = aggregate(make_listens(events))
        for part, keep in (
            (whole.before(moment), lambda time: time < moment),
            (whole.since(moment), lambda time: time >= moment),
            (whole.before(later).since(moment), lambda time: moment <= time < later),
        ):
            mine = defaultdict(list)
            for user, item, plays, time in events:
                if keep(time):
                    mine[user, item].append((time, plays))
            pairs = list(zip(part.user.tolist(), part.item.tolist(), strict=True))
            assert pairs == sorted(mine)
            assert part.plays.tolist() == [sum(n for _, n in mine[pair]) for pair in pairs]
            assert part.timestamp.tolist() == [min(mine[pair])[0] for pair in pairs]
            assert part.events.last().tolist() == [max(mine[pair])[0] for pair in pairs]
            for place, pair in enumerate(pairs):
                own = slice(*part.events.offsets[place : place + 2])
                listens = zip(part.events.timestamp[own], part.events.plays[own], strict=True)
                assert list(listens) == sorted(mine[pair])
        assert whole.before(moment).events.moment == moment
        assert whole.events.moment == max((time for *_, time in events), default=0)

    @given(EVENTS, st.sets(st.integers(0, 7)))
    def test_chosen_pairs_keep_their_listens(self, events, items):
        whole = aggregate(make_listens(events))
        chosen = whole.select(np.isin(whole.item, list(items)))
        expected = aggregate(make_listens([e for e in events if e[1] in items] or events))
        if len(chosen):
            for name in ("offsets", "timestamp", "plays"):
                found = getattr(chosen.events, name)
                np.testing.assert_array_equal(found, getattr(expected.events, name))

    def test_a_moment_needs_times_and_ratings_do_not_add_up(self):
        listens = make_listens([(0, 0, 2, 1), (0, 0, 5, 0), (0, 0, 3, 4)])
        without = aggregate(dataclasses.replace(listens, timestamp=None))
        assert without.timestamp is None and without.events is None
        with pytest.raises(UserError, match=r"config\.data\.columns\.timestamp"):
            without.before(3)
        rated = aggregate(dataclasses.replace(listens, adds_up=False))
        assert rated.plays.tolist() == [5] and rated.since(1).plays.tolist() == [3]


class TestInteractions:
    def test_offsets_and_keys(self):
        whole = make_interactions([(0, 3), (2, 1), (2, 6)])
        assert whole.user_offsets().tolist() == [0, 1, 1, 3, 3, 3, 3]
        assert whole.keys().tolist() == [3, 15, 20]

    def test_select_by_mask_and_by_index_agree(self):
        whole = make_interactions([(0, 3), (2, 1), (2, 6)])
        by_mask = whole.select(np.array([True, False, True]))
        by_index = whole.select(np.array([0, 2]))
        assert by_mask.keys().tolist() == by_index.keys().tolist() == [3, 20]
        assert by_mask.users is whole.users and len(by_mask.timestamp) == 2

    def test_fingerprint_is_the_documented_text(self):
        whole = aggregate(
            Listens(
                user=np.array([1, 0], np.int32),
                item=np.array([0, 1], np.int32),
                plays=np.ones(2),
                timestamp=None,
                users=text_ids("a\tb", "c\\"),
                items=IdMap(np.array([2, 10], np.int64)),
            )
        )
        expected = hashlib.sha256(b"a\\tb\t10\nc\\\\\t2\n").hexdigest()
        assert whole.fingerprint() == expected

    @given(EVENTS, st.randoms(use_true_random=False))
    def test_fingerprint_ignores_order_unused_ids_and_plays(self, events, random):
        expected = aggregate(make_listens(events)).fingerprint()
        (compacted,) = compact(aggregate(make_listens(events, num_users=9, num_items=9)))
        assert compacted.fingerprint() == expected
        random.shuffle(events)
        again = aggregate(make_listens([(u, i, n + 1, t + 1) for u, i, n, t in events]))
        assert again.fingerprint() == expected

    def test_fingerprint_tells_pairs_apart(self):
        prints = {
            make_interactions(pairs).fingerprint()
            for pairs in ([], [(0, 1)], [(1, 0)], [(0, 1), (1, 0)], [(0, 0), (1, 1)])
        }
        assert len(prints) == 5

    def test_fingerprint_of_more_rows_than_a_block(self):
        n = (1 << 16) + 5
        whole = aggregate(
            Listens(
                user=np.zeros(n, np.int32),
                item=np.arange(n, dtype=np.int32),
                plays=np.ones(n),
                timestamp=None,
                users=text_ids("u"),
                items=IdMap(np.arange(n)),
            )
        )
        text = "".join(f"u\t{item}\n" for item in range(n))
        assert whole.fingerprint() == hashlib.sha256(text.encode()).hexdigest()


class TestCompact:
    def test_drops_unused_ids_the_same_in_every_part(self):
        first, second = compact(make_interactions([(1, 2)]), make_interactions([(1, 5), (4, 2)]))
        assert first.users is second.users and first.items is second.items
        assert first.users.ids.tolist() == ["u1", "u4"]
        assert first.items.ids.tolist() == ["i2", "i5"]
        assert (first.user.tolist(), first.item.tolist()) == ([0], [0])
        assert (second.user.tolist(), second.item.tolist()) == ([0, 1], [1, 0])
        assert second.user.dtype == second.item.dtype == np.int32

    def test_names_follow_their_ids(self):
        whole = make_interactions([(0, 1)])
        named = IdMap(whole.items.ids, np.array([f"name {i}" for i in range(7)], object))
        (small,) = compact(Interactions(**{**vars(whole), "items": named}))
        assert small.items.names.tolist() == ["name 1"]

    def test_of_nothing(self):
        (empty,) = compact(make_interactions([]))
        assert (empty.num_users, empty.num_items, len(empty)) == (0, 0, 0)
        assert empty.fingerprint() == hashlib.sha256().hexdigest()


def test_two_histories_know_together_what_either_knows() -> None:
    known = [make_listens([(number, 0, 1, number)]) for number in range(4)]
    first, second = (
        dataclasses.replace(make_listens([(4, number, 1, 0)]), known=one, against=other)
        for number, (one, other) in enumerate([(known[0], None), known[1:3]])
    )
    for one, other in ((first, second), (second, first)):
        both = together(one, other)
        assert sorted(both.item.tolist()) == [0, 1]
        assert both.known is not None and both.against is not None
        assert sorted(both.known.user.tolist()) == [0, 1]
        assert both.against.user.tolist() == [2]
    assert together(make_listens([]), make_listens([])).known is None


PAIRS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 6)), max_size=20)


@given(PAIRS, PAIRS, PAIRS, st.integers(1, 30))
def test_pairs_are_found_among_several_parts_whatever_the_blocks(own, first, second, at_once):
    parts = [make_interactions(pairs) for pairs in (own, first, second)]
    wanted = [pair in {*first, *second} for pair in sorted(set(own))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interactions, "_PAIRS_AT_ONCE", at_once)
        masks = list(parts[0].among_any(parts[1:]))
        users, items = parts[0].present()
    assert np.concatenate(masks).tolist() == wanted
    assert set(np.flatnonzero(users)) == {user for user, _ in own}
    assert set(np.flatnonzero(items)) == {item for _, item in own}
