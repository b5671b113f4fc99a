"""Files that no program should trust: each refused by file, line and reason; odd ones read right.

What one broken row or column can be like in CSV and Parquet is in `test_listens.py` too; nothing
of that is repeated here.
"""

import bz2
import decimal
import gzip
import io
import json
import lzma
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet as pq
import pytest

from jaxrec.data import listen_store, parquet
from jaxrec.data.interactions import Listens, aggregate
from jaxrec.data.meaning import Columns
from jaxrec.data.weighting import edge_weight
from jaxrec.errors import UserError
from tests.data.reading import read_listens

PAIR = Columns("user", "item")
PLAYS = Columns("user", "item", plays="plays")
TIMES = Columns("user", "item", timestamp="time")
PLAYED = Columns("user", "item", ms_played="ms")
TITLES = Columns("user", "item", item_name="title")
POSITIONS = {"header": False, "columns": Columns("0", "1")}
GOOD = "user,item\n1,1\n"
TEN_MB = 10 << 20


def plays(value: str) -> str:
    return f"user\titem\tplays\n1\t1\t1\n1\t2\t{value}\n"


def time(value: str) -> str:
    return f"user\titem\ttime\n1\t1\t0\n1\t2\t{value}\n"


def played(value: str) -> str:
    return f"user\titem\tms\n1\t1\t0\n1\t2\t{value}\n"


def table(**columns: Any) -> bytes:
    """A Parquet file of two rows, columns `user` and `item` as they should be unless given."""
    stream = io.BytesIO()
    pq.write_table(pa.table({"user": [1, 2], "item": [1, 2]} | columns), stream)
    return stream.getvalue()


def renamed(first: bytes) -> bytes:
    """A Parquet file with a column whose name begins with this byte."""
    stream = io.BytesIO()
    columns = pa.table({"user": [1], "item": [1], "extra": [1]})
    pq.write_table(columns, stream, store_schema=False)
    return stream.getvalue().replace(b"extra", first + b"xtra")


def written(writer: Callable[..., Any]) -> bytes:
    stream = io.BytesIO()
    writer(pa.table({"user": [1], "item": [1]}), stream)
    return stream.getvalue()


def tarred() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("listens.csv"))
    return stream.getvalue()


def zipped(members: dict[str, str | bytes] | None = None) -> bytes:
    stream = io.BytesIO()
    workbook = {"xl/worksheets/sheet1.xml": "<worksheet/>", "bytes": bytes(range(256))}
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (workbook if members is None else members).items():
            archive.writestr(name, content)
    return stream.getvalue()


def locked() -> bytes:
    """A zip whose only file says that it is encrypted."""
    content = bytearray(zipped({"a.csv": GOOD}))
    for mark, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(mark) + place] |= 1
    return bytes(content)


def zstd(text: str) -> bytes:
    return pa.compress(text.encode(), "zstd", asbytes=True)


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


PARQUET = table()
DAMAGED = "damaged ("
# name -> file's name, content, how it is read, what the message says after the file's path
MALFORMED: dict[str, tuple[str, str | bytes, dict[str, Any], str]] = {
    # Encodings
    "utf-16 with mark": ("a.csv", GOOD.encode("utf-16"), {}, ":1: broken UTF-8 (0xff, byte 1 of"),
    "utf-16 without": ("a.csv", GOOD.encode("utf-16-be"), {}, ":1: a NUL byte, expected text"),
    "utf-32": ("a.csv", GOOD.encode("utf-32-be"), {}, ":1: a NUL byte"),
    "latin-1": ("a.csv", GOOD.encode() + b"Ren\xe9,1\n", {}, ":3: broken UTF-8 (0xe9, byte 4"),
    "shift jis": ("a.csv", GOOD.encode() + "1,曲".encode("shift_jis"), {}, ":3: broken UTF-8"),
    "ebcdic": ("a.csv", GOOD.encode("cp500"), {}, ":1: broken UTF-8"),
    "overlong": ("a.csv", GOOD.encode() + b"\xc0\x80,1\n", {}, ":3: broken UTF-8 (0xc0"),
    "surrogate": ("a.csv", GOOD.encode() + b"\xed\xa0\x80,1\n", {}, ":3: broken UTF-8 (0xed"),
    "beyond unicode": ("a.csv", GOOD.encode() + b"1,\xf4\x90\x80\x80\n", {}, ":3: broken UTF-8"),
    "broken in gzip": (
        "a.csv.gz",
        gzip.compress(GOOD.encode() + b"\x80,1"),
        {},
        ":3: broken UTF-8",
    ),
    "broken edges": ("a.txt", b"1 2\n1 \xfe\n", {}, ":2: broken UTF-8 (0xfe, byte 3 of the line)"),
    # NUL bytes
    "nul in tsv": ("a.tsv", "user\titem\n1\t1\n1\t\0\n", {}, ":3: a NUL byte"),
    "nul in edges": ("a.txt", "1 2\n\0 3\n", {}, ":2: a NUL byte"),
    "nul in the header": ("a.csv", "user,item,\0\n1,1,1\n", {}, ":1: a NUL byte"),
    "an end of zeros": ("a.csv", GOOD + "\0" * 4096, {}, ":3: a NUL byte"),
    "zeros alone": ("a.csv", "\0" * 4096, {}, ":1: a NUL byte"),
    # Long lines and many columns
    "10 MB id": ("a.csv", GOOD + "1," + "x" * TEN_MB, {}, ":3: a field of over 131072 characters"),
    "10 MB in quotes": ("a.csv", GOOD + f'1,"{"x" * TEN_MB}"\n', {}, ":3: a field of over 131072"),
    "10 MB over lines": ("a.csv", GOOD + '1,"' + "x\n" * (TEN_MB // 2), {}, ":3: a field of over"),
    "10 MB in edges": ("a.txt", "1 2\n1 " + "é" * (TEN_MB // 2), {}, ":2: a field of over 131072"),
    "10 MB of commas": ("a.csv", GOOD + "," * TEN_MB, {}, ":3: 10485761 fields, expected 2 as in"),
    "10 MB header": ("a.csv", "c" * TEN_MB + "\n1\n", {}, ":1: no column 'user' (wanted as user)"),
    "10 MB of columns": ("a.csv", "c," * (TEN_MB // 2), {}, ":1: over 10,000 columns"),
    "10 MB of positions": ("a.csv", "," * TEN_MB, POSITIONS, ":1: over 10,000 columns"),
    "id of 2,001 bytes": ("a.txt", f"1 2\n1 {'x' * 2001}\n", {}, f":2: item is '{'x' * 50}'..., "),
    # Line ends and quoting
    "old Mac": ("a.csv", "user,item\r1,1\r2,2\r", {}, ":1: a carriage return inside the line"),
    "open after semicolon": ("a.csv", 'user;item\n1;"1\n', {"delimiter": ";"}, ":2: a quote is op"),
    "open without header": ("a.csv", '1,1\n"2,2\n', POSITIONS, ":2: a quote is opened and never"),
    "text after quote in header": ("a.csv", '"user"s,item\n1,1\n', {}, ":1: text after a closing"),
    "widths differ without header": ("a.csv", "1,1\n1\n", POSITIONS, ":2: 1 field, expected 2 as "),
    # Headers
    "header twice": ("a.csv", GOOD + GOOD, {}, ":3: the header once more, expected a row"),
    "header twice with mark": ("a.csv", GOOD + "\ufeff" + GOOD, {}, ":3: the header once more"),
    "header twice in quotes": ("a.csv", GOOD + '\ufeff"user","item"\n', {}, ":3: the header once"),
    "doubled in tsv": ("a.tsv", "user\titem\tx\tx\n", {}, ":1: the column name 'x' occurs 2 times"),
    "doubled in quotes": ("a.csv", 'user,item,"user"\n1,1,1\n', {}, ":1: the column name 'user'"),
    "other case": ("a.csv", "User,item\n1,1\n", {}, ":1: no column 'user' (wanted as user), exp"),
    "space in a name": ("a.csv", "user, item\n1,1\n", {}, ":1: no column 'item' (wanted as item)"),
    "no delimiter of ours": ("a.csv", "user~item\n1~1\n", {}, ":1: no column 'user' (wanted as u"),
    "no such position": ("a.csv", "1\n2\n", POSITIONS, ":1: no column '1' (wanted as item)"),
    # Numbers
    "plays beyond float32": (
        "a.tsv",
        plays("1e308"),
        {"columns": PLAYS},
        ":3: plays is '1e308', e",
    ),
    "plays too many": (
        "a.tsv",
        plays("1.1e15"),
        {"columns": PLAYS},
        ":3: plays is '1.1e15', expec",
    ),
    "plays too few": ("a.tsv", plays("1e-320"), {"columns": PLAYS}, ":3: plays is '1e-320', expec"),
    "plays in hex": ("a.tsv", plays("0x10"), {"columns": PLAYS}, ":3: plays is '0x10'"),
    "plays full width": (
        "a.tsv",
        plays("\uff11\uff12"),
        {"columns": PLAYS},
        ":3: plays is '\uff11\uff12'",
    ),
    "plays with a comma": ("a.tsv", plays("1,5"), {"columns": PLAYS}, ":3: plays is '1,5'"),
    "plays in groups": ("a.tsv", plays("1 000"), {"columns": PLAYS}, ":3: plays is '1 000'"),
    "plays a formula": ("a.tsv", plays("=1+1"), {"columns": PLAYS}, ":3: plays is '=1+1'"),
    "plays a half": ("a.tsv", plays("½"), {"columns": PLAYS}, ":3: plays is '½'"),
    "ms infinite": ("a.tsv", played("1e999"), {"columns": PLAYED}, ":3: ms_played is '1e999'"),
    "ms as a clock": ("a.tsv", played("3:07"), {"columns": PLAYED}, ":3: ms_played is '3:07'"),
    # Times
    "year 10000": (
        "a.tsv",
        time("10000-01-01"),
        {"columns": TIMES},
        ":3: timestamp is '10000-01-0",
    ),
    "year -1": ("a.tsv", time("-0001-01-01"), {"columns": TIMES}, ":3: timestamp is '-0001-01-01'"),
    "leap second": ("a.tsv", time("2016-12-31T23:59:60"), {"columns": TIMES}, ":3: timestamp is"),
    "hour 25": ("a.tsv", time("2024-01-01T25:00"), {"columns": TIMES}, ":3: timestamp is '2024-01"),
    "month 13": ("a.tsv", time("2024-13-01"), {"columns": TIMES}, ":3: timestamp is '2024-13-01'"),
    "microseconds": (
        "a.tsv",
        time("1717156800000000"),
        {"columns": TIMES},
        ":3: timestamp is '171",
    ),
    "day first": ("a.tsv", time("31/05/2024"), {"columns": TIMES}, ":3: timestamp is '31/05/2024'"),
    "week date": ("a.tsv", time("2024-W22-5"), {"columns": TIMES}, ":3: timestamp is '2024-W22-5'"),
    "offset of a day": (
        "a.tsv",
        time("2024-01-01T00:00+24:00"),
        {"columns": TIMES},
        ":3: timestam",
    ),
    # Compression
    "a member's name that moves the cursor": (
        "a.zip",
        zipped({"\x1b[2J\r.csv": "user,item\n1,\n"}),
        {},
        r"/\x1b[2J\r.csv:2: item is empty",
    ),
    "a member without a name": (
        "a.zip",
        zipped({"a": "1,1"}).replace(b"\1\0\0\0\0\0", b"\0\0\0\0\1\0"),  # it is a comment now
        {},
        ": a zip of 0 files",
    ),
    "gzip twice": ("a.csv.gz", gzip.compress(gzip.compress(b"1,1")), {}, ":1: broken UTF-8 (0x8b"),
    "gzip checksum": ("a.csv.gz", flipped(gzip.compress(GOOD.encode()), -6), {}, ":1: damaged or "),
    "gzip and more": ("a.csv.gz", gzip.compress(GOOD.encode()) + b"more", {}, ":1: damaged or cut"),
    "bzip2 cut off": ("a.csv.bz2", bz2.compress(GOOD.encode())[:-3], {}, ":1: damaged or cut off"),
    "bzip2 damaged": ("a.csv", flipped(bz2.compress(GOOD.encode()), 30), {}, ":1: damaged or cut"),
    "xz cut off": ("a.csv.xz", lzma.compress(GOOD.encode())[:-3], {}, ":1: damaged or cut off at"),
    "xz checksum": ("a.csv", flipped(lzma.compress(GOOD.encode()), -20), {}, ":1: damaged or cut"),
    "xz and more": ("a.csv.xz", lzma.compress(GOOD.encode()) + b"more", {}, ":1: damaged or cut"),
    "zstd cut off": ("a.csv.zst", zstd(GOOD)[:-3], {}, ":1: damaged or cut off at or after this"),
    "zip of several": ("a.zip", zipped(), {}, ": a zip of 2 files, such as 'bytes'"),
    "zip of none": ("a.zip", zipped({}), {}, ": a zip of 0 files; expected a zip with one file"),
    "zip cut off": ("a.zip", zipped()[:-30], {}, ": damaged (File is not a zip file)"),
    "zip with a password": ("a.zip", locked(), {}, ": its 'a.csv' is encrypted, expected plain"),
    "tar": ("a.csv", tarred(), {}, ": a tar archive, expected a file that is plain or compressed"),
    "tar in gzip": ("a.csv.gz", gzip.compress(tarred()), {}, ": a tar archive, expected a file"),
    "7-Zip": ("a.csv", b"7z\xbc\xaf\x27\x1c" + bytes(99), {}, ": compressed with 7-Zip, expected"),
    # Other kinds of files
    "a workbook": ("a.csv", zipped(), {}, ": a zip of 2 files"),
    "a picture": ("a.csv", b"\x89PNG\r\n\x1a\n" + bytes(99), {}, ":1: broken UTF-8 (0x89, byte 1"),
    "json lines": ("a.csv", json.dumps({"user": 1}), {}, ": no column 'item' (wanted as item), ex"),
    "a web page": ("a.csv", "<!DOCTYPE html>\n<p>Log in\n", {}, ":1: no column 'user'"),
    "parquet as csv": ("a.csv", PARQUET, {"format": "csv"}, ": a Parquet file, expected Parquet"),
    # Parquet
    "feather": ("a.parquet", written(pa.feather.write_feather), {}, f": {DAMAGED}"),
    "orc": ("a.parquet", written(pa.orc.write_table), {}, f": {DAMAGED}"),
    "parquet in gzip": ("a.parquet", gzip.compress(PARQUET), {}, ": compressed with gzip, expec"),
    "csv in gzip as parquet": ("a.parquet", gzip.compress(b"1,1"), {}, f": {DAMAGED}compressed w"),
    "footer of 2 GiB": (
        "a.parquet",
        PARQUET[:-8] + b"\xff\xff\xff\x7fPAR1",
        {},
        f": {DAMAGED}",
    ),
    "footer of nothing": ("a.parquet", PARQUET[:-8] + bytes(4) + b"PAR1", {}, f": {DAMAGED}"),
    "broken column name": ("a.parquet", renamed(b"\x94"), {}, f": {DAMAGED}"),
    "marks alone": ("a.parquet", b"PAR1PAR1", {}, f": {DAMAGED}"),
    "encrypted": ("a.parquet", b"PAR1" + bytes(99) + b"PARE", {}, f": {DAMAGED}"),
    "struct": (
        "a.parquet",
        table(user=[{"a": 1}, {"a": 2}]),
        {},
        ": column 'user' (wanted as user",
    ),
    "map": (
        "a.parquet",
        table(item=pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int32()))),
        {},
        ": column 'item' (wanted as item) holds map<",
    ),
    "list of titles": (
        "a.parquet",
        table(title=[["a"], []]),
        {"columns": TITLES},
        ": column 'title' (wanted as item_name) holds list<",
    ),
    "fixed bytes": (
        "a.parquet",
        table(user=pa.array([b"ab", b"cd"], pa.binary(2))),
        {},
        ": column 'user' (wanted as user) holds fixed_size_binary[2]",
    ),
    "yes or no": (
        "a.parquet",
        table(user=[True, False]),
        {},
        ": column 'user' (wanted as user) ho",
    ),
    "days as ids": (
        "a.parquet",
        table(item=pa.array([0, 1], pa.date32())),
        {},
        ": column 'item' (wanted as item) holds date32[day], expected integers or text",
    ),
    "decimal ids": (
        "a.parquet",
        table(user=[decimal.Decimal("1.5"), decimal.Decimal(2)]),
        {},
        ": column 'user' (wanted as user) holds decimal",
    ),
    "no type": ("a.parquet", table(user=pa.nulls(2)), {}, ": row 1: user is null, expected an id"),
    "time of day": (
        "a.parquet",
        table(time=pa.array([0, 1], pa.time32("s"))),
        {"columns": TIMES},
        ": column 'time' (wanted as timestamp) holds time32",
    ),
    "duration": (
        "a.parquet",
        table(time=pa.array([0, 1], pa.duration("s"))),
        {"columns": TIMES},
        ": column 'time' (wanted as timestamp) holds duration",
    ),
    "year 30000": (
        "a.parquet",
        table(time=pa.array([0, 9 * 10**14], pa.timestamp("ms"))),
        {"columns": TIMES},
        ": row 2: timestamp is '30489-11-11 16:00:00",
    ),
    "before year 0": (
        "a.parquet",
        table(time=pa.array([0, -(10**14)], pa.timestamp("ms"))),
        {"columns": TIMES},
        ": row 2: timestamp is '-1199-02-15",
    ),
    "largest time": (
        "a.parquet",
        table(time=[0, 2**63 - 1]),
        {"columns": TIMES},
        ": row 2: timesta",
    ),
    "endless plays": (
        "a.parquet",
        table(plays=[1, np.inf]),
        {"columns": PLAYS},
        ": row 2: plays is",
    ),
    "null in a dictionary": (
        "a.parquet",
        table(user=pa.array(["a", None]).dictionary_encode()),
        {},
        ": row 2: user is null, expected an id",
    ),
    "nul in a title": (
        "a.parquet",
        table(title=["a", "b\0"]),
        {"columns": TITLES},
        ": row 2: broken UTF-8 in column 'title'",
    ),
    "title of a megabyte": (
        "a.parquet",
        table(title=["a", "b" * (1 << 20)]),
        {"columns": TITLES},
        ": row 2: in column 'title' a field of over 131072 characters",
    ),
    "long id": (
        "a.parquet",
        table(user=["a", "b" * 2001]),
        {},
        f": row 2: user is '{'b' * 50}'...",
    ),
}


def tree(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def refusal(path: Path, options: dict[str, Any]) -> str:
    before = tree(path.parent)
    with pytest.raises(UserError) as error:
        read_listens([path], **{"columns": PAIR, **options})
    assert tree(path.parent) == before
    message = str(error.value)
    assert "expected" in message
    assert message.isprintable()  # one line
    assert len(message) < 4000
    return message


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_files_are_refused_by_place_and_reason(tmp_path, monkeypatch, case):
    name, content, options, message = MALFORMED[case]
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    if name.endswith(".txt"):
        options = {"columns": None} | options
    assert refusal(path, options).startswith(f"{path}{message}")


BAD_NAMES = {
    "broken": (b"id,name\n1,Bj\xf6rk\n", ":2: broken UTF-8 (0xf6, byte 5 of the line)"),
    "nul": (b"id,name\n1,\0\n", ":2: a NUL byte"),
    "no column": (b"id,title\n1,a\n", ":1: no column 'name' (wanted as item_name)"),
    "doubled column": (b"id,name,id\n1,a,1\n", ":1: the column name 'id' occurs 2 times"),
    "no id": (b"id,name\n1,a\n,b\n", ":3: item is empty, expected an id"),
    "too few fields": (b"id,name\n1\n", ":2: 1 field, expected 2"),
    "open quote": (b'id,name\n1,"a\n', ":2: a quote is opened and never closed"),
    "empty": (b"", ": the file is empty"),
    "megabyte": (b"id,name\n1," + b"x" * (1 << 20), ":2: a field of over 131072 characters"),
}


@pytest.mark.parametrize("case", BAD_NAMES)
def test_malformed_files_of_names_are_refused_too(tmp_path, case):
    content, message = BAD_NAMES[case]
    history = tmp_path / "a.csv"
    history.write_text(GOOD)
    names = tmp_path / "names.csv"
    names.write_bytes(content)
    assert refusal(history, {"names_path": names}).startswith(f"{names}{message}")


def test_at_least_sixty_malformed_files():
    assert len(MALFORMED) + len(BAD_NAMES) >= 60


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x" * 5000, "'xxxxxxx.*'...: File name too long, expected a file"),
        ("a\0.csv", "expected a file, a folder or a glob"),
        ("folder/**/*.csv", "no file matches"),
        ("loop.csv", "not a regular file"),
        ("folder/pipe", "not a regular file"),
    ],
)
def test_paths_that_are_no_files(tmp_path, name, message):
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    os.mkfifo(tmp_path / "folder" / "pipe")
    with pytest.raises(UserError, match=message):
        read_listens([f"{tmp_path}/{name}" if len(name) < 99 else name], columns=PAIR)


def test_user_and_item_in_one_column_is_a_mistake(tmp_path):
    with pytest.raises(UserError, match="the columns of user and item are both 'user'"):
        read_listens([tmp_path / "a.csv"], columns=Columns("user", "user"))


# Odd but valid: file's name, content, how it is read, and users, items in order of the rows.
ZWJ = "\U0001f469\u200d\U0001f3a4"  # a singer of two code points and a joiner
HEBREW, MARKED = "שיר אהבה", "\u202eevil\u202c"
LONG_ID = "x" * 2000
ODD: dict[str, tuple[str, str | bytes, dict[str, Any], list[Any], list[Any]]] = {
    "emoji": ("a.csv", f"user,item\n{ZWJ},🎵🇫🇷\n", {}, [ZWJ], ["🎵🇫🇷"]),
    "right to left": ("a.csv", f"user,item\n{HEBREW},{MARKED}\n", {}, [HEBREW], [MARKED]),
    "composed or not": ("a.csv", "user,item\né,1\ne\u0301,1\n", {}, ["é", "e\u0301"], [1, 1]),
    "ids with line ends": ("a.csv", 'user,item\n"a\nb","c\r\nd"\n', {}, ["a\nb"], ["c\r\nd"]),
    "line ends of other kinds": (
        "a.csv",
        "user,item\na\u2028b,c\x85d\ne\x1cf,g\x0bh\x0c\n",
        {},
        ["a\u2028b", "e\x1cf"],
        ["c\x85d", "g\x0bh\x0c"],
    ),
    "mark, returns, quotes": ("a.csv", '\ufeff"user","item"\r\n"1","x"\r\n', {}, [1], ["x"]),
    "mark in edges": ("a.txt", "\ufeff1 2\r\n", {"columns": None}, [1], [2]),
    "leading zeros": ("a.csv", "user,item\n007,1\n7,01\n", {}, ["007", "7"], ["1", "01"]),
    "whole numbers of all sizes": (
        "a.csv",
        f"user,item\n{-(2**63)},{2**63}\n{2**63 - 1},{-(2**63) - 1}\n",
        {},
        [-(2**63), 2**63 - 1],
        [str(2**63), str(-(2**63) - 1)],
    ),
    "words for nothing": (
        "a.csv",
        "user,item\nnull,None\nNaN,-\n",
        {},
        ["null", "NaN"],
        ["None", "-"],
    ),
    "spaces around": ("a.csv", "user,item\n a ,\tb\n", {}, [" a "], ["\tb"]),
    "quotes inside": ("a.csv", 'user,item\n"a""b","c,d"\n', {}, ['a"b'], ["c,d"]),
    "quotes in tsv": ("a.tsv", 'user\titem\n"a\tb"\n', {}, ['"a'], ['b"']),
    "escapes of a terminal": (
        "a.csv",
        "user,item\n\x1b[31mred,\x07\n",
        {},
        ["\x1b[31mred"],
        ["\x07"],
    ),
    "like code": (
        "a.csv",
        "user,item\n'; DROP TABLE listens; --,__import__('os').abort()\n",
        {},
        ["'; DROP TABLE listens; --"],
        ["__import__('os').abort()"],
    ),
    "gzip in parts": (
        "a.csv.gz",
        gzip.compress(b"user,it") + gzip.compress(b"em\n1,2\n") + bytes(64),
        {},
        [1],
        [2],
    ),
    "longest id": ("a.csv", f"user,item\n{LONG_ID},1\n", {}, [LONG_ID], [1]),
    "an unwanted column full": (
        "a.csv",
        f'junk,user,item\n"{"j" * 131_072}",1,2\n{"j" * 131_072},1,3\n',
        {},
        [1, 1],
        [2, 3],
    ),
    "a megabyte of edges": (
        "a.txt",
        "0 " + " ".join(map(str, range(150_000))),
        {"columns": None},
        [0] * 150_000,
        list(range(150_000)),
    ),
    "many columns": (
        "a.csv",
        ",".join(f"c{n}" for n in range(9_998)) + ",user,item\n" + "," * 9_998 + "1,2\n",
        {},
        [1],
        [2],
    ),
    "times without header": (
        "a.tsv",
        "1\t1\t-1\n1\t2\t7258118400\n",
        {"header": False, "columns": Columns("0", "1", timestamp="2")},
        [1, 1],
        [1, 2],
    ),
    "packed text": (
        "a.parquet",
        table(user=pa.array(["b", "a"]).dictionary_encode(), item=pa.array([b"x", b"y"])),
        {},
        ["b", "a"],
        ["x", "y"],
    ),
    "one name for two things": ("a.parquet", table(**{"user.x": [1, 2]}), {}, [1, 2], [1, 2]),
}


def ids(listens: Listens) -> tuple[list[Any], list[Any]]:
    return (
        listens.users.ids[listens.user].tolist(),
        listens.items.ids[listens.item].tolist(),
    )


@pytest.mark.parametrize("case", ODD)
def test_odd_but_valid_files_are_read_right(tmp_path, case):
    name, content, options, users, items = ODD[case]
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    (listens,), report = read_listens([path], **{"columns": PAIR, **options})
    assert ids(listens) == (users, items)
    assert (report.rows, report.skipped) == (len(users), 0)


def test_times_before_1970_and_after_2200(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text(
        time("x").split("\n")[0] + "\n1\t1\t-2208988800\n1\t2\t7289654400\n1\t3\t2300-01-01\n"
    )
    (listens,), _ = read_listens([path], columns=TIMES)
    assert listens.timestamp is not None
    assert listens.timestamp.tolist() == [-2208988800, 7289654400, 10413792000]


def test_a_name_with_a_line_end_and_a_space(tmp_path):
    path = tmp_path / "my\nlistens [1] ♪.csv"
    path.write_text(GOOD)
    (listens,), _ = read_listens([path], columns=PAIR)
    assert ids(listens) == ([1], [1])


def test_the_smallest_and_largest_plays_make_usable_weights(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("user\titem\tplays\n1\t1\t1e-9\n" + "1\t2\t1e15\n" * 100)
    (listens,), _ = read_listens([path], columns=PLAYS)
    for kind in ("binary", "log", "raw"):
        weight = edge_weight(aggregate(listens).plays, kind)
        assert weight.dtype == np.float32 and np.isfinite(weight).all() and (weight > 0).all()


def test_packed_text_is_unpacked_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "BATCH_TEXT_BYTES", 100)
    monkeypatch.setattr(parquet, "BATCH_ROWS", 64)
    users = [f"u{n % 7:030}" if n % 11 else "" for n in range(120)]
    items = pa.array([f"i{n % 13}" for n in range(120)]).dictionary_encode()
    pq.write_table(pa.table({"user": users, "item": items}), tmp_path / "a.parquet")
    (listens,), report = read_listens([tmp_path / "a.parquet"], columns=PAIR, on_bad_rows="skip")
    kept = [n for n in range(120) if users[n]]
    assert ids(listens) == ([users[n] for n in kept], [f"i{n % 13}" for n in kept])
    rows = [int(example.split("row ")[1].split(":")[0]) for example in report.examples]
    assert rows == list(range(1, 111, 11))


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"memory_limit": "20MB", "max_temp_directory_size": "1MB"}, "larger than memory and the")],
)
def test_no_room_for_the_history_is_one_clear_line(tmp_path, monkeypatch, settings, message):
    for name, value in settings.items():
        monkeypatch.setitem(listen_store.SETTINGS, name, value)
    path = tmp_path / "a.csv"
    rows = "".join(f"user-{n:0100},item-{n:0100}\n" for n in range(100_000))
    path.write_text("user,item\n" + rows)
    with pytest.raises(UserError, match=message):
        read_listens([path], columns=PAIR)


def test_no_temporary_folder_is_one_clear_line(tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_text(GOOD)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    with pytest.raises(UserError, match="no temporary folder can be made: No such file"):
        read_listens([tmp_path / "a.csv"], columns=PAIR)


BOMBS = """
import gzip, io, resource, sys, time
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
from pathlib import Path
from jaxrec.data.meaning import Columns
from jaxrec.errors import UserError
from tests.data.reading import read_listens

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10

def members(head, block, count):
    return gzip.compress(head) + gzip.compress(block) * count

folder, wanted = Path(sys.argv[1]), Columns("user", "item")
read = lambda path, **options: read_listens([path], columns=wanted, **options)
path = folder / "good.csv"
path.write_text("user,item\\n" + "1,1\\n" * 100_000)
read(path)
zeros = np.zeros(300_000, np.int32)
text = pa.DictionaryArray.from_arrays(pa.array(zeros), pa.array(["x" * 10**4]))
packed = io.BytesIO()
pq.write_table(pa.table({"user": text, "item": zeros}), packed)
MIB = 1 << 20
bombs = {
    "zeros.csv.gz": members(b"", bytes(16 * MIB), 64),
    "line.csv.gz": members(b"user,item\\n1,", b"x" * (16 * MIB), 64),
    "line.txt.gz": members(b"1 ", b"x" * (16 * MIB), 64),
    "quote.csv.gz": members(b'user,item\\n"1\\n', b"x" * (16 * MIB), 64),
    "blank.csv.gz": members(b"", b"\\n" * (16 * MIB), 4),
    "short.csv.gz": members(b"user,item\\n", b"x\\n" * (8 * MIB), 64),
    "broken.csv.gz": members(b"user,item\\n", b"\\xff\\n" * (8 * MIB), 64),
    "columns.csv.gz": members(b"", b"ab," * (5 * MIB), 4),
    "packed.parquet": packed.getvalue(),
}
for name, content in bombs.items():
    assert len(content) < 3 * MIB, name
    (folder / name).write_bytes(content)
bombs.clear()
before = peak()
for path in sorted(folder.iterdir()):
    start = time.perf_counter()
    try:
        read(path, **({"format": "edges"} if ".txt" in path.name else {}))
        print(path.name, "read")
    except UserError as error:
        print(path.name, peak() - before, f"{time.perf_counter() - start:.1f}", error, sep="|")
"""


def test_small_files_that_unpack_to_much_are_refused_in_bounded_memory(tmp_path):
    """Up to a GiB unpacked from up to 3 MB; in a process of its own, whose peak can be known."""
    child = subprocess.run(
        [sys.executable, "-c", BOMBS, str(tmp_path)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    # Where it takes long, lines of progress stand between them.
    lines = child.stdout.splitlines()
    assert lines.count("good.csv read") == 1
    lines = [line.split("|") for line in lines if "|" in line]
    assert len(lines) == 9
    for _, mebibytes, _, message in lines:
        assert "expected" in message
        assert int(mebibytes) < 700
