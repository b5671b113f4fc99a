"""Splits: the parts are disjoint and together the whole, repeatable, and nothing leaks."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxrec.data import cuts
from jaxrec.data.cuts import alike_rows, random_rows
from jaxrec.data.ids import IdMap
from jaxrec.data.interactions import Interactions, Listens, aggregate
from jaxrec.data.split_rules import Rules
from jaxrec.data.splits import Split, split
from jaxrec.errors import UserError

EVENTS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 6), st.integers(1, 3), st.integers(0, 12)),
    min_size=2,
    max_size=40,
)
CUTS = st.sampled_from(
    [
        {"kind": "none"},
        {"kind": "random", "test_fraction": 0.4},
        {"kind": "random", "validation_fraction": 0.4},
        {"kind": "random", "validation_fraction": 0.4, "validation_rule": "alike"},
        {"kind": "last_n"},
        {"kind": "last_n", "last_n": 2, "validation_last_n": 1},
        {"kind": "time", "test_fraction": 0.3},
        {"kind": "time", "moment": 6, "validation_fraction": 0.3},
    ]
)


def make_listens(events: list[tuple[int, int, int, int]], *, prefix: str = "") -> Listens:
    """Listens from (user, item, plays, time) rows; ids "u0"..., "i0"..."""
    table = np.array(events, np.int64).reshape(-1, 4)
    num_users, num_items = (table[:, :2].max(axis=0) + 1).tolist()
    return Listens(
        user=table[:, 0].astype(np.int32),
        item=table[:, 1].astype(np.int32),
        plays=table[:, 2].astype(np.float64),
        timestamp=table[:, 3],
        users=IdMap(np.array([f"{prefix}u{u:02}" for u in range(num_users)], object)),
        items=IdMap(np.array([f"{prefix}i{i:02}" for i in range(num_items)], object)),
    )


def without_times(listens: Listens) -> Listens:
    return dataclasses.replace(listens, timestamp=None)


def pairs(part: Interactions | None) -> set[tuple[object, object]]:
    """The part's pairs in external ids."""
    if part is None:
        return set()
    users, items = part.users.ids[part.user].tolist(), part.items.ids[part.item].tolist()
    return set(zip(users, items, strict=True))


def parts(result: Split) -> list[Interactions]:
    return [p for p in (result.train, result.validation, result.test) if p is not None]


def split_or_none(listens: Listens, **arguments) -> Split | None:
    """The split, or None where a part would be empty."""
    try:
        return split(listens, Rules(**arguments))
    except UserError as error:
        assert "part is empty" in str(error)
        return None


@settings(max_examples=150)
@given(EVENTS, CUTS)
def test_parts_are_disjoint_and_with_the_cold_ones_the_whole(events, cut):
    listens = make_listens(events)
    result = split_or_none(listens, seed=3, **cut)
    if result is None:
        return
    cold = sum(part["cold_interactions"] for part in result.counts().values())
    sets = [pairs(part) for part in parts(result)]
    union = set().union(*sets)
    whole = pairs(aggregate(listens))
    assert union <= whole
    if cut["kind"] == "time":  # a pair that is heard again is in several parts, cold or not
        assert len(union) >= len(whole) - cold
    else:
        assert sum(map(len, sets)) == len(union) == len(whole) - cold
    train = result.train
    for part in parts(result):
        assert part.users is train.users and part.items is train.items
        assert (np.diff(part.keys()) > 0).all()  # sorted by user, then item
        assert np.isin(part.user, train.user).all() and np.isin(part.item, train.item).all()
    json.dumps(result.protocol)
    json.dumps(result.counts())


@given(EVENTS, CUTS, st.randoms(use_true_random=False))
def test_depends_on_the_arguments_alone(events, cut, random):
    first = split_or_none(make_listens(events), seed=3, **cut)
    random.shuffle(events)
    second = split_or_none(make_listens(events), seed=3, **cut)
    assert (first is None) == (second is None)
    if first is not None:
        assert [pairs(p) for p in parts(first)] == [pairs(p) for p in parts(second)]
        assert first.protocol == second.protocol


class TestNone:
    def test_everything_is_train(self):
        listens = make_listens([(0, 0, 1, 1), (0, 1, 1, 2), (1, 0, 2, 3)])
        result = split(without_times(listens), Rules(kind="none", seed=0))
        assert (result.validation, result.test) == (None, None)
        assert result.train.plays.tolist() == [1, 1, 2]
        assert result.counts() == {
            "train": {
                "users": 2,
                "items": 2,
                "interactions": 3,
                "cold_users": 0,
                "cold_items": 0,
                "cold_interactions": 0,
            }
        }

    def test_ids_left_without_interactions_vanish(self):
        listens = make_listens([(0, 1, 5, 0), (2, 4, 1, 0), (3, 1, 2, 0)])
        result = split(listens, Rules(kind="none", seed=0, min_plays=2))
        assert result.train.users.ids.tolist() == ["u00", "u03"]
        assert result.train.items.ids.tolist() == ["i01"]
        assert result.protocol["pairs_filtered_out"] == 1


class TestRandom:
    LISTENS = make_listens([(user, item, 1, 0) for user in range(12) for item in range(user + 1)])

    def test_each_user_gives_its_rounded_share_and_keeps_one(self):
        # Every item stays warm: user 11 listened to all, and the others add to it.
        result = split(self.LISTENS, Rules(kind="random", seed=1, test_fraction=0.25))
        cold = result.counts()["test"]["cold_interactions"]
        kept = np.bincount(result.train.user)
        expected = [1, 1, 2, 3, 4, 4, 5, 6, 7, 7, 8, 9]  # n - floor(n / 4 + 1 / 2)
        assert kept.tolist() == expected
        assert len(result.test) + cold == 78 - sum(expected)

    def test_a_large_fraction_still_leaves_one_in_train(self):
        result = split(self.LISTENS, Rules(kind="random", seed=1, test_fraction=0.99))
        assert np.bincount(result.train.user).tolist() == [1] * 12

    def test_seeds_differ_and_repeat(self):
        listens = make_listens([(user, item, 1, 0) for user in range(20) for item in range(9)])
        tests = [pairs(split(listens, Rules(kind="random", seed=s)).test) for s in (0, 1, 2**70, 0)]
        assert tests[0] == tests[3]
        assert tests[0] != tests[1] != tests[2]

    def test_other_users_coming_and_going_change_nothing(self):
        few = [(user, item, 1, 0) for user in (3, 4, 6) for item in range(10)]
        more = [(user, item, 1, 0) for user in (0, 1, 2, 5) for item in range(4, 14)]
        trains = []
        for rows in (few, few + more):
            train = split(make_listens(rows), Rules(kind="random", seed=5)).train
            trains.append({pair for pair in pairs(train) if pair[0] in ("u03", "u04", "u06")})
        assert trains[0] == trains[1]

    @pytest.mark.parametrize("numbers", [False, True])
    def test_every_pair_is_as_likely(self, numbers):
        listens = make_listens([(user, item, 1, 0) for user in range(50) for item in range(10)])
        if numbers:
            ids = {"users": IdMap(np.arange(50)), "items": IdMap(np.arange(10))}
            listens = dataclasses.replace(listens, **ids)
        hits = np.zeros(500)
        for seed in range(100):
            hits[
                split(listens, Rules(kind="random", seed=seed, test_fraction=0.3)).test.keys()
            ] += 1
        # Binomial(100, 0.3): 4.6 standard deviations either side.
        assert hits.min() > 30 - 21.1 and hits.max() < 30 + 21.1
        by_item, by_user = hits.reshape(50, 10).sum(axis=0), hits.reshape(50, 10).sum(axis=1)
        assert (by_user == 300).all()
        chi_square = ((by_item - 1500) ** 2 / (1500 * 0.7)).sum()
        assert chi_square < 29.7  # 99.95% of 9 degrees of freedom (a little generous)

    def test_validation_is_cut_from_train_and_leaves_test_alone(self):
        listens = make_listens([(user, item, 1, 0) for user in range(30) for item in range(20)])
        plain = split(listens, Rules(kind="random", seed=2, test_fraction=0.2))
        result = split(
            listens, Rules(kind="random", seed=2, test_fraction=0.2, validation_fraction=0.25)
        )
        assert pairs(result.test) == pairs(plain.test)
        assert pairs(result.train) | pairs(result.validation) == pairs(plain.train)
        counts = result.counts()
        assert [counts[p]["interactions"] for p in counts] == [360, 120, 120]
        assert result.protocol["validation"] == {"kind": "random", "fraction": 0.25}


class TestLastN:
    def test_the_last_by_time(self):
        listens = make_listens(
            [
                *[(0, item, 1, time) for item, time in enumerate([5, 8, 9, 1])],
                *[(1, item, 1, time) for item, time in enumerate([4, 3, 2, 1])],
                (2, 0, 1, 7),
            ]
        )
        result = split(listens, Rules(kind="last_n", seed=0))
        assert pairs(result.test) == {("u00", "i02"), ("u01", "i00")}
        result = split(listens, Rules(kind="last_n", seed=0, last_n=2, validation_last_n=1))
        assert pairs(result.train) == {("u00", "i03"), ("u01", "i03"), ("u02", "i00")}
        assert pairs(result.validation) == {("u00", "i00")}  # ("u01", "i02") is cold
        assert pairs(result.test) == {("u01", "i00")}
        assert result.counts()["validation"]["cold_interactions"] == 1
        assert result.counts()["test"]["cold_interactions"] == 3
        assert result.protocol["validation"] == {"kind": "last_n", "last_n": 1}
        assert result.protocol["tied_users"] == 0

    def test_equal_times_are_no_order_so_the_seed_draws(self):
        # Every user hears every item at one time, so that the item held out is drawn.
        rows = [(user, item, 1, 7) for user in range(60) for item in range(12)]
        result = split(make_listens(rows), Rules(kind="last_n", seed=0))
        assert result.protocol["tied_users"] == 60
        held_out = np.bincount(result.test.item, minlength=12)
        assert held_out.max() < 15 and (held_out > 0).sum() >= 9  # 5 each are to be expected
        assert pairs(split(make_listens(rows[::-1]), Rules(kind="last_n", seed=0)).test) == pairs(
            result.test
        )
        assert pairs(split(make_listens(rows), Rules(kind="last_n", seed=1)).test) != pairs(
            result.test
        )
        few = make_listens([row for row in rows if row[0] < 5])
        mine = {pair for pair in pairs(result.test) if pair[0] < "u05"}
        assert pairs(split(few, Rules(kind="last_n", seed=0)).test) == mine  # others change nothing

    def test_only_ties_at_the_cut_count(self):
        times = [[1, 1, 2], [1, 2, 2], [1, 1], [5, 6, 7]]
        rows = [
            (u, i, 1, time) for u, listened in enumerate(times) for i, time in enumerate(listened)
        ]
        result = split(make_listens(rows), Rules(kind="last_n", seed=0))
        assert result.protocol["tied_users"] == 2

    def test_users_with_too_few_keep_all_in_train(self):
        rows = [(0, 0, 1, 1), (0, 1, 1, 2), (1, 0, 1, 1), (1, 1, 1, 2), (1, 2, 1, 0)]
        result = split(make_listens(rows), Rules(kind="last_n", seed=0, last_n=2))
        assert np.bincount(result.train.user).tolist() == [2, 1]

    def test_the_first_listen_of_a_pair_is_its_time(self):
        rows = [(0, 0, 1, 1), (0, 0, 1, 99), (0, 1, 1, 50), (1, 1, 1, 0)]
        result = split(make_listens(rows), Rules(kind="last_n", seed=0))
        assert pairs(result.test) == {("u00", "i01")}


class TestTime:
    ROWS = (
        (0, 0, 2, 10),
        (0, 0, 3, 30),  # a known pair is heard again: in both parts
        (0, 1, 1, 20),
        (1, 0, 1, 12),
        (1, 1, 4, 30),
        (1, 2, 1, 31),  # cold item
        (2, 0, 1, 40),  # cold user
    )

    def test_parts_and_plays(self):
        result = split(make_listens(list(self.ROWS)), Rules(kind="time", seed=0, moment=30))
        assert pairs(result.train) == {("u00", "i00"), ("u00", "i01"), ("u01", "i00")}
        assert result.train.plays.tolist() == [2, 1, 1]
        assert pairs(result.test) == {("u00", "i00"), ("u01", "i01")}
        assert result.test.plays.tolist() == [3, 4]
        assert result.test.timestamp.tolist() == [30, 30]
        assert result.protocol["again"] == {"test": 1}
        assert result.counts()["test"] == {
            "users": 2,
            "items": 2,
            "interactions": 2,
            "cold_users": 1,
            "cold_items": 1,
            "cold_interactions": 2,
        }
        assert result.train.items.ids.tolist() == ["i00", "i01", "i02"]

    @settings(max_examples=150)
    @given(EVENTS, st.lists(st.tuples(*[st.integers(0, 9)] * 2, st.integers(1, 3)), max_size=15))
    def test_the_future_can_not_change_train(self, events, future):
        cut = {"kind": "time", "moment": 8, "validation_fraction": 0.3, "min_plays": 2, "core": 2}
        past = [event for event in events if event[3] < 8]
        results = []
        for later in (
            [(0, 0, 1, 9), (9, 9, 5, 9)],
            [(user, item, plays, 8) for user, item, plays in future] + [(9, 9, 5, 9)],
        ):
            listens = make_listens(past + later)
            known, error = None, ""
            try:
                known = split(listens, Rules(seed=0, **cut))
            except UserError as refused:
                error = str(refused)
            results.append((known, error))
        (first, first_error), (second, second_error) = results
        for error in (first_error, second_error):
            assert not error or "part is empty" in error
        if first is not None and second is not None:
            for mine, other in (
                (first.train, second.train),
                (first.validation, second.validation),
            ):
                assert pairs(mine) == pairs(other)
                assert mine.plays.tolist() == other.plays.tolist()
                for name in ("timestamp", "plays", "offsets", "moment"):
                    of_mine, of_other = getattr(mine.events, name), getattr(other.events, name)
                    np.testing.assert_array_equal(of_mine, of_other)

    def test_default_moment_leaves_the_fraction_of_the_listens(self):
        rows = [(item % 3, item % 5, 1, item) for item in range(100)]
        result = split(make_listens(rows), Rules(kind="time", seed=0, test_fraction=0.97))
        assert result.protocol["moment"] == 3
        assert result.protocol["test_fraction"] == 0.97
        assert len(result.train) == 3

    def test_validation_is_an_earlier_moment_and_train_counts_before_it(self):
        rows = [
            (0, 0, 1, 1),
            (0, 1, 1, 2),
            (1, 0, 1, 3),
            (3, 0, 1, 3),
            (0, 0, 8, 6),  # a play of a train pair in the time of validation
            (1, 1, 1, 7),
            (1, 1, 8, 11),  # a play of a validation pair in the time of test
            (2, 1, 1, 8),
            (0, 2, 1, 9),
            (2, 0, 1, 11),
            (3, 1, 2, 12),
        ]
        result = split(
            make_listens(rows), Rules(kind="time", seed=0, moment=10, validation_fraction=0.5)
        )
        assert result.protocol["validation_moment"] == 6
        assert result.train.plays.tolist() == [1, 1, 1, 1]
        assert pairs(result.train) == {
            (f"u0{u}", f"i0{i}") for u, i in [(0, 0), (0, 1), (1, 0), (3, 0)]
        }
        assert pairs(result.validation) == {("u00", "i00"), ("u01", "i01")}
        assert result.validation.plays.tolist() == [8, 1]
        assert pairs(result.test) == {("u01", "i01"), ("u03", "i01")}
        assert result.test.plays.tolist() == [8, 2]
        assert result.protocol["again"] == {"validation": 1, "test": 1}
        assert pairs(result.seen_before("test")) == pairs(result.train) | {
            ("u00", "i00"),
            ("u01", "i01"),
        }
        assert result.protocol["cold"]["validation"]["cold_interactions"] == 2


class TestGiven:
    def test_parts_as_given_without_the_repeated_pairs(self):
        train = make_listens([(0, 0, 1, 0), (0, 1, 1, 0), (1, 0, 1, 0), (1, 0, 1, 0)])
        test = make_listens([(0, 0, 1, 0), (1, 1, 1, 0), (2, 0, 1, 0)])
        result = split(train, Rules(kind="given", seed=0), given_test=test)
        assert pairs(result.train) == {("u00", "i00"), ("u00", "i01"), ("u01", "i00")}
        assert pairs(result.test) == {("u01", "i01")}
        assert result.protocol["test_pairs_already_in_train"] == 1
        assert result.protocol["cold"]["test"] == {
            "cold_users": 1,
            "cold_items": 0,
            "cold_interactions": 1,
        }

    def test_ids_and_names_of_two_files_are_brought_together(self):
        def listens(users: list[object], items: list[object], names: list[str] | None) -> Listens:
            kind = np.int64 if isinstance(items[0], int) else object
            name_array = None if names is None else np.array(names, object)
            return Listens(
                user=np.arange(len(items), dtype=np.int32) % len(users),
                item=np.arange(len(items), dtype=np.int32),
                plays=np.ones(len(items)),
                timestamp=None,
                users=IdMap(np.array(users, object)),
                items=IdMap(np.array(items, kind), name_array),
            )

        train = listens(["b", "c"], [2, 10], ["two", ""])
        test = listens(["a", "c"], ["10", "2", "x"], ["ten", "deux", "ex"])
        result = split(train, Rules(kind="given", seed=0), given_test=test)
        assert result.train.users.ids.tolist() == ["a", "b", "c"]
        assert result.train.items.ids.tolist() == ["10", "2", "x"]
        assert result.train.items.names.tolist() == ["ten", "two", "ex"]
        assert pairs(result.train) == {("b", "2"), ("c", "10")}
        assert pairs(result.test) == {("c", "2")}
        same = split(train, Rules(kind="given", seed=0), given_test=listens(["b"], [2, 10], None))
        assert same.train.items.ids.tolist() == [2, 10]

    def test_validation_is_random_per_user_from_train(self):
        train = make_listens([(user, item, 1, 0) for user in range(4) for item in range(10)])
        test = make_listens([(0, 10, 1, 0), (5, 3, 1, 0), (0, 1, 1, 0)])  # one is in train
        with pytest.raises(UserError, match=r"test part is empty but for 2 of users or items"):
            split(train, Rules(kind="given", seed=0), given_test=test)
        test = make_listens([(0, 10, 1, 0), (1, 10, 1, 0)])
        train = make_listens([(u, i, 1, 0) for u in range(5) for i in range(11) if i < 10 or u > 1])
        result = split(train, Rules(kind="given", seed=0, validation_fraction=0.2), given_test=test)
        assert [len(part) for part in parts(result)] == [43, 10, 2]
        assert result.protocol["validation"] == {"kind": "random", "fraction": 0.2}

    @pytest.mark.parametrize("filters", [{"core": 2}, {"min_plays": 2}])
    def test_takes_no_filters(self, filters):
        listens = make_listens([(0, 0, 1, 0)])
        with pytest.raises(UserError, match=f"data.{next(iter(filters))}.*taken as they are"):
            split(listens, Rules(kind="given", seed=0, **filters), given_test=listens)


def test_core_is_found_before_a_random_cut():
    rows = [(user, item, 1, 0) for user in range(5) for item in range(5)] + [(5, 0, 1, 0)]
    result = split(make_listens(rows), Rules(kind="random", seed=0, core=3))
    assert len(result.train) + len(result.test) == 25
    assert result.train.num_users == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"kind": "halves"},
            "config.data.split is 'halves'; expected one of none, random, last_n, time",
        ),
        ({"kind": "random", "seed": -1}, "config.seed is -1; expected 0 or more"),
        (
            {"kind": "random", "test_fraction": 1.0},
            "config.data.test_fraction is 1.0; expected a number",
        ),
        (
            {"kind": "random", "test_fraction": float("nan")},
            "config.data.test_fraction is nan; expected",
        ),
        (
            {"kind": "random", "validation_rule": "late"},
            "config.data.validation_rule is 'late'; expected one of random, alike",
        ),
        ({"kind": "last_n", "last_n": 0}, "config.data.last_n is 0; expected 1 or more"),
        (
            {"kind": "none", "validation_fraction": 1},
            "config.data.validation_fraction is 1; expected",
        ),
        (
            {"kind": "last_n", "validation_last_n": -1},
            "config.data.validation_last_n is -1; expected",
        ),
        ({"kind": "none", "min_plays": -1}, "config.data.min_plays is -1; expected 0 or more"),
        ({"kind": "none", "core": -1}, "config.data.core is -1; expected 0 or more"),
        (
            {"kind": "none", "core": 9},
            "config.data.core is 9; expected lower values: no interaction is left of 2",
        ),
        ({"kind": "given"}, "config.data.split is 'given'; expected config.data.test_path"),
        ({"kind": "random"}, "config.data.split is 'random': the test part is empty; expected"),
        (
            {"kind": "time", "moment": 0},
            "config.data.split is 'time': the train part is empty; expected",
        ),
        (
            {"kind": "time", "moment": 9},
            "config.data.split is 'time': the test part is empty; expected",
        ),
        ({"kind": "random", "validation_fraction": 0.1}, "the validation part is empty; expected"),
    ],
)
def test_mistakes_are_named(arguments, message):
    listens = make_listens([(0, 0, 1, 1), (1, 1, 1, 2)])
    with pytest.raises(UserError) as caught:
        split(listens, Rules(**{"seed": 0, **arguments}))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["last_n", "time"])
def test_kinds_by_time_need_times(kind):
    listens = without_times(make_listens([(0, 0, 1, 1), (0, 1, 1, 2)]))
    with pytest.raises(UserError, match=f"data.split is '{kind}'.*config.data.columns.timestamp"):
        split(listens, Rules(kind=kind, seed=0))


def test_a_test_file_needs_the_kind_given():
    listens = make_listens([(0, 0, 1, 1), (0, 1, 1, 2)])
    with pytest.raises(UserError, match="is 'random' but there is a test file; expected given"):
        split(listens, Rules(kind="random", seed=0), given_test=listens)


def read_table(path: Path) -> Listens:
    table = np.loadtxt(path, delimiter="\t")  # some play counts are like 3.2466e+05
    users, user = np.unique(table[:, 0].astype(np.int64), return_inverse=True)
    items, item = np.unique(table[:, 1].astype(np.int64), return_inverse=True)
    return Listens(
        user=user.astype(np.int32),
        item=item.astype(np.int32),
        plays=table[:, 2].astype(np.float64),
        timestamp=None,
        users=IdMap(users),
        items=IdMap(items),
    )


def test_lastfm_has_two_cold_users(shared_data):
    folder = shared_data / "lastfm-lightgcn"
    if not folder.is_dir():
        pytest.skip(f"expected the folder {folder}")
    train, test = read_table(folder / "train.txt"), read_table(folder / "test.txt")
    result = split(train, Rules(kind="given", seed=0), given_test=test)
    counts = result.counts()
    # User ids run up to 1892, but 12 of them are in neither file.
    assert (result.train.num_users, result.train.num_items) == (1880, 4489)
    assert counts["train"]["users"] == 1878
    assert counts["train"]["interactions"] == 42135
    assert result.protocol["test_pairs_already_in_train"] == 0
    assert counts["test"]["interactions"] == 10533 - 44
    # 3 interactions of 2 cold users and 41 of 13 cold items.
    assert result.protocol["cold"]["test"] == {
        "cold_users": 2,
        "cold_items": 13,
        "cold_interactions": 44,
    }


@pytest.mark.parametrize(
    "cut",
    [{"kind": "last_n", "validation_fraction": 0.5}, {"kind": "random", "validation_last_n": 1}],
)
def test_each_kind_has_its_own_validation_setting(cut):
    listens = make_listens([(u, i, 1, (i + u) % 5) for u in range(9) for i in range(5)])
    result = split(listens, Rules(seed=0, **cut))
    assert result.validation is None and result.protocol["validation"] is None


@given(EVENTS, st.sampled_from([0.2, 0.5, 0.8]), st.integers(0, 3))
def test_alike_rows_are_one_item_and_those_most_alike_it(events, fraction, seed):
    known = aggregate(make_listens(events))
    listened = np.zeros((known.num_users, known.num_items))
    listened[known.user, known.item] = 1
    marked, random = alike_rows(known, fraction, seed), random_rows(known, fraction, seed)

    some = np.arange(known.num_users) % 2 == 0
    own = some[known.user]
    np.testing.assert_array_equal(alike_rows(known, fraction, seed, some)[own], marked[own])

    for user in range(known.num_users):
        own = known.user == user
        held = set(known.item[own & marked].tolist())
        # As many as at random, and never all.
        assert len(held) == np.count_nonzero(own & random)
        if not held:
            continue
        others = np.delete(listened, user, axis=0)
        items = known.item[own].tolist()
        size = np.sqrt(np.maximum(listened.sum(axis=0), 1))

        def nearest(drawn: int, items=items, others=others, size=size) -> list[int]:
            cosine = others[:, drawn] @ others / size / size[drawn]
            rest = sorted((-cosine[item], item) for item in items if item != drawn)
            return [drawn, *(item for _, item in rest)]

        assert held in [set(nearest(drawn)[: len(held)]) for drawn in held]


def test_alike_rows_do_not_depend_on_how_many_users_are_worked_out_at_once(monkeypatch):
    rng = np.random.default_rng(0)
    known = aggregate(make_listens([(u, i, 1, 0) for u, i in rng.integers(0, 30, (300, 2))]))
    marked = alike_rows(known, 0.5, 0)
    monkeypatch.setattr(cuts, "_USERS_AT_ONCE", 7)
    np.testing.assert_array_equal(alike_rows(known, 0.5, 0), marked)
