"""Users with what they have now: beside what training had of them, and what they aren't shown."""

import dataclasses

import numpy as np
import pytest

from jaxrec.config import RunConfig
from jaxrec.data.ids import IdMap
from jaxrec.data.interactions import Listens
from jaxrec.data.split_rules import Rules
from jaxrec.data.splits import Split, split
from jaxrec.models.histories import UNKNOWN
from jaxrec.rank.asked import gather, of_users
from tests.configurations import config_with


def listens(rows: list[tuple[str, str, float]]) -> Listens:
    users, items = (sorted({row[side] for row in rows}) for side in (0, 1))
    return Listens(
        user=np.array([users.index(row[0]) for row in rows], np.int32),
        item=np.array([items.index(row[1]) for row in rows], np.int32),
        plays=np.array([row[2] for row in rows]),
        timestamp=None,
        users=IdMap(np.array(users, object)),
        items=IdMap(np.array(items, object)),
    )


def weighed(weight: str) -> RunConfig:
    return config_with(data__weight=weight)


def all_of(rows: list[tuple[str, str, float]]) -> Split:
    return split(listens(rows), Rules(kind="none", seed=0))


TRAINED = all_of([("a", "w", 1), ("a", "x", 4), ("b", "x", 2), ("c", "y", 1), ("c", "z", 1)])


def history_of(found, name: str) -> tuple[int, dict[str, float], set[str]]:  # type: ignore[no-untyped-def]
    row = found.asked.names.tolist().index(name)
    one = found.asked.take(np.array([row]))
    ids = TRAINED.train.items.ids
    weights = dict(zip(ids[one.histories.items].tolist(), one.histories.weights, strict=True))
    return int(one.histories.users[0]), weights, set(ids[one.hidden.items].tolist())


def test_who_is_as_training_knew_them_is_ranked_as_ever_and_others_by_what_they_have_now() -> None:
    fresh = all_of(
        [
            ("a", "x", 3),
            ("b", "z", 5),
            ("c", "z", 9),
            ("d", "y", 1),
            ("d", "new", 1),
            ("e", "new", 1),
        ]
    )
    found = gather(TRAINED, weighed("raw"), fresh, "exclude")
    a, b, c = (TRAINED.train.users.index_of([each])[0] for each in "abc")
    # Fewer plays than training had say nothing new.
    assert history_of(found, "a") == (a, {"w": 1, "x": 4}, {"w", "x"})
    assert history_of(found, "b") == (UNKNOWN, {"x": 2, "z": 5}, {"x", "z"})
    assert history_of(found, "c") == (UNKNOWN, {"y": 1, "z": 9}, {"y", "z"})
    assert history_of(found, "d") == (UNKNOWN, {"y": 1}, {"y"})
    assert history_of(found, "e") == (UNKNOWN, {}, set())
    assert (found.unchanged, found.grown, found.unknown, found.unheard) == (1, 2, 2, 1)
    # More plays of the same songs are the same history where plays don't count.
    assert history_of(gather(TRAINED, weighed("binary"), fresh, "exclude"), "c")[0] == c != b


def test_the_whole_history_again_changes_nothing() -> None:
    found = gather(TRAINED, weighed("log"), TRAINED, "exclude")
    ever = of_users(TRAINED, weighed("log"), np.arange(3), "exclude")
    assert found.unchanged == 3
    for name in ("offsets", "items", "weights", "users"):
        np.testing.assert_array_equal(
            getattr(found.asked.histories, name), getattr(ever.histories, name)
        )
    np.testing.assert_array_equal(found.asked.hidden.items, ever.hidden.items)


def test_what_was_known_and_not_learnt_from_stays_hidden() -> None:
    """Skipped listens of the new history, and pairs of the run that went to another part."""
    skipped = listens([("d", "w", 1), ("d", "y", 1)])
    fresh_listens = dataclasses.replace(
        skipped,
        known=dataclasses.replace(
            skipped, user=skipped.user[:1], item=skipped.item[:1], plays=skipped.plays[:1]
        ),
        user=skipped.user[1:],
        item=skipped.item[1:],
        plays=skipped.plays[1:],
    )
    fresh = split(fresh_listens, Rules(kind="none", seed=0))
    _, weights, hidden = history_of(gather(TRAINED, weighed("binary"), fresh, "exclude"), "d")
    assert set(weights) == {"y"}
    assert hidden >= {"y"}
    rows = np.arange(len(TRAINED.train)) == 0
    test = TRAINED.train.select(rows)
    cut = dataclasses.replace(TRAINED, train=TRAINED.train.select(~rows), test=test)
    found = gather(cut, weighed("binary"), all_of([("a", "z", 1)]), "exclude")
    assert set(cut.train.items.ids[found.asked.hidden.items]) == {"w", "x", "z"}


@pytest.mark.parametrize("pairs", [[], [(0, 1), (0, 1), (2, 0)]])
def test_more_pairs_can_be_hidden(pairs: list[tuple[int, int]]) -> None:
    asked = of_users(TRAINED, weighed("binary"), np.arange(3), "exclude")
    row, item = (np.array([pair[side] for pair in pairs], np.int64) for side in (0, 1))
    found = asked.hiding(row, item).hidden
    for user in range(3):
        own = set(found.items[found.offsets[user] : found.offsets[user + 1]].tolist())
        before = set(asked.take(np.array([user])).hidden.items.tolist())
        assert own == before | {each for owner, each in pairs if owner == user}


def test_where_only_the_known_is_listed_more_may_be_taken_out_and_none_is_skipped() -> None:
    fresh = all_of([("b", "z", 5)])
    found = gather(TRAINED, weighed("binary"), fresh, "only").asked
    assert found.hidden.only
    assert TRAINED.train.items.ids[found.hidden.items].tolist() == ["x", "z"]
    less = found.hiding(np.array([0]), TRAINED.train.items.index_of(["x"])).hidden
    assert less.only and TRAINED.train.items.ids[less.items].tolist() == ["z"]
    assert len(gather(TRAINED, weighed("binary"), fresh, "include").asked.hidden.items) == 0


def test_histories_weighed_otherwise_than_learnt_by_add_up_to_what_was_learnt() -> None:
    config = config_with(data__weight="binary", history__weight="raw")
    found = gather(TRAINED, config, TRAINED, "exclude")
    ever = of_users(TRAINED, config, np.arange(3), "exclude").histories
    assert found.unchanged == 3
    np.testing.assert_array_equal(found.asked.histories.weights, ever.weights)
    one_more = gather(TRAINED, config, all_of([("a", "z", 3)]), "exclude")
    whole = gather(
        TRAINED, config, all_of([("a", "w", 1), ("a", "x", 4), ("a", "z", 3)]), "exclude"
    )
    for each in (one_more, whole):  # all listens or the new ones alone
        weights = history_of(each, "a")[1]
        assert weights == {"w": 3 / 8, "x": 12 / 8, "z": 9 / 8}
    assert one_more.asked.histories.learnt.tolist() == [1, 1, 1]  # type: ignore[union-attr]


def timed(rows: list[tuple[str, str, int]]) -> Split:
    plain = listens([(user, item, 1.0) for user, item, _ in rows])
    days = np.array([row[2] for row in rows], np.int64)
    return split(dataclasses.replace(plain, timestamp=days * 86_400), Rules(kind="none", seed=0))


@pytest.mark.parametrize("field", ["half_life_days", "learnt_half_life_days"])
@pytest.mark.parametrize("weight", ["log", "binary"])
def test_a_listeners_weights_depend_on_nobody_else_in_the_file(field: str, weight: str) -> None:
    trained = timed([("a", "w", 1), ("a", "x", 2), ("b", "y", 3), ("c", "z", 4)])
    config = config_with(data__weight=weight, **{f"history__{field}": 2.0})
    zoe = [("zoe", "w", 5), ("zoe", "y", 9)]
    alone = gather(trained, config, timed(zoe), "exclude")
    beside = gather(trained, config, timed([*zoe, ("other", "x", 400)]), "exclude")
    assert history_of(alone, "zoe") == history_of(beside, "zoe")
