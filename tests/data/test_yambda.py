"""The Yambda benchmark's cut: its windows by hand, who stays and what stays."""

import numpy as np
import pytest

from jaxrec.data.ids import IdMap
from jaxrec.data.interactions import Listens
from jaxrec.data.split_rules import Rules
from jaxrec.data.splits import Split, split
from jaxrec.data.yambda import windows
from jaxrec.errors import UserError

MOMENT = 25_913_600  # where the benchmark's test begins
DAY = 86_400


def at(*rows: tuple[str, str, int]) -> Listens:
    """Listens from rows of user, song and seconds."""
    users, items = (sorted({row[k] for row in rows}) for k in (0, 1))
    return Listens(
        user=np.array([users.index(row[0]) for row in rows], np.int32),
        item=np.array([items.index(row[1]) for row in rows], np.int32),
        plays=np.ones(len(rows)),
        timestamp=np.array([row[2] for row in rows], np.int64),
        users=IdMap(np.array(users, object)),
        items=IdMap(np.array(items, object)),
    )


def heard(result: Split, part: str) -> list[tuple[str, str, list[int]]]:
    """A part's pairs with the times of their listens."""
    found = getattr(result, part)
    events = found.events
    return [
        (str(found.users.ids[user]), str(found.items.ids[item]), events.timestamp[a:b].tolist())
        for user, item, a, b in zip(
            found.user, found.item, events.offsets[:-1], events.offsets[1:], strict=True
        )
    ]


def test_the_windows_are_those_of_the_benchmarks_code():
    # TEST_TIMESTAMP - GAP_SIZE, and with VAL_SIZE of a day a gap more; its data begin at 0.
    alone = windows(MOMENT, with_validation=False)
    assert (alone.train[0] < 0, alone.train[1]) == (True, 25_911_800)
    assert (alone.validation, alone.test[0]) == (None, 25_913_600)
    both = windows(MOMENT, with_validation=True)
    assert both.train == (alone.train[0], 25_823_600)
    assert both.validation == (25_825_400, 25_911_800)
    assert alone.train[1] - alone.train[0] == 300 * DAY
    assert alone.test[1] > 26_000_000  # LAST_TIMESTAMP


ROWS = (
    ("ann", "a", 25_823_599),  # the last second of train with validation
    ("ann", "b", 25_823_600),  # in the gap before validation
    ("ann", "b", 25_825_399),
    ("ann", "a", 25_825_400),  # validation, heard again
    ("ann", "c", 25_911_799),  # its last second, a song unknown
    ("ann", "c", 25_911_800),  # in the gap before test
    ("ann", "d", 25_913_599),
    ("ann", "a", 25_913_600),  # test, twice
    ("ann", "a", 26_000_000),
    ("ann", "d", 25_999_995),
    ("bob", "a", 25_824_000),  # knows nothing before the gap
    ("bob", "a", 25_826_000),
    ("bob", "c", 25_990_000),
    ("eve", "b", 100),
)


def test_parts_by_hand_with_validation():
    result = split(at(*ROWS), Rules(kind="yambda", seed=0, moment=MOMENT, validation_fraction=0.1))
    assert heard(result, "train") == [("ann", "a", [25_823_599]), ("eve", "b", [100])]
    assert heard(result, "validation") == [
        ("ann", "a", [25_825_400]),
        ("ann", "c", [25_911_799]),
    ]
    assert heard(result, "test") == [
        ("ann", "a", [25_913_600, 26_000_000]),
        ("ann", "d", [25_999_995]),
    ]
    assert result.protocol["again"] == {"validation": 1, "test": 1}
    assert result.counts()["test"]["cold_users"] == 1  # bob
    assert result.counts()["test"]["cold_interactions"] == 1


def test_parts_by_hand_without_validation():
    result = split(at(*ROWS), Rules(kind="yambda", seed=0, moment=MOMENT))
    assert result.validation is None
    assert heard(result, "train") == [
        ("ann", "a", [25_823_599, 25_825_400]),
        ("ann", "b", [25_823_600, 25_825_399]),
        ("ann", "c", [25_911_799]),
        ("bob", "a", [25_824_000, 25_826_000]),
        ("eve", "b", [100]),
    ]
    assert heard(result, "test") == [
        ("ann", "a", [25_913_600, 26_000_000]),
        ("ann", "d", [25_999_995]),  # a song that train doesn't know stays
        ("bob", "c", [25_990_000]),
    ]


def test_without_a_moment_test_is_the_last_day():
    result = split(at(*ROWS), Rules(kind="yambda", seed=0))
    assert result.protocol["moment"] == MOMENT


def test_what_is_older_than_300_days_is_in_no_part():
    begin = MOMENT + 10**9 - 1_800 - 300 * DAY
    rows = [("ann", "a", begin - 1), ("ann", "b", begin), ("ann", "b", MOMENT + 10**9)]
    result = split(at(*rows), Rules(kind="yambda", seed=0, moment=MOMENT + 10**9))
    assert heard(result, "train") == [("ann", "b", [begin])]
    assert result.known is None


@pytest.mark.parametrize(("field", "value"), [("min_plays", 2), ("core", 5)])
def test_filters_are_refused(field, value):
    with pytest.raises(UserError, match=r"expected 1 and 0 with config\.data\.split=yambda"):
        split(at(*ROWS), Rules(kind="yambda", seed=0, **{field: value}))


def test_a_history_without_times_or_listens_is_refused():
    nothing = at(("ann", "a", 1))
    with pytest.raises(UserError, match=r"split is 'yambda' but the listens have no times"):
        split(Listens(**{**vars(nothing), "timestamp": None}), Rules(kind="yambda", seed=0))
    none = {name: getattr(nothing, name)[:0] for name in ("user", "item", "plays", "timestamp")}
    with pytest.raises(UserError, match=r"split is 'yambda' but the history is empty"):
        split(Listens(**{**vars(nothing), **none}), Rules(kind="yambda", seed=0))
