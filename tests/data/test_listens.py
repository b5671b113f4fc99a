"""Reading histories: each format gives the same listens, each bad input its own error."""

import csv
import gzip
import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxrec.data import delimited, listen_store, parquet, text_blocks
from jaxrec.data.inputs import InputFile
from jaxrec.data.interactions import Listens
from jaxrec.data.meaning import Columns
from jaxrec.errors import UserError
from tests.data.reading import read_listens, read_one

COLUMNS = Columns("user", "item")
COMMAS = delimited.Dialect(",", quoted=True)
PLAYS = Columns("user", "item", plays="plays")
TIMES = Columns("user", "item", timestamp="time")
NOON = 1717156800  # 2024-05-31T12:00:00Z


def write(path: Path, content: str | bytes) -> Path:
    data = content if isinstance(content, bytes) else content.encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def events(listens: Listens) -> list[tuple]:
    """The rows in external ids."""
    return list(
        zip(
            listens.users.ids[listens.user].tolist(),
            listens.items.ids[listens.item].tolist(),
            listens.plays.tolist(),
            strict=True,
        )
    )


def names(listens: Listens) -> dict:
    assert listens.items.names is not None
    return dict(zip(listens.items.ids.tolist(), listens.items.names.tolist(), strict=True))


HISTORY = [(2, "x", 3.0), (10, "y", 1.0), (2, "z", 2.5)]
HISTORY_CSV = "user,item,plays\n2,x,3\n10,y,1\n2,z,2.5\n"


@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("a.csv", HISTORY_CSV, {}),
        ("a.CSV", HISTORY_CSV, {}),
        ("a.csv.gz", HISTORY_CSV, {}),
        ("a.csv", "\ufeff" + HISTORY_CSV, {}),
        ("a.csv", HISTORY_CSV.replace("\n", "\r\n"), {}),
        ("a.csv", HISTORY_CSV.replace("\n2", "\r\n2"), {}),
        ("a.csv", HISTORY_CSV.rstrip("\n"), {}),
        ("a.csv", "\n" + HISTORY_CSV.replace("\n", "\n\n"), {}),
        ("a.csv", '"user","item","plays"\n"2",x,"3"\n10,"y",1\n"2","z","2.5"\n', {}),
        ("a.csv", "plays,item,,user\n3,x,,2\n1,y,,10\n2.5,z,,2\n", {}),
        ("a.csv", HISTORY_CSV.replace(",", ";"), {"delimiter": ";"}),
        ("a.tsv", HISTORY_CSV.replace(",", "\t"), {}),
        ("a.dat", HISTORY_CSV.replace(",", "\t"), {}),
        ("a.tsv.gz", HISTORY_CSV.replace(",", "\t"), {}),
        ("a.dat", HISTORY_CSV.replace(",", "::"), {"delimiter": "::"}),
        ("u.data", HISTORY_CSV.replace(",", "\t"), {"format": "tsv"}),
        ("u.data", HISTORY_CSV.replace(",", "|"), {"delimiter": "|"}),
        (
            "a.txt",
            "2 x 3\n10 y 1\n2 z 2.5\n",
            {"delimiter": " ", "header": False, "columns": Columns("0", "1", plays="2")},
        ),
        (
            "a.csv",
            '2,"x",3\n10,y,1\n2,z,2.5\n',
            {"header": False, "columns": Columns("0", "1", plays="2")},
        ),
    ],
)
def test_text_formats_read_alike(tmp_path, name, content, options):
    path = write(tmp_path / name, content)
    assert events(read_one(path, **{"columns": PLAYS, **options})) == HISTORY


def test_parquet_reads_alike_from_a_file_a_folder_and_a_glob(tmp_path):
    table = pa.table({"item": ["x", "y", "z"], "plays": [3, 1, 2.5], "user": [2, 10, 2]})
    pq.write_table(table.slice(0, 1), write(tmp_path / "part=0" / "a.parquet", ""))
    pq.write_table(table.slice(1), write(tmp_path / "part=1" / "b.parquet", ""))
    write(tmp_path / "_SUCCESS", "")
    write(tmp_path / "part=0" / ".a.parquet.crc", "crc")
    pq.write_table(table, tmp_path / "part=0" / "_all.parquet")
    for path in (tmp_path, tmp_path / "*" / "[ab].parquet", tmp_path / "part=0" / "_all.parquet"):
        assert events(read_one(path, columns=PLAYS)) == HISTORY


def test_a_file_whose_name_looks_like_a_glob(tmp_path):
    write(tmp_path / "a1.csv", "user,item\n1,1\n")
    path = write(tmp_path / "a[1]'--.csv", "user,item\n2,2\n")
    assert events(read_one(path)) == [(2, 2, 1.0)]


def test_edge_lists_and_a_pair_share_their_ids(tmp_path):
    train = write(tmp_path / "train.txt", "0 5 7\r\n\n  3\t9  \n4\n")
    test = write(tmp_path / "test.txt", "0 9\n8 1")
    (first, second), report = read_listens([train, test])
    assert events(first) == [(0, 5, 1.0), (0, 7, 1.0), (3, 9, 1.0)]
    assert events(second) == [(0, 9, 1.0), (8, 1, 1.0)]
    assert first.users is second.users and first.items is second.items
    assert first.users.ids.tolist() == [0, 3, 8]
    assert first.items.ids.tolist() == [1, 5, 7, 9]
    assert (report.rows, report.skipped, first.timestamp) == (5, 0, None)
    assert first.user.dtype == first.item.dtype == np.int32 and first.plays.dtype == np.float64


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (["10", "9", "-3"], [-3, 9, 10]),
        (["9223372036854775807", "0"], [0, 2**63 - 1]),
        (["9223372036854775808", "1"], ["1", "9223372036854775808"]),
        (["10", "9", "007"], ["007", "10", "9"]),
        (["1", "1.0"], ["1", "1.0"]),
        (["1", " 1", "+1", "-0"], [" 1", "+1", "-0", "1"]),
        (
            ["b", "é", "a", "Z", "\U0001f3b5", "\uff5e"],
            ["Z", "a", "b", "é", "\uff5e", "\U0001f3b5"],
        ),
        (["null", "NA", "nan", "\\N"], ["NA", "\\N", "nan", "null"]),
    ],
)
def test_ids_are_integers_only_if_all_are(tmp_path, ids, expected):
    path = write(tmp_path / "a.csv", "user,item\n" + "".join(f"{name},0\n" for name in ids))
    users = read_one(path).users
    assert users.ids.tolist() == expected
    assert users.ids.dtype == (np.int64 if isinstance(expected[0], int) else object)


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (pa.array([10, 9], pa.int8()), [9, 10]),
        (pa.array([10, 9], pa.uint64()), [9, 10]),
        (pa.array([2**64 - 1, 9], pa.uint64()), ["18446744073709551615", "9"]),
        (pa.array(["10", "9"]), ["10", "9"]),
        (pa.array(["10", "9"]).dictionary_encode(), ["10", "9"]),
        (pa.array([b"10", "é".encode()]), ["10", "é"]),
    ],
)
def test_parquet_ids_keep_their_type(tmp_path, ids, expected):
    pq.write_table(pa.table({"user": ids, "item": [1, 2]}), tmp_path / "a.parquet")
    listens = read_one(tmp_path / "a.parquet")
    assert listens.users.ids.tolist() == expected
    assert listens.items.ids.tolist() == [1, 2]


MOMENTS = [
    (str(NOON), NOON),
    (f"{NOON}.75", NOON),
    (f"{NOON}999", NOON),
    ("1.5e9", 1_500_000_000),
    ("0", 0),
    ("-0.5", -1),
    ("2024-05-31", NOON - 43200),
    ("2024-05-31T12:00", NOON),
    ("2024-05-31 12:00:00", NOON),
    ("2024-05-31T12:00:00Z", NOON),
    ("2024-05-31 12:00:00 UTC", NOON),
    ("2024-05-31T12:00:00.999Z", NOON),
    ("2024-05-31T14:30:00+02:30", NOON),
    ("2024-05-31T14:00:00+0200", NOON),
    ("2024-05-31T07:00:00-05", NOON),
    ("1969-12-31T23:59:59.5", -1),
    ("1900-01-01", -2208988800),
    ("0001-01-01", -62135596800),
    ("9999-12-31T23:59:59Z", 253402300799),
]


def test_times(tmp_path):
    rows = "".join(f"1,1,{text}\n" for text, _ in MOMENTS)
    timestamp = read_one(
        write(tmp_path / "a.csv", f"user,item,time\n{rows}"), columns=TIMES
    ).timestamp
    assert timestamp is not None and timestamp.dtype == np.int64
    assert timestamp.tolist() == [seconds for _, seconds in MOMENTS]


@pytest.mark.parametrize(
    "times",
    [
        pa.array([NOON], pa.timestamp("s")),
        pa.array([NOON * 1000 + 7], pa.timestamp("ms")),
        pa.array([NOON * 10**9 + 7], pa.timestamp("ns")),
        pa.array([NOON * 10**6], pa.timestamp("us", "America/New_York")),
        pa.array([NOON * 1000 + 7]),
        pa.array([NOON + 0.5]),
        pa.array(["2024-05-31T12:00:00Z"]),
    ],
)
def test_parquet_times(tmp_path, times):
    pq.write_table(pa.table({"user": [1], "item": [1], "time": times}), tmp_path / "a.parquet")
    timestamp = read_one(tmp_path / "a.parquet", columns=TIMES).timestamp
    assert timestamp is not None and timestamp.tolist() == [NOON]


def test_parquet_dates(tmp_path):
    days = pa.array([0, -1], pa.date32())
    pq.write_table(pa.table({"user": [1, 1], "item": [1, 1], "time": days}), tmp_path / "a.parquet")
    timestamp = read_one(tmp_path / "a.parquet", columns=TIMES).timestamp
    assert timestamp is not None and timestamp.tolist() == [0, -86400]


def test_lists_of_parquet_are_a_row_per_item(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "LIST_BATCH_ROWS", 2)
    table = {
        "user": pa.array([7, 8, 9, 9], pa.uint32()),
        "item": pa.array([[1, 2], [], [3], None], pa.list_(pa.uint32())),
        "time": [[10, 20], [], [30], []],
        "title": [["a", "b"], [], ["c"], []],
        "plays": [2, 1, 5, 1],
    }
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table(table), path)
    columns = Columns("user", "item", timestamp="time", plays="plays", item_name="title")
    listens = read_one(path, columns=columns)
    assert events(listens) == [(7, 1, 2.0), (7, 2, 2.0), (9, 3, 5.0)]
    assert listens.timestamp.tolist() == [10, 20, 30]
    assert names(listens) == {1: "a", 2: "b", 3: "c"}
    table["time"] = [[10, 20], [], [30, 40], []]
    pq.write_table(pa.table(table), path)
    with pytest.raises(
        UserError, match=r"row 3: column 'time' has a list of 2, expected 1 entries"
    ):
        read_one(path, columns=columns)
    (listens,), report = read_listens([path], columns=columns, on_bad_rows="skip")
    assert (len(listens), report.skipped) == (2, 1)


def test_names_come_from_the_first_row_that_has_one(tmp_path):
    path = write(
        tmp_path / "a.csv",
        "user,item,title,by\n1,5,,\n2,5,Blue,Joni\n3,5,Red,Joni\n1,6,Solo,\n1,7,,Björk\n1,8,,\n",
    )
    columns = Columns("user", "item", item_name="title", artist="by")
    expected = {5: "Blue — Joni", 6: "Solo", 7: "Björk", 8: ""}
    assert names(read_one(path, columns=columns)) == expected
    only_artist = Columns("user", "item", artist="by")
    assert names(read_one(path, columns=only_artist)) == {5: "Joni", 6: "", 7: "Björk", 8: ""}
    assert read_one(path).items.names is None


def test_names_from_a_file_of_their_own(tmp_path):
    history = write(tmp_path / "a.csv", "user,item,title\n1,5,inline\n1,6,inline\n1,7,\n")
    artists = write(tmp_path / "names.dat", 'id\tname\n5\t"Weird Al" Yankovic\n5\tsecond\n9\tno\n')
    columns = Columns("user", "item", item_name="title")
    listens = read_one(history, columns=columns, names_path=artists)
    assert names(listens) == {5: '"Weird Al" Yankovic', 6: "inline", 7: ""}


def test_names_as_in_movielens(tmp_path):
    history = write(tmp_path / "u.data", "1\t5\t4\t881250949\n")
    movies = write(tmp_path / "u.item", "5|Misérables, Les|1995\n".encode("latin-1"))
    listens = read_one(
        history,
        format="tsv",
        header=False,
        columns=Columns("0", "1", timestamp="3"),
        names_path=movies,
        names_columns=("0", "1"),
        names_header=False,
        names_delimiter="|",
        names_encoding="latin-1",
    )
    assert names(listens) == {5: "Misérables, Les"}
    assert events(listens) == [(1, 5, 1.0)]


def test_unwanted_rows_are_dropped_and_counted_and_their_ids_with_them(tmp_path):
    rows = [
        "1,1,0,100,50",  # nothing played
        "2,2,2,99,50",  # too short
        "3,3,2,100,49",  # before the window
        "4,4,2,100,50",
        "5,5,0.5,5000,59.9",
        "6,6,2,100,60",  # at its end
    ]
    path = write(tmp_path / "a.csv", "user,item,plays,ms,time\n" + "\n".join(rows))
    columns = Columns("user", "item", timestamp="time", plays="plays", ms_played="ms")
    (listens,), report = read_listens(
        [path], columns=columns, time_from=50, time_until="1970-01-01T00:01Z", min_ms_played=100
    )
    assert events(listens) == [(4, 4, 2.0), (5, 5, 0.5)]
    assert listens.users.ids.tolist() == listens.items.ids.tolist() == [4, 5]
    assert (report.rows, report.skipped) == (6, 0)
    assert (report.zero_plays, report.too_short) == (1, 1)
    assert (report.before_window, report.after_window) == (1, 1)


def snapshot(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


GOOD = "user,item,plays,time,ms\n1,1,1,0,0\n"
ALL = Columns("user", "item", timestamp="time", plays="plays", ms_played="ms")
BAD_TEXT = {
    "empty user": (GOOD + ",1,1,0,0\n", 3, "user is empty, expected an id"),
    "blank item": (GOOD + "1, ,1,0,0\n", 3, "item is empty, expected an id"),
    "quoted empty id": (GOOD + '"",1,1,0,0\n', 3, "user is empty"),
    "plays in words": (GOOD + "1,1,many,0,0\n", 3, "plays is 'many', expected a number from 0"),
    "plays missing": (GOOD + "1,1,,0,0\n", 3, "plays is empty"),
    "plays negative": (GOOD + "1,1,-1,0,0\n", 3, "plays is '-1'"),
    "plays nan": (GOOD + "1,1,nan,0,0\n", 3, "plays is 'nan'"),
    "plays infinite": (GOOD + "1,1,1e999,0,0\n", 3, "plays is '1e999'"),
    "plays with underscore": (GOOD + "1,1,1_0,0,0\n", 3, "plays is '1_0'"),
    "ms in words": (GOOD + "1,1,1,0,long\n", 3, "ms_played is 'long'"),
    "ms negative": (GOOD + "1,1,1,0,-5\n", 3, "ms_played is '-5'"),
    "time in words": (GOOD + "1,1,1,noon,0\n", 3, "timestamp is 'noon', expected seconds"),
    "time empty": (GOOD + "1,1,1,,0\n", 3, "timestamp is empty"),
    "no such day": (GOOD + "1,1,1,2023-02-29,0\n", 3, "timestamp is '2023-02-29'"),
    "time infinite": (GOOD + "1,1,1,infinity,0\n", 3, "timestamp is 'infinity'"),
    "time too large": (GOOD + "1,1,1,1e15,0\n", 3, "timestamp is '1e15'"),
    "no such offset": (GOOD + "1,1,1,2023-02-01T00:00+99:00,0\n", 3, "timestamp is"),
    "long value": (GOOD + f"1,1,{'x' * 99},0,0\n", 3, f"plays is '{'x' * 50}'..., expected"),
    "value with a line break": (GOOD + '1,1,"a\nb",0,0\n', 3, "plays is 'a\\nb'"),
    "broken utf-8": (
        GOOD.encode() + b"1,\xff,1,0,0\n",
        3,
        "broken UTF-8 (0xff, byte 3 of the line)",
    ),
    "cut utf-8": (GOOD.encode() + "1,é".encode()[:-1], 3, "broken UTF-8"),
    "nul": (GOOD + "1,\0,1,0,0\n", 3, "a NUL byte, expected text"),
    "too few fields": (GOOD + "1,1,1,0\n", 3, "4 fields, expected 5 as in the header"),
    "too many fields": (GOOD + "1,1,1,0,0,0\n", 3, "6 fields, expected 5"),
    "one field": (GOOD + "1\n", 3, "1 field, expected 5"),
    "too few, quoted": (GOOD + '"1",1\n', 3, "2 fields, expected 5"),
    "open quote": (GOOD + '"1,1,1,0,0\n', 3, "a quote is opened and never closed"),
    "text after a quote": (GOOD + '"1"x,1,1,0,0\n', 3, "text after a closing quote"),
    "stray quote": (GOOD + '"1,1,1,0,0\n1,1,"1",0,0\n', 3, "text after a closing quote"),
    "endless field": (GOOD + f'"{"x" * 200_000}",1,1,0,0\n', 3, "a field of over 131072"),
    "old Mac lines": (GOOD + "1,1,1,0,0\r2,2,2,0,0\n", 3, "a carriage return inside the line"),
    "blank lines before": (GOOD + "\n\r\n,1,1,0,0\n", 5, "user is empty"),
    "quoted lines before": (GOOD + '"a\nb\r\nc",1,1,0,0\n"",1,1,0,0\n', 6, "user is empty"),
    "inside a quoted record": (
        GOOD.encode() + b'"a\nb\xc3",1,1,0,0\n',
        4,
        "broken UTF-8 (0xc3, byte 2 of the line)",
    ),
    "multi-line header": ('"us\ner",user,item,plays,time,ms\n1,,1,1,1,1\n', 3, "user is empty"),
}


@pytest.mark.parametrize(("number", "case"), list(enumerate(BAD_TEXT)))
def test_bad_rows_of_text_name_file_and_line(tmp_path, number, case):
    content, line, reason = BAD_TEXT[case]
    path = write(tmp_path / ("plays.csv.gz" if number % 4 == 0 else "plays.csv"), content)
    before = snapshot(tmp_path)
    with pytest.raises(UserError) as error:
        read_listens([path], columns=ALL)
    assert str(error.value).startswith(f"{path}:{line}: {reason}")
    assert "expected" in str(error.value) and "\n" not in str(error.value)
    assert snapshot(tmp_path) == before


BAD_FILES = {
    "missing": ("b.csv", None, "b.csv: no such file, expected a file"),
    "no match": ("b*.csv", None, "b*.csv: no file matches, expected at least one"),
    "empty folder": ("folder", None, "folder: the folder has no files"),
    "empty": ("a.csv", "", "a.csv: the file is empty, expected a header and rows"),
    "blank": ("a.csv", "\ufeff\n\r\n", "a.csv: the file is empty"),
    "empty edges": ("a.txt", "\n \n", "a.txt: the file is empty"),
    "users alone": ("a.txt", "1\n2\n", "a.txt: no listens left, expected at least one"),
    "header alone": ("a.csv", "user,item\n", "a.csv: no listens left, expected at least one"),
    "no column": (
        "a.csv",
        "user,song\n1,1\n",
        "a.csv:1: no column 'item' (wanted as item), expected one of 'user', 'song'",
    ),
    "doubled column": ("a.csv", "item,user,item\n1,1,1\n", "a.csv:1: the column name 'item' occ"),
    "broken header": ("a.csv", b"user,item,\xff\n1,1,1\n", "a.csv:1: broken UTF-8"),
    "open header": ("a.csv", 'user,"item\n1,1\n', "a.csv:1: a quote is opened and never closed"),
    "unknown ending": ("a.mp3", "x", "a.mp3: the format can't be told by this ending, expected .p"),
    "cut gzip": ("c.csv.gz", gzip.compress(b"user,item\n" * 99)[:-9], "c.csv.gz:1: damaged or cut"),
    "no parquet": ("a.parquet", b"user,item\n1,1\n", "a.parquet: damaged ("),
    "empty parquet": ("a.parquet", b"", "a.parquet: damaged ("),
    "a device": ("/dev/null", None, "/dev/null: not a regular file"),
}


@pytest.mark.parametrize("case", BAD_FILES)
@pytest.mark.parametrize("on_bad_rows", ["error", "skip"])
def test_bad_files(tmp_path, case, on_bad_rows):
    name, content, message = BAD_FILES[case]
    (tmp_path / "folder").mkdir()
    if content is not None:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    before = snapshot(tmp_path)
    with pytest.raises(UserError) as error:
        read_listens([tmp_path / name], columns=COLUMNS, on_bad_rows=on_bad_rows)
    assert message in str(error.value) and "\n" not in str(error.value)
    assert snapshot(tmp_path) == before


def bad_text_array() -> pa.Array:
    offsets, data = np.array([0, 1, 2, 3], np.int32), b"a\xffb"
    return pa.StringArray.from_buffers(3, pa.py_buffer(offsets), pa.py_buffer(data))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"user": ["a", None, "b"]}, "row 2: user is null, expected an id"),
        ({"user": ["a", "", "b"]}, "row 2: user is empty, expected an id"),
        ({"user": bad_text_array()}, "row 2: broken UTF-8 in column 'user'"),
        ({"item": ["a", "b", "c\0"]}, "row 3: broken UTF-8 in column 'item'"),
        ({"user": [1.0, 2.0, 3.0]}, "column 'user' (wanted as user) holds double, expected int"),
        ({"user": [[1], [2], [3]]}, "column 'user' (wanted as user) holds list"),
        (
            {"item": [[1], [2], [3]], "plays": [[1], [], [3]]},
            "row 2: column 'plays' has a list of 0",
        ),
        ({"plays": [1, 2, -3]}, "row 3: plays is '-3', expected a number from 0"),
        ({"plays": [1, None, 3]}, "row 2: plays is null"),
        ({"plays": [1.0, 2.0, float("nan")]}, "row 3: plays is 'nan'"),
        ({"time": ["now", "0", "1"]}, "row 1: timestamp is 'now'"),
        ({"time": [True, False, True]}, "column 'time' (wanted as timestamp) holds bool"),
        ({"user": pa.array([], pa.int64())}, "no listens left"),
    ],
)
def test_bad_parquet_names_file_and_row(tmp_path, columns, message, monkeypatch):
    monkeypatch.setattr(parquet, "BATCH_ROWS", 2)
    size = len(next(iter(columns.values())))
    good = {"user": [1] * size, "item": [1] * size, "plays": [1] * size, "time": [0] * size}
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({**good, **columns}), path)
    before = snapshot(tmp_path)
    with pytest.raises(UserError) as error:
        read_one(path, columns=Columns("user", "item", timestamp="time", plays="plays"))
    assert str(error.value).startswith(f"{path}: {message}")
    assert snapshot(tmp_path) == before


def test_parquet_columns_missing_or_doubled(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"user": [1], "song": [1]}), path)
    with pytest.raises(UserError, match=r"a.parquet: no column 'item' .* 'user', 'song'"):
        read_one(path)
    pq.write_table(pa.Table.from_arrays([pa.array([1])] * 3, ["user", "item", "user"]), path)
    with pytest.raises(UserError, match=r"a.parquet: the column name 'user' occurs 2 times"):
        read_one(path)


def test_truncated_parquet_at_every_tenth(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"user": range(1000), "item": range(1000)}), path)
    whole = path.read_bytes()
    for size in range(0, len(whole), len(whole) // 10):
        path.write_bytes(whole[:size])
        with pytest.raises(UserError, match=r"a.parquet: damaged .*expected a whole Parquet file"):
            read_one(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "xml"}, "format is 'xml', expected one of auto, csv"),
        ({"on_bad_rows": "ignore"}, "on_bad_rows is 'ignore', expected error or skip"),
        ({"min_ms_played": 1}, "min_ms_played is 1, expected 0 where no column"),
        ({"time_from": 1}, "time_from is 1, expected none where no column"),
        ({"time_from": "noon", "columns": ALL}, "time_from is 'noon', expected seconds"),
        ({"time_from": 5, "time_until": 5, "columns": ALL}, "time_until is 5, expected a moment"),
        ({"columns": None}, "no columns are set"),
        ({"format": "edges", "columns": PLAYS}, "an edge list has users and items only, no plays"),
        ({"delimiter": ""}, "delimiter is ''"),
        ({"delimiter": "::", "quoted": True}, "delimiter is '::'"),
    ],
)
def test_bad_arguments(tmp_path, options, message):
    with pytest.raises(UserError) as error:
        read_one(write(tmp_path / "a.csv", GOOD), **options)
    assert message in str(error.value)


def test_skipping_leaves_out_just_the_bad_rows(tmp_path):
    rows = itertools.chain.from_iterable(
        (f"{n},{n},1", bad)
        for n, bad in enumerate(
            ["1,1", ",1,1", '"1,1,1', "1,1,x", '1,"1"1,1', "1,\0,1", "1,1,-1", "1,1,1,1"] * 3
        )
    )
    path = write(tmp_path / "a.csv", "user,item,plays\n" + "\n".join(rows) + "\n")
    (listens,), report = read_listens([path], columns=PLAYS, on_bad_rows="skip")
    assert events(listens) == [(n, n, 1.0) for n in range(24)]
    assert (report.rows, report.skipped) == (48, 24)
    assert [example.split(": ")[0] for example in report.examples] == [
        f"{path}:{line}" for line in range(3, 23, 2)
    ]
    reasons = "2 fields|user|text after|plays|text after|a NUL|plays|4 fields|2 fields|user"
    for example, reason in zip(report.examples, reasons.split("|"), strict=True):
        assert f": {reason}" in example


def test_skipping_everything_is_an_error(tmp_path):
    path = write(tmp_path / "a.csv", "user,item\n,1\n")
    with pytest.raises(UserError, match=r"a.csv: no listens left.*1 bad and skipped"):
        read_one(path, on_bad_rows="skip")


def test_skipping_in_parquet_edges_and_names(tmp_path):
    edges = write(tmp_path / "a.txt", b"1 2\n\xff 3\n1 3\n")
    catalogue = write(tmp_path / "names.csv", "id,name\n2,two\n,none\n3,three\n")
    (listens,), report = read_listens([edges], names_path=catalogue, on_bad_rows="skip")
    assert names(listens) == {2: "two", 3: "three"}
    assert report.skipped == 2
    assert [example.split(": ")[0] for example in report.examples] == [
        f"{edges}:2",
        f"{catalogue}:3",
    ]
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"user": bad_text_array(), "item": [1, 2, None]}), path)
    (listens,), report = read_listens([path], columns=COLUMNS, on_bad_rows="skip")
    assert events(listens) == [("a", 1, 1.0)]
    assert [example.split(" is ")[0] for example in report.examples] == [
        f"{path}: row 2: broken UTF-8 in column 'user', expected text in UTF-8 without NUL",
        f"{path}: row 3: item",
    ]


def test_an_endless_line_is_refused_within_bounded_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(text_blocks, "BLOCK_BYTES", 64)
    monkeypatch.setattr(text_blocks, "LONGEST_RECORD_BYTES", 256)
    path = write(tmp_path / "a.csv", "user,item\n1,1\n" + "x" * 1000)
    with pytest.raises(UserError, match=r"a.csv:3: the line is longer than"):
        read_one(path, on_bad_rows="skip")
    path = write(tmp_path / "a.csv", 'user,item\n"1,1\n' + "2,2\n" * 100)
    (listens,), report = read_listens([path], columns=COLUMNS, on_bad_rows="skip")
    assert (len(listens), report.skipped) == (100, 1)
    assert report.examples[0].startswith(f"{path}:2: a quote is opened and never closed")


def test_nothing_depends_on_threads_or_the_order_of_files(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for name in "abc":
        rows = rng.integers(0, 300, (2000, 2)).tolist()
        write(tmp_path / f"{name}.csv", "user,item\n" + "".join(f"u{u},{i}\n" for u, i in rows))
    reference = read_one(tmp_path)
    for threads in (1, 4):
        monkeypatch.setitem(listen_store.SETTINGS, "threads", threads)
        listens = read_one(tmp_path / "?.csv")
        assert events(listens) == events(reference)
        assert listens.users.ids.tolist() == reference.users.ids.tolist()
    for name, other in (("a", "z"), ("b", "y")):
        (tmp_path / f"{name}.csv").rename(tmp_path / f"{other}.csv")
    moved = read_one(tmp_path)
    assert moved.users.ids.tolist() == reference.users.ids.tolist()
    assert sorted(events(moved)) == sorted(events(reference))


def test_nothing_is_written_beside_the_data_or_in_the_working_directory(tmp_path, monkeypatch):
    path = write(tmp_path / "a.csv", GOOD)
    monkeypatch.chdir(tmp_path)
    before = snapshot(tmp_path)
    read_one(path)
    assert snapshot(tmp_path) == before


def test_column_names_are_never_run_as_sql(tmp_path):
    name = "item\" FROM x; DROP TABLE listens; --'"
    path = tmp_path / "a.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["user", name], ["1", "'; DROP TABLE listens; --"]])
    listens = read_one(path, columns=Columns("user", name))
    assert events(listens) == [(1, "'; DROP TABLE listens; --", 1.0)]


TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8
).filter(str.strip)  # ids of blanks alone, of whichever kind, are refused
AWKWARD = st.text(st.sampled_from('"",;\n\r\té\U0001f3b5 a'), min_size=1, max_size=6).filter(
    lambda text: text.strip(" ")
)


@settings(max_examples=15)
@given(
    rows=st.lists(st.tuples(TEXT | AWKWARD, TEXT | AWKWARD), min_size=1, max_size=12),
    # With plain line feeds, and quotes only where needed, Python's writer leaves a carriage
    # return bare, so that nobody can read it back.
    style=st.sampled_from([(csv.QUOTE_MINIMAL, "\r\n"), (csv.QUOTE_ALL, "\n")]),
)
def test_what_csv_writes_is_read_back(tmp_path_factory, rows, style):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, quoting=style[0], lineterminator=style[1])
        writer.writerows([("user", "item"), *rows])
    listens = read_one(path)
    users, items = listens.users, listens.items
    assert [str(users.ids[index]) for index in listens.user] == [user for user, _ in rows]
    assert [str(items.ids[index]) for index in listens.item] == [item for _, item in rows]
    for ids in (users.ids.tolist(), items.ids.tolist()):
        assert ids == sorted(set(ids))


def read_text(path: Path) -> tuple[list, list]:
    """What the text reader makes of a file of `GOOD`'s columns: rows with lines, and problems."""
    wanted = {"user": "user", "item": "item", "plays": "plays"}
    rows, problems = [], []
    for part in delimited.read_delimited(InputFile(path), wanted, COMMAS):
        columns = [part.columns[role].to_pylist() for role in wanted]
        rows += zip(part.line.tolist(), *columns, strict=True)
        problems += part.problems
    return rows, problems


@pytest.mark.parametrize("case", BAD_TEXT)
def test_rows_and_lines_are_the_same_whatever_the_block(tmp_path, monkeypatch, case):
    content = BAD_TEXT[case][0]
    more = '2,"\n\n",1,0,0\n\n3,"x""y",1,0,0\n4\n5,y,1,0,0\n'
    path = write(
        tmp_path / "a.csv", content + (more.encode() if isinstance(content, bytes) else more)
    )
    whole = read_text(path)
    assert whole[0]
    for block in (3, 7, 40) if len(content) < 1000 else (30_000,):
        monkeypatch.setattr(text_blocks, "BLOCK_BYTES", block)
        assert read_text(path) == whole


@settings(max_examples=60)
@given(
    text=st.text(st.sampled_from('ab,,"""\n\n\r\ré'), max_size=40),
    block=st.sampled_from([1, 3, 10]),
)
def test_any_text_is_read_as_rows_or_problems_whatever_the_block(tmp_path_factory, text, block):
    path = write(tmp_path_factory.mktemp("csv") / "a.csv", GOOD + text)
    whole = read_text(path)
    assert whole[0][0] == (2, "1", "1", "1")
    lines = [row[0] for row in whole[0]] + [line for line, _ in whole[1]]
    assert len(set(lines)) == len(lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_blocks, "BLOCK_BYTES", block)
        assert read_text(path) == whole


def test_gowalla(shared_data):
    folder = shared_data / "gowalla"
    (train, test), report = read_listens([folder / "train.txt", folder / "test.txt"])
    assert (len(train), len(test)) == (810_128, 217_242)
    assert (len(train.users), len(train.items)) == (29_858, 40_981)
    assert len(np.unique(train.user)) == 29_858 and len(np.unique(train.item)) == 40_981
    assert report.rows == 1_027_370


def test_lastfm_2k(shared_data):
    folder = shared_data / "lastfm-2k"
    listens = read_one(
        folder / "user_artists.dat",
        columns=Columns("userID", "artistID", plays="weight"),
        names_path=folder / "artists.dat",
    )
    assert (len(listens), len(listens.users), len(listens.items)) == (92_834, 1_892, 17_632)
    assert names(listens)[1] == "MALICE MIZER"
    assert names(listens)[1686] == '"Weird Al" Yankovic'
    assert all(names(listens).values())
    assert events(listens)[0] == (2, 51, 13883.0)


def test_lastfm_lightgcn(shared_data):
    folder = shared_data / "lastfm-lightgcn"
    (train, test), _ = read_listens(
        [folder / "train.txt", folder / "test.txt"],
        columns=Columns("0", "1", plays="2"),
        format="tsv",
        header=False,
    )
    assert (len(train), len(test)) == (42_135, 10_533)
    # Ids go up to 1,892; 12 of those numbers never occur.
    assert (len(train.users), train.users.ids.max(), len(train.items)) == (1_880, 1_892, 4_489)
    assert len(set(test.user.tolist()) - set(train.user.tolist())) == 2
    assert events(train)[0] == (424, 4076, 993.0)
    assert train.plays.max() == 324_660
