"""Properties of the readers that hold for any input, found by Hypothesis."""

import csv
import datetime
import gzip
import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jaxrec.data.delimited import Dialect, read_delimited, read_edges
from jaxrec.data.idomaar import read_idomaar
from jaxrec.data.ids import IdMap
from jaxrec.data.inputs import InputFile
from jaxrec.data.interactions import Listens
from jaxrec.data.json_rows import read_json
from jaxrec.data.meaning import Columns
from jaxrec.data.parquet import read_parquet
from jaxrec.errors import UserError
from tests.data.reading import read_listens

ID = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8
).filter(lambda text: text.strip(" "))
WORD = ID.filter(lambda text: not set(text) & set("\t\n\r\x0b\x0c ")).filter(
    lambda text: text[0] != "\ufeff"
)
NUMBER = st.integers(-(2**63), 2**63 - 1)
COMMAS = Dialect(",", quoted=True)
WANTED = {"user": "user", "item": "item", "plays": "plays"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("properties")


def pairs(listens: Listens) -> list[tuple[Any, Any]]:
    users, items = listens.users.ids[listens.user], listens.items.ids[listens.item]
    return list(zip(users.tolist(), items.tolist(), strict=True))


def read(path: Path, **options: Any) -> Listens:
    (listens,), _ = read_listens([path], **{"columns": Columns("user", "item"), **options})
    return listens


@settings(max_examples=150)
@given(
    start=st.sampled_from(
        [b"", b"user,item,plays\n", b"user\titem\tplays\n", b"PAR1", b'{"user":1}\n', b"[{"]
    ),
    content=st.binary(max_size=80) | st.text(max_size=40).map(str.encode),
    end=st.sampled_from([b"", b"\n", b"PAR1"]),
)
@example(start=b"", content=b"", end=b"")
def test_any_bytes_are_rows_problems_or_a_clear_error(folder, start, content, end):
    data = start + content + end
    readers = {
        "a.csv": lambda path: read_delimited(path, WANTED, COMMAS),
        "a.tsv": lambda path: read_delimited(path, WANTED, Dialect("\t", quoted=False)),
        "a.csv.gz": lambda path: read_delimited(path, WANTED, COMMAS),
        "a.txt": read_edges,
        "a.json": lambda path: read_json(path, WANTED),
        "a.idomaar": lambda path: read_idomaar(path, {"user": "user", "item": "track"}),
        "a.parquet": lambda path: read_parquet(path, WANTED),
    }
    for name, reader in readers.items():
        path = folder / name
        path.write_bytes(gzip.compress(data) if name == "a.csv.gz" else data)
        try:
            for rows in reader(InputFile(path)):
                for column in rows.columns.values():
                    column.validate(full=True)
                    assert len(column) == len(rows.line)
        except UserError as error:
            assert str(error).startswith(str(path))
            assert "expected" in str(error) and str(error).isprintable()


@settings(max_examples=12)
@given(st.lists(st.tuples(WORD, st.lists(WORD, min_size=1, max_size=4)), min_size=1, max_size=6))
def test_edge_lists_are_read_back(folder, rows):
    path = folder / "edges.txt"
    text = "\n".join(" ".join([user, *items]) for user, items in rows)
    path.write_text(text, encoding="utf-8", newline="")
    expected = [(user, item) for user, items in rows for item in items]
    assert [tuple(map(str, pair)) for pair in pairs(read(path, columns=None))] == expected


@settings(max_examples=12)
@given(st.lists(st.tuples(ID, NUMBER), min_size=1, max_size=10), st.sampled_from([None, "snappy"]))
def test_parquet_is_read_back(folder, rows, compression):
    path = folder / "a.parquet"
    users, items = zip(*rows, strict=True)
    table = pa.table({"user": pa.array(users), "item": pa.array(items, pa.int64())})
    pq.write_table(table, path, compression=compression, row_group_size=3)
    assert pairs(read(path)) == rows


@settings(max_examples=12)
@given(
    st.lists(
        st.datetimes(
            min_value=datetime.datetime(1, 1, 2), max_value=datetime.datetime(9999, 12, 30)
        ),
        min_size=1,
        max_size=10,
    ),
    st.integers(-15, 15),
)
def test_times_are_those_of_python(folder, moments, hours):
    zone = datetime.timezone(datetime.timedelta(hours=hours))
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    aware = [moment.replace(tzinfo=zone) for moment in moments]
    path = folder / "times.csv"
    path.write_text("user,item,time\n" + "".join(f"1,1,{m.isoformat()}\n" for m in aware))
    listens = read(path, columns=Columns("user", "item", timestamp="time"))
    expected = [(moment - epoch) // datetime.timedelta(seconds=1) for moment in aware]
    assert listens.timestamp is not None and listens.timestamp.tolist() == expected


GOOD_LINE = st.sampled_from(["1,2,3", '"a","b,c",1', "é,🎵,0.5"])
BAD_LINE = st.sampled_from(
    [",1,1", "1,1", "1,1,-1", "1,1,x", '"1"x,1,1', "1,\0,1", "user,item,plays"]
)


@settings(max_examples=12)
@given(st.lists(st.tuples(st.booleans(), GOOD_LINE, BAD_LINE), min_size=1, max_size=12))
def test_leaving_out_bad_rows_equals_a_file_without_them(folder, lines):
    options = {"columns": Columns("user", "item", plays="plays")}
    mixed, clean = folder / "mixed.csv", folder / "clean.csv"
    head = "user,item,plays\n0,0,1\n"
    mixed.write_text(
        head + "".join((good if is_good else bad) + "\n" for is_good, good, bad in lines)
    )
    clean.write_text(head + "".join(good + "\n" for is_good, good, _ in lines if is_good))
    (found,), report = read_listens([mixed], on_bad_rows="skip", **options)
    expected = read(clean, **options)
    assert pairs(found) == pairs(expected)
    assert found.plays.tolist() == expected.plays.tolist()
    assert report.skipped == sum(not is_good for is_good, _, _ in lines)


@settings(max_examples=100)
@given(
    st.lists(
        st.tuples(st.text("ab\"',;\n\r é", max_size=5), st.text('x,"\n', max_size=4)), max_size=6
    )
)
def test_good_csv_is_read_as_python_reads_it(folder, rows):
    stream = io.StringIO(newline="")
    csv.writer(stream, quoting=csv.QUOTE_ALL).writerows([("user", "item"), *rows])
    path = folder / "quoted.csv"
    path.write_bytes(stream.getvalue().encode())
    found = []
    wanted = {"user": "user", "item": "item"}
    for part in read_delimited(InputFile(path), wanted, COMMAS):
        assert not part.problems
        found += zip(*(part.columns[role].to_pylist() for role in wanted), strict=True)
    assert found == rows


@settings(max_examples=50)
@given(st.sets(NUMBER, max_size=20) | st.sets(ID, max_size=20), st.lists(ID, max_size=5))
def test_ids_are_found_at_their_index_and_nothing_else_is(ids, others):
    numbers = all(isinstance(value, int) for value in ids)
    known = np.array(sorted(ids), np.int64 if numbers else object)
    id_map = IdMap(known)
    assert id_map.index_of(known).tolist() == list(range(len(known)))
    assert id_map.index_of([str(value) for value in known]).tolist() == list(range(len(known)))
    strangers = [value for value in others if value not in {str(value) for value in ids}]
    for value, index in zip(strangers, id_map.index_of(strangers), strict=True):
        # "007" names the number 7: a person may write it so.
        assert index == -1 or (numbers and int(value) == known[index])
