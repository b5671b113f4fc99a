"""Conditions on columns: what is kept and dropped, and what can't be read."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jaxrec.data.conditions import Condition, parse
from jaxrec.data.meaning import Columns
from jaxrec.errors import UserError
from tests.data.reading import read_listens

EVENTS = (
    "user,item,event type,pct,skipped\n"
    "a,1,listen,100,false\n"
    "a,2,listen,40,true\n"
    "a,3,like,,\n"
    "a,4,dislike,,False\n"
    "a,5,it's,7e1,TRUE\n"
    "b,1,listen,50.0,0\nb,2,listen,100,0\nb,3,listen,100,0\nb,4,listen,100,0\nb,5,listen,100,0\n"
)


def kept_and_known(folder: Path, **settings: str) -> tuple[str, str, str]:
    """The items that user a keeps, those that it knows, and those that anyone keeps, as text."""
    path = folder / "events.csv"
    path.write_text(EVENTS)
    (listens,), report = read_listens([path], columns=Columns("user", "item"), **settings)
    parts = []
    for part in (listens, listens.known):
        mine = [] if part is None else part.item[part.users.ids[part.user] == "a"]
        parts.append("".join(map(str, sorted(listens.items.ids[mine].tolist()))))
    assert report.filtered + len(listens) == report.rows == 10
    return parts[0], parts[1], "".join(map(str, listens.items.ids.tolist()))


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({"keep": "'event type' in listen like"}, "123"),
        ({"keep": "'event type' in listen like and pct >= 50"}, "1"),
        ({"keep": "'event type' in listen like", "drop": "pct < 50"}, "13"),
        ({"keep": '"event type" == "it\'s"'}, "5"),
        ({"keep": "pct == 70"}, "5"),
        ({"keep": "pct>70"}, "1"),
        ({"drop": "skipped == true"}, "134"),
        ({"drop": "skipped != true"}, "25"),
        ({"drop": "pct is empty or pct <= 40"}, "15"),
        ({"keep": "pct is not empty"}, "125"),
        ({"keep": "item not in 1 2 05"}, "34"),
        ({"keep": "item in 1 2.0"}, "12"),
    ],
)
def test_rows_are_kept_by_what_their_columns_hold_and_the_others_are_known(
    tmp_path, settings, kept
):
    found, known, items = kept_and_known(tmp_path, **settings)
    assert found == kept
    assert set(known) == set(items) - set(kept)


def test_columns_of_parquet_of_any_kind_may_be_compared(tmp_path):
    table = {
        "user": ["a", "a", "a"],
        "item": [1, 2, 3],
        "liked": [True, False, None],
        "stars": pa.array([1.5, 2.0, 5.0], pa.float32()),
        "kind": pa.array(["x", "y", "x"]).dictionary_encode(),
        "day": pa.array([0, 1, 2], pa.date32()),
    }
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table(table), path)
    for keep, items in {
        "liked == true": [1],
        "stars >= 2": [2, 3],
        "kind == x": [1, 3],
        "day in 1970-01-02 1970-01-03": [2, 3],
    }.items():
        (listens,), _ = read_listens([path], columns=Columns("user", "item"), keep=keep)
        assert listens.items.ids.tolist() == items


NO_CONDITIONS = [
    *("", "pct", "pct >=", "pct >= high", "pct in", "in x", "a == 1 and", "and a == 1"),
    *("a is nothing", "a == 1 or b == 2", "a == 1 2", "a == 'b", "a == 1 AND b == 2", "a not in"),
]


@pytest.mark.parametrize("text", NO_CONDITIONS)
def test_what_is_no_condition_is_refused_with_an_example(text):
    with pytest.raises(UserError, match=r"config.data.keep is .*expected conditions such as"):
        parse("keep", text)


def test_words_in_quotes_are_no_words_of_the_language():
    assert parse("drop", "'is' in 'or' \"and\" or a == 'x y'") == [
        Condition("is", "in", ("or", "and")),
        Condition("a", "=", ("x y",)),
    ]


def test_a_condition_is_never_run_as_sql(tmp_path):
    keep = 'item != "\'; DROP TABLE listens; --"'
    assert kept_and_known(tmp_path, keep=keep)[0] == "12345"
    with pytest.raises(UserError, match=r"no column 'x\); DROP' .*in config.data.drop"):
        kept_and_known(tmp_path, drop="'x); DROP' == 1")


def test_a_row_without_an_id_may_be_dropped(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("user,item\n1,5\n1,\n2,null\n2,6\n")
    (listens,), report = read_listens(
        [path], columns=Columns("user", "item"), drop="item is empty or item in null NA"
    )
    assert listens.items.ids.tolist() == [5, 6]
    assert report.filtered == 2
