"""JSON: an array or lines, records in records, lists, and what is wrong with a record."""

import json
import lzma

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxrec.data import json_rows
from jaxrec.data.inputs import InputFile
from jaxrec.data.meaning import Columns
from jaxrec.errors import UserError
from tests.data.reading import read_listens, read_one

PAIR = {"user": "user", "item": "item"}
NESTED = Columns(
    "who.name", "song.id", timestamp="at", item_name="song.title", artist="song.by.name"
)
LISTENS = [
    {"who": {"name": "anna"}, "song": {"id": 7, "title": "Blue", "by": {"name": "Joni"}}, "at": 5},
    {"who": {"name": "ben"}, "song": {"id": 9, "title": None, "by": {}}, "at": "1970-01-01"},
    {"who": {"name": "anna"}, "song": {"id": 9, "title": "Red"}, "at": 6.5, "more": [1, {}]},
]


def dumped(form: str, records: list) -> str:
    return {
        "array": json.dumps(records),
        "pretty array": json.dumps(records, indent=1),
        "lines": "".join(json.dumps(record) + "\r\n" for record in records),
        "blank lines": "\n\n".join(json.dumps(record) for record in records),
        "pretty records": "\n".join(json.dumps(record, indent=2) for record in records),
    }[form]


FORMS = ("array", "pretty array", "lines", "blank lines", "pretty records")


def rows(path, wanted=PAIR):
    """The rows as (line, values), and the problems."""
    found, problems = [], []
    for batch in json_rows.read_json(InputFile(path), wanted):
        columns = [batch.columns[key].to_pylist() for key in wanted]
        found += zip(batch.line.tolist(), *columns, strict=True)
        problems += batch.problems
    return found, problems


@pytest.mark.parametrize("name", ["a.json", "a.jsonl.xz", "a.ndjson", "a.txt", "a.csv"])
@pytest.mark.parametrize("form", FORMS)
def test_an_array_and_lines_are_read_alike(tmp_path, form, name):
    path = tmp_path / name
    text = "\ufeff" + dumped(form, LISTENS)
    path.write_bytes(lzma.compress(text.encode()) if name.endswith(".xz") else text.encode())
    listens = read_one(path, columns=NESTED)
    assert listens.users.ids[listens.user].tolist() == ["anna", "ben", "anna"]
    assert listens.items.ids[listens.item].tolist() == [7, 9, 9]
    assert listens.timestamp.tolist() == [5, 0, 6]
    assert listens.items.names.tolist() == ["Blue — Joni", "Red"]


@settings(max_examples=60)
@given(
    records=st.lists(
        st.fixed_dictionaries(
            {
                "user": st.text(max_size=3).filter(lambda text: "\0" not in text),
                "item": st.integers(),
            }
        ),
        min_size=1,
        max_size=6,
    ),
    form=st.sampled_from(FORMS),
    block=st.sampled_from([1, 5, 1 << 20]),
    blank=st.sampled_from([0, 9]),
)
def test_the_size_of_a_block_changes_nothing(tmp_path_factory, records, form, block, blank):
    path = tmp_path_factory.getbasetemp() / "blocks.json"
    path.write_text("\n" * blank + dumped(form, records))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jaxrec.data.text_blocks.BLOCK_BYTES", block)
        found, problems = rows(path)
    assert [row[1:] for row in found] == [(r["user"], str(r["item"])) for r in records]
    assert not problems
    lines = path.read_text().split("\n")
    assert all(lines[line - 1].strip().startswith(("{", "[{")) for line, *_ in found)


def test_values_are_text_as_they_are_written(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"user":12345678901234567890123,"item":"007"}\n{"user":1.50,"item":true}\n'
        '{"user":"\\u00e9","item":null}\n{"user":NaN,"item":"a\\nb"}\n{"item":-0}\n'
    )
    assert rows(path)[0] == [
        (1, "12345678901234567890123", "007"),
        (2, "1.50", "true"),
        (3, "é", None),
        (4, None, "a\nb"),
        (5, None, "-0"),
    ]


def test_numbers_in_text_stay_text(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"user":1,"item":"10"}\n{"user":2,"item":"9"}\n')
    listens = read_one(path)
    assert (listens.users.ids.tolist(), listens.items.ids.tolist()) == ([1, 2], ["10", "9"])


def test_a_name_with_a_dot_goes_before_a_record_within_a_record(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"a.b":1,"a":{"b":2},"x":1}\n{"a":{"b.c":{"d":3}},"x":1}\n{"a":4,"a.b":5,"x":2}\n'
    )
    assert rows(path, {"user": "a.b", "item": "x"})[0] == [
        (1, "1", "1"),
        (2, None, "1"),
        (3, "5", "2"),
    ]
    assert rows(path, {"user": "a.b.c.d", "item": "x"})[0][1] == (2, "3", "1")


def test_lists_are_a_row_per_item(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"user":"a","item":[1,2,3],"time":[10,20,30]}\n{"user":"b","item":[],"time":[]}\n'
        '{"user":"c","item":[4],"time":[1,2]}\n{"user":"d","item":7,"time":5}\n'
    )
    columns = Columns("user", "item", timestamp="time")
    with pytest.raises(
        UserError, match=r"a.jsonl:3: 'time' \(wanted as timestamp\) is a list of 2"
    ):
        read_one(path, columns=columns)
    listens = read_one(path, columns=columns, on_bad_rows="skip")
    assert listens.users.ids[listens.user].tolist() == ["a", "a", "a", "d"]
    assert listens.timestamp.tolist() == [10, 20, 30, 5]


BROKEN_LINES = {
    "half a record": ('{"user":1,"item":', "broken JSON, expected JSON, an array of records"),
    "a list": ("[1,2]", "a list, expected a record"),
    "a number": ("17", "a value, expected a record"),
    "two records": ('{"user":1,"item":2}{"user":1,"item":3}', "broken JSON"),
    "single quotes": ("{'user':1,'item':2}", "broken JSON"),
    "deep": ("[" * 100_000, "broken JSON"),
    "a record where a value should be": (
        '{"user":{"id":1},"item":2}',
        "'user' (wanted as user) is",
    ),
    "a list where a value should be": (
        '{"user":[1],"item":2}',
        "'user' (wanted as user) is a list",
    ),
    "half a pair": ('{"user":"\\ud800","item":2}', "in 'user' broken UTF-8 or a NUL character"),
    "nul": ('{"user":"a\\u0000","item":2}', "in 'user' broken UTF-8 or a NUL character"),
    "a long value": (f'{{"user":"{"x" * 140_000}","item":2}}', "in 'user' a field of over 131072"),
    "null": ('{"user":null,"item":2}', "user is null, expected an id"),
    "a huge number": ('{"user":1,"item":2,"plays":1e999}', "plays is '1e999'"),
}


@pytest.mark.parametrize("case", BROKEN_LINES)
def test_a_broken_line_is_named_and_the_next_is_read(tmp_path, case):
    line, message = BROKEN_LINES[case]
    path = tmp_path / "a.jsonl"
    good = '{"user":1,"item":1,"plays":1}\n'
    path.write_text(f"{good}\n{line}\n{good}")
    columns = Columns("user", "item", plays="plays")
    with pytest.raises(UserError) as error:
        read_one(path, columns=columns)
    assert str(error.value).startswith(f"{path}:3: {message}")
    (listens,), report = read_listens([path], columns=columns, on_bad_rows="skip")
    assert (len(listens), report.skipped, report.rows) == (2, 1, 3)


BROKEN_FILES = {
    "empty": ("", ": the file is empty, expected JSON"),
    "blank": (" \n\n", ": the file is empty, expected JSON"),
    "an open array": ('[{"user":1,"item":2},\n', ":2: broken or cut off JSON"),
    "a broken record in an array": ('[{"user":1,"item":2},\n{"user":]', ":2: broken or cut off"),
    "more after the array": ('[{"user":1,"item":2}]\nmore', ":2: text after the array"),
    "no column": (
        '[{"user":1,"song":{"id":2}}]',
        ": no column 'item' (wanted as item), expected on",
    ),
    "broken utf-8": (b'[{"user":1,"item":"\xff"}]', ":1: broken UTF-8 (0xff, byte 20 of the line)"),
}


@pytest.mark.parametrize("case", BROKEN_FILES)
@pytest.mark.parametrize("on_bad_rows", ["error", "skip"])
def test_a_broken_file_is_refused(tmp_path, case, on_bad_rows):
    content, message = BROKEN_FILES[case]
    path = tmp_path / "a.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as error:
        read_one(path, on_bad_rows=on_bad_rows)
    message = f"{path}{message}"
    assert str(error.value).startswith(message)
    assert str(error.value).isprintable()


def test_a_record_without_an_item_is_counted_and_no_mistake(tmp_path):
    path = tmp_path / "a.json"
    rows = [{"user": 1, "item": "x"}, {"user": 1, "item": None}, {"user": 2}]
    path.write_text(json.dumps(rows))
    (listens,), report = read_listens([path], columns=Columns("user", "item"))
    assert (len(listens), report.no_item, report.skipped) == (1, 2, 0)
    path.write_text(json.dumps(rows[1:2]))
    with pytest.raises(UserError, match=r"no listens left.*1 rows: 1 without an item"):
        read_one(path)
    path.write_text('[{"user": 1, "item": ""}]')
    with pytest.raises(UserError, match="item is empty"):
        read_one(path)


def test_an_error_never_shows_a_column_that_was_not_asked_for(tmp_path):
    path = tmp_path / "a.json"
    secret = {"user": 1, "item": "", "ip_addr": "192.0.2.7", "nested": {"device": "my phone"}}
    path.write_text(json.dumps([secret]))
    for columns in (Columns("user", "item"), Columns("user", "song"), Columns("user", "nested")):
        with pytest.raises(UserError) as error:
            read_one(path, columns=columns)
        assert "192.0.2.7" not in str(error.value) and "my phone" not in str(error.value)
