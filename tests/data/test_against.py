"""Signals against: they take off plays, and out of train what has none left; never from later."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxrec.data.interactions import Listens
from jaxrec.data.meaning import Columns
from jaxrec.data.split_rules import Rules
from jaxrec.data.splits import split
from jaxrec.data.weighting import Weighting, weigh
from jaxrec.errors import UserError
from tests.data.reading import read_listens
from tests.data.test_known import ROWS, history, pairs


def disliked(*rows: tuple[int, int, int]) -> Listens:
    """Of user, item and time."""
    return history([(user, item, 1, time) for user, item, time in rows])


def with_against(rows: list[tuple[int, int, int, int]], *signals: tuple[int, int, int]) -> Listens:
    found = disliked(*signals)
    return dataclasses.replace(history(rows), known=found, against=found)


HEARD = [(0, 0, 3, 1), (0, 0, 1, 2), (0, 1, 1, 3), (1, 0, 1, 4), (1, 2, 2, 5), (2, 1, 1, 6)]


def test_each_signal_takes_plays_off_its_pair_alone():
    listens = with_against(HEARD, (0, 0, 9), (1, 2, 1), (1, 2, 9), (3, 5, 1))
    train = split(listens, Rules(kind="none", seed=0, against_plays=0.5)).train
    assert dict(zip(zip(train.user, train.item, strict=True), train.plays, strict=True)) == {
        (0, 0): 3.5,
        (0, 1): 1.0,
        (1, 0): 1.0,
        (1, 2): 1.0,
        (2, 1): 1.0,
    }
    events = train.listens()
    assert events.total(events.plays).tolist() == train.plays.tolist()
    assert events.plays[:2].tolist() == [3 * 3.5 / 4, 3.5 / 4]
    weights = weigh(train, Weighting("raw"))
    assert weights.tolist() == train.plays.tolist()


def test_a_pair_with_nothing_left_is_known_and_not_learnt_from():
    listens = with_against(HEARD, (0, 1, 9), (0, 0, 9), (2, 1, 9))
    result = split(listens, Rules(kind="none", seed=0, against_plays=1))
    assert pairs(result.train) == {("u0", 0), ("u1", 0), ("u1", 2)}
    assert pairs(result.known) == {("u0", 1), ("u2", 1)}
    assert result.protocol["against"] == {"plays": 1, "pairs_left_out": 2}
    out = split(listens, Rules(kind="none", seed=0, against_plays=1e9))
    assert pairs(out.train) == {("u1", 0), ("u1", 2)}


def test_ratings_are_lowered_too():
    listens = dataclasses.replace(with_against(HEARD, (0, 0, 9)), adds_up=False)
    train = split(listens, Rules(kind="none", seed=0, against_plays=1)).train
    assert train.plays[0] == 3 - 1  # the largest counts
    assert train.listens().total(train.listens().plays)[0] == 2


@pytest.mark.parametrize(
    ("cut", "lowered"),
    [
        ({"kind": "time", "moment": 5}, {1, 4}),
        ({"kind": "time", "moment": 5, "validation_fraction": 0.3}, {1}),
        ({"kind": "last_n"}, {1, 4, 8}),
        ({"kind": "last_n", "validation_last_n": 1}, {1, 4}),
        ({"kind": "none"}, {1, 4, 8, 10}),
    ],
    ids=["time", "time and validation", "last_n", "last_n and validation", "none"],
)
def test_signals_from_the_part_that_is_held_out_do_not_count(cut, lowered):
    rows = [(user, (user + step) % 4, 9, 1 + 3 * step) for user in range(4) for step in range(4)]
    plain = split(history(rows), Rules(seed=0, **cut))
    for time in (1, 4, 8, 10):
        found = split(with_against(rows, (0, 0, time)), Rules(seed=0, **cut))
        assert pairs(found.train) == pairs(plain.train)
        assert (found.train.plays[0] == 8) == (time in lowered), time
        assert pairs(found.test) == pairs(plain.test)
        assert pairs(found.validation) == pairs(plain.validation)


@settings(max_examples=60)
@given(ROWS, ROWS, st.floats(0.1, 5))
def test_no_pair_gains_and_none_without_a_signal_loses(rows, signals, plays):
    listens = with_against(rows, *[(user, item, time) for user, item, _, time in signals])
    before = split(history(rows), Rules(kind="none", seed=0)).train
    try:
        after = split(listens, Rules(kind="none", seed=0, against_plays=plays)).train
    except UserError as error:
        assert "the train part is empty" in str(error)
        return
    left = dict(zip(pairs_in_order(after), after.plays, strict=True))
    spoken = {(f"u{user}", item) for user, item, _, _ in signals}
    for pair, own in zip(pairs_in_order(before), before.plays, strict=True):
        count = sum((f"u{u}", i) == pair for u, i, _, _ in signals)
        assert left.get(pair, 0.0) == pytest.approx(max(0.0, own - plays * count))
        assert pair in spoken or pair in left


def pairs_in_order(part):
    users, items = part.users.ids[part.user].tolist(), part.items.ids[part.item].tolist()
    return list(zip(users, items, strict=True))


def test_rows_that_speak_against_are_told_by_a_condition(tmp_path: Path):
    path = tmp_path / "plays.csv"
    path.write_text(
        "user,item,pct\n1,10,100\n1,10,3\n1,11,9\n2,11,70\n2,10,80\n3,11,1\n", encoding="utf-8"
    )
    (listens,), report = read_listens(
        [path], columns=Columns("user", "item"), against="pct < 25 or pct is empty"
    )
    rows = list(zip(listens.user.tolist(), listens.items.ids[listens.item].tolist(), strict=True))
    assert rows == [(0, 10), (1, 11), (1, 10)]
    against = listens.against
    assert against is not None and np.array_equal(against.user, [0, 0])  # 3 has no listens
    assert against.items.ids[against.item].tolist() == [10, 11]
    assert (report.against, report.filtered) == (3, 0)
    assert listens.known is not None and len(listens.known) == 2
    train = split(listens, Rules(kind="none", seed=0)).train
    assert pairs_in_order(train) == [(2, 10), (2, 11)]


def test_what_takes_nothing_is_refused():
    with pytest.raises(UserError, match=r"config\.data\.against_plays is 0; expected a number abo"):
        split(with_against(HEARD, (0, 0, 1)), Rules(kind="none", seed=0, against_plays=0))
