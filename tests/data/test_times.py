"""Times: compact dates, named months, formats, and moments read as the column is."""

import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxrec.data.meaning import Columns
from jaxrec.data.times import TimeColumn, read_moment, shown_moment
from jaxrec.errors import UserError
from tests.data.reading import read_listens, read_one

TIMES = Columns("user", "item", timestamp="time")
DATES = TimeColumn()
EPOCH = TimeColumn(numbers=True, largest=1_700_000_000)
OFFSETS = TimeColumn(numbers=True, largest=90_000)


def times_of(folder, values, **settings):
    path = folder / "a.csv"
    path.write_text("user,item,time\n" + "".join(f'u,{n},"{t}"\n' for n, t in enumerate(values)))
    return read_one(path, columns=TIMES, **settings).timestamp.tolist()


def seconds(text: str) -> int:
    return int(datetime.datetime.fromisoformat(text + "+00:00").timestamp())


def test_compact_dates_are_dates_where_all_are(tmp_path):
    assert times_of(tmp_path, ["20150601", "19991231", "20240229"]) == [
        seconds("2015-06-01"),
        seconds("1999-12-31"),
        seconds("2024-02-29"),
    ]


@pytest.mark.parametrize("other", ["20150631", "20151301", "1", "20150601.5", "18991231", "2.01e7"])
def test_counts_that_look_like_dates_but_for_one_are_counts(tmp_path, other):
    assert times_of(tmp_path, ["20150601", other])[0] == 20150601


def test_compact_dates_are_told_and_bound_the_window(tmp_path):
    path = tmp_path / "a.csv"
    rows = [("a", 1, 20150101), ("a", 2, 20150601), ("b", 1, 20150602), ("b", 2, 20160101)]
    path.write_text("user,item,time\n" + "".join(f"{u},{i},{t}\n" for u, i, t in rows))
    for first in ("2015-06-01", "20150601", "2015-06", seconds("2015-06-01")):
        (listens,), report = read_listens([path], columns=TIMES, time_from=first, time_until="2016")
        assert listens.timestamp.tolist() == [seconds("2015-06-01"), seconds("2015-06-02")]
        assert (report.before_window, report.after_window) == (1, 1)
        assert any("all times are dates" in note for note in report.notes)
        # What was heard before is known; what comes after is the future.
        assert listens.known.timestamp.tolist() == [seconds("2015-01-01")]
    assert report.times.compact and not report.times.numbers


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("13 Sep 2020 20:46", "2020-09-13T20:46"),
        ("01 Jan 1970 00:00", "1970-01-01T00:00"),
        ("1 May 2021, 07:00", "2021-05-01T07:00"),
        ("31 December 2019 23:59:59", "2019-12-31T23:59:59"),
        ("9 Feb 2012", "2012-02-09T00:00"),
    ],
)
def test_dates_with_a_months_name(tmp_path, text, iso):
    assert times_of(tmp_path, [text]) == [seconds(iso)]


@pytest.mark.parametrize(
    ("form", "text", "expected"),
    [
        ("%d/%m/%Y %H:%M", "05/06/2020 01:02", seconds("2020-06-05T01:02")),
        ("%Y%m%d", "20200605", seconds("2020-06-05")),
        ("%m/%d/%y", "06/05/20", seconds("2020-06-05")),
        ("%Y-%m-%d %H:%M:%S %z", "2020-06-05 02:00:00 +0200", seconds("2020-06-05")),
        ("seconds", "20150601", 20150601),
        ("milliseconds", "1500", 1),
        ("microseconds", "1717156800000000", 1717156800),
        ("nanoseconds", "1717156800000000999", 1717156800),
    ],
)
def test_another_form_is_read_by_its_format(tmp_path, form, text, expected):
    assert times_of(tmp_path, [text], time_format=form) == [expected]
    with pytest.raises(UserError, match=r"timestamp is 'noon', expected .*config.data.time_format"):
        times_of(tmp_path, ["noon"], time_format=form)


@pytest.mark.parametrize("form", ["", "days", "%Q", "%d/%"])
def test_what_is_no_format_is_refused(tmp_path, form):
    with pytest.raises(UserError, match=r"config.data.time_format is .*expected seconds"):
        times_of(tmp_path, ["1"], time_format=form)


@pytest.mark.parametrize(
    ("moment", "column", "expected"),
    [
        ("2016", DATES, "2016-01-01"),
        ("20160531", DATES, "2016-05-31"),
        ("2016-05", DATES, "2016-05-01"),
        ("2016-05-31", DATES, "2016-05-31"),
        ("2016", EPOCH, "2016-01-01"),
        ("20160531", EPOCH, "2016-05-31"),
        ("1464652800", EPOCH, "2016-05-31"),
        ("1464652800000", DATES, "2016-05-31"),
        ("31 May 2016 00:00", DATES, "2016-05-31"),
        ("31/05/2016", TimeColumn(form="%d/%m/%Y"), "2016-05-31"),
        ("2016-05-31", TimeColumn(form="%d/%m/%Y"), "2016-05-31"),
        ("1971-01-01", OFFSETS, "1971-01-01"),
    ],
)
def test_a_moment_is_read_as_the_column_is(moment, column, expected):
    assert read_moment("time_from", moment, column) == seconds(expected)


def test_in_a_column_that_counts_from_elsewhere_a_number_is_a_count():
    assert read_moment("time_from", "2016", OFFSETS) == 2016
    assert read_moment("time_from", "20160531", OFFSETS) == 20160531
    seconds_column = TimeColumn(numbers=True, largest=1_700_000_000, form="seconds")
    assert read_moment("time_from", "20160531", seconds_column) == 20160531


@pytest.mark.parametrize("moment", ["201605", "20161399", "5", "noon", "", "2016-13-01", "1e20"])
def test_what_is_no_moment_of_dates_is_refused(moment):
    with pytest.raises(UserError, match=r"config.data.moment is .*expected seconds"):
        read_moment("config.data.moment", moment, DATES)


@settings(max_examples=40)
@given(st.dates(datetime.date(1900, 1, 1), datetime.date(2100, 12, 31)))
def test_a_day_is_the_same_moment_in_each_form(day):
    expected = seconds(day.isoformat())
    assert read_moment("x", f"{day:%Y%m%d}", DATES) == expected
    assert read_moment("x", day.isoformat(), EPOCH) == expected
    assert shown_moment(expected) == day.isoformat()
