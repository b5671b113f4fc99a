"""A coverage-guided fuzzer over the readers: any bytes give rows or a clear error.

Command: fuzz/run 300 (seconds). What is promised of every input:

- a reader ends with rows and problems, or with a `UserError` of one line; nothing else is raised;
- each line or row is reported once, and lies in the file; text is clean: whole UTF-8 without NUL;
- the size of a block changes nothing;
- what Python's `csv` reads without a complaint, the reader reads alike, and what its `json` reads
  as lines of records;
- unpacked or not, a file says the same;
- what a file is taken for, and any condition, moment or name of columns, is that or a `UserError`;
- whole histories (one input in 32, as they take longer): ids sorted and distinct, indices in
  range, plays and times in theirs, and skipping bad rows never ends in a bad row.
"""

import bz2
import csv
import gzip
import io
import json
import lzma
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import atheris

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

with atheris.instrument_imports(include=["jaxrec.data"]):
    from jaxrec.data import (
        conditions,
        delimited,
        exports,
        formats,
        idomaar,
        json_rows,
        listens,
        parquet,
        rows,
        text_blocks,
        times,
    )
    from jaxrec.data.inputs import InputFile, find_files
    from jaxrec.data.meaning import Columns, Filters, FixedUser, Layout, Source, raw_columns
    from jaxrec.errors import UserError

WANTED = {"user": "user", "item": "item", "plays": "plays", "timestamp": "time"}
COLUMNS = Columns("user", "item", plays="plays", timestamp="time")
HEADER = "user,item,plays,time\n"
EVENTS = {"user": "user", "item": "track", "timestamp": "timestamp"}
TEXT = ("csv", "tsv", "semicolon", "escaped", "utf-16")
KINDS = (
    "csv", "csv", "tsv", "edges", "semicolon", "bare", "parquet", "packed", "json", "json",
    "idomaar", "escaped", "utf-16", "guess", "words", "export",
)  # fmt: skip
DIALECTS = {
    "csv": delimited.Dialect(",", quoted=True),
    "packed": delimited.Dialect(",", quoted=True),
    "tsv": delimited.Dialect("\t", quoted=False),
    "semicolon": delimited.Dialect(";", quoted=True),
    "escaped": delimited.Dialect(",", quoted=True, escape="\\"),
    "utf-16": delimited.Dialect(",", quoted=True, encoding="utf-16-le"),
    "bare": delimited.Dialect("::", quoted=False, header=False, encoding="latin-1"),
}
BLOCKED = (*DIALECTS, "edges", "json", "idomaar")  # what is read in blocks of lines
SMALL_BLOCKS = (1, 7, 64)

Found = tuple[list[tuple[object, ...]], list[tuple[int, str]]]


def zipped(content: bytes, ending: str = ".csv") -> bytes:
    """A zip of one file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"listens{ending}", content)
    return stream.getvalue()


def zstd(content: bytes) -> bytes:
    """The content in zstd."""
    import pyarrow as pa

    return pa.compress(content, "zstd", asbytes=True)


PACKERS = (
    lambda content: gzip.compress(content, 1),
    lambda content: bz2.compress(content, 1),
    lambda content: lzma.compress(content, preset=0),
    zstd,
    zipped,
)


def batches(kind: str, file: InputFile) -> Iterator[rows.Rows]:
    """What the reader of this kind gives."""
    if kind == "parquet":
        return parquet.read_parquet(file, WANTED)
    if kind == "edges":
        return delimited.read_edges(file)
    if kind == "json":
        return json_rows.read_json(file, WANTED)
    if kind == "idomaar":
        return idomaar.read_idomaar(file, EVENTS)
    wanted = {"user": "0", "item": "1"} if kind == "bare" else WANTED
    return delimited.read_delimited(file, wanted, DIALECTS[kind])


def read(kind: str, path: Path) -> Found:
    """Rows with their lines, and problems."""
    given: list[tuple[object, ...]] = []
    problems: list[tuple[int, str]] = []
    (file,), _ = find_files(path)
    for batch in batches(kind, file):
        check(batch)
        columns = [batch.columns[role].to_pylist() for role in sorted(batch.columns)]
        given += zip(batch.line.tolist(), *columns, strict=True)
        problems += batch.problems
    return given, problems


def check(batch: rows.Rows) -> None:
    """One batch keeps its promises."""
    for column in batch.columns.values():
        column.validate(full=True)  # also that its text is UTF-8
        assert len(column) == len(batch.line)
        assert not any("\0" in value for value in column.to_pylist() if value)


def outcome(kind: str, path: Path) -> Found | str:
    """The rows and problems, or the message of a `UserError`."""
    try:
        return read(kind, path)
    except UserError as error:
        message = str(error)
        assert message.isprintable() and "expected" in message and len(message) < 5000, message
        return message


def test_one_input(data: bytes) -> None:
    """Reads the input as the kind of file its first byte names, and checks all promises."""
    if len(data) < 2:
        return
    kind, option, content = KINDS[data[0] % len(KINDS)], data[0] // len(KINDS), data[1:]
    if kind in ("guess", "words", "export"):
        {"guess": guess, "words": words, "export": export}[kind](option, content)
        return
    path = FOLDER / "input"
    plain = content
    if kind == "packed":
        # Half as it is, half as the content of a good file, mostly after a good header.
        packer = PACKERS[option % len(PACKERS)]
        if option >= len(PACKERS):
            plain = HEADER.encode() + content
            content = packer(plain)
    elif kind in TEXT and option % 4:
        # Mostly after a good header, else few inputs get further.
        dialect = DIALECTS[kind]
        header = HEADER.replace(",", dialect.delimiter).encode(dialect.encoding)
        content = plain = header + content
    path.write_bytes(content)
    result = outcome(kind, path)
    if isinstance(result, tuple):
        given, problems = result
        if kind not in ("edges", "json"):  # a line or record may stand for several rows
            places = [row[0] for row in given] + [line for line, _ in problems]
            assert len(set(places)) == len(places)
            most = max(plain.count(b"\n") + 1, 1 << 20 if kind in ("parquet", "packed") else 0)
            assert all(1 <= place <= most for place in places)
    if kind in BLOCKED and option % 4 == 1:
        block, text_blocks.BLOCK_BYTES = text_blocks.BLOCK_BYTES, SMALL_BLOCKS[len(data) % 3]
        lines, text_blocks.BLOCK_LINES = text_blocks.BLOCK_LINES, 2
        try:
            other = outcome(kind, path)
            # Of what is damaged, more or less can be unpacked or decoded before it shows.
            both_refused = isinstance(other, str) and isinstance(result, str)
            assert other == result or (kind in ("packed", "utf-16") and both_refused)
        finally:
            text_blocks.BLOCK_BYTES, text_blocks.BLOCK_LINES = block, lines
    if kind == "csv" and isinstance(result, tuple) and not result[1]:
        compare_with_csv(plain, result[0])
    if kind == "json" and isinstance(result, tuple) and not result[1]:
        compare_with_json(plain, result[0])
    if kind == "packed" and plain is not content:
        path.write_bytes(plain)
        unpacked = outcome("csv", path)
        if isinstance(unpacked, tuple) and isinstance(result, tuple):
            assert unpacked == result
    if sum(data) % 32 == 0:
        read_history(kind, path)


def guess(option: int, content: bytes) -> None:
    """What a file is taken for is one thing, whatever it holds."""
    endings = (".csv", ".tsv", ".txt", ".json", ".parquet", ".gz", "")
    path = FOLDER / f"input{endings[option % len(endings)]}"
    path.write_bytes(content)
    layout = Layout(header=option % 2 == 0)
    wanted = WANTED if option % 3 else {"user": "0", "item": "1"}
    try:
        for file in find_files(path)[0]:
            kind = formats.find_kind(file, layout, wanted)
            assert kind.format in (*formats.FORMATS, "text")
            assert (kind.format == "text") == (kind.dialect is not None)
            assert kind.note.isprintable()
    except UserError as error:
        assert str(error).isprintable() and "expected" in str(error), error
    finally:
        path.unlink()


def words(option: int, content: bytes) -> None:
    """Any condition, moment, form of times and name of columns is one, or is refused."""
    text = content.decode(errors="replace")
    columns = (times.TimeColumn(), times.TimeColumn(numbers=True, largest=10**9))
    tries = (
        lambda: conditions.to_sql("keep", conditions.parse("keep", text)),
        lambda: conditions.to_sql("drop", conditions.parse("drop", text)),
        lambda: times.read_moment("time_from", text, columns[len(text) % 2]),
        lambda: times.check_format(text),
        lambda: raw_columns({"user": "user", "item": text}),
    )
    try:
        found = tries[option % len(tries)]()
        assert not isinstance(found, int) or abs(found) <= 253_402_387_200
    except UserError as error:
        assert "expected" in str(error), error


def export(option: int, content: bytes) -> None:
    """A file or zip that a music service may have given is read as such, or is refused."""
    service = exports.SERVICES[("spotify", "lastfm-csv", "listenbrainz")[option % 3]]
    name = list(exports.SERVICES)[option % 3]
    path = FOLDER / f"anna{service.endings[0]}"
    path.write_bytes(zipped(content, service.endings[0]) if option % 2 else content)
    try:
        sources, _ = exports.find_sources(name, path, FixedUser())
        filters = Filters(on_bad_rows="skip")
        (found,), _ = listens.read_listens([sources], filters=filters)
        assert len(found.users) >= 1
    except UserError as error:
        assert str(error).isprintable() and "expected" in str(error), error
    finally:
        path.unlink()


def compare_with_json(content: bytes, given: list[tuple[object, ...]]) -> None:
    """Rows of records without lists are those that Python's `json` finds, line by line."""
    records = []
    for line in content.decode("utf-8-sig").split("\n"):
        try:
            record = json.loads(line) if line.strip() else None
        except (ValueError, RecursionError):
            return  # an array, or a record over several lines
        if record is not None:
            if not isinstance(record, dict) or any(map(is_nested, record.values())):
                return
            records.append(record)
    assert len(records) == len(given)
    for record, row in zip(records, given, strict=True):
        for role, value in zip(sorted(WANTED), row[1:], strict=True):
            expected = record.get(WANTED[role])
            if isinstance(expected, str) or expected is None:
                assert value == expected


def is_nested(value: object) -> bool:
    """Whether a value holds others."""
    return isinstance(value, list | dict)


def compare_with_csv(content: bytes, given: list[tuple[object, ...]]) -> None:
    """Rows without a problem are those that Python's `csv` finds."""
    text = content.decode("utf-8-sig")
    records = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    names = records[0]
    expected = [tuple(row[names.index(WANTED[role])] for role in sorted(WANTED)) for row in records]
    assert [row[1:] for row in given] == expected[1:]


def read_history(kind: str, path: Path) -> None:
    """The whole way to `Listens`, strictly and leaving out bad rows."""
    layout = Layout("csv")
    columns: Columns | None = COLUMNS
    if kind in ("edges", "parquet", "json", "idomaar"):
        layout = Layout(kind)
        own = {"edges": None, "idomaar": Columns("user", "track", timestamp="timestamp")}
        columns = own.get(kind, COLUMNS)
    elif kind in DIALECTS:
        dialect = DIALECTS[kind]
        layout = Layout(
            "csv",
            delimiter=dialect.delimiter,
            quoted=dialect.quoted,
            escape=dialect.escape,
            encoding=dialect.encoding,
        )
    for on_bad_rows in ("error", "skip"):
        try:
            (found,), report = listens.read_listens(
                [[Source(path, columns, layout=layout)]], filters=Filters(on_bad_rows=on_bad_rows)
            )
        except UserError as error:
            message = str(error)
            assert message.isprintable() and "expected" in message, message
            # With bad rows left out, only what is wrong with the whole file remains an error.
            continue
        assert on_bad_rows == "skip" or report.skipped == 0
        for index, ids in ((found.user, found.users.ids), (found.item, found.items.ids)):
            known = ids.tolist()
            assert known == sorted(set(known))
            assert set(index.tolist()) == set(range(len(known)))
        assert ((found.plays >= 1e-9) & (found.plays <= 1e15)).all()
        if found.timestamp is not None:
            assert (abs(found.timestamp) <= 253_402_387_200).all()


SPOTIFY = (
    '[{"ts":"2020-09-13T20:46:24Z","ms_played":4000,"master_metadata_track_name":"Song",'
    '"master_metadata_album_artist_name":"Band","spotify_track_uri":"spotify:track:1"}]'
)
LISTEN = '{"listened_at":5,"track_metadata":{"track_name":"Song","artist_name":"Band"}}'
SEEDS = {
    "json": (
        '{"user":1,"item":"a","plays":2,"time":0}\n{"user":"b","item":null}\n',
        '[{"user":1,"item":[1,2],"plays":1.5,"time":[3,4]},\n {"user":{"x":1}}]',
    ),
    "idomaar": (
        'event.play\t1\t1400000000\t{"playtime":1}\t{"subjects":[{"type":"user","id":4}],'
        '"objects":[{"type":"track","id":5}]}\n',
    ),
    "guess": ("u1\tSO1\t3\nu2\tSO1\t4\n", "1 2 3\n4 5 6 7\n", '{"a":1}\n', "user;item\n1;2\n"),
    "words": (
        "event_type in listen like and pct >= 50",
        "skipped == true or 'a b' is not empty",
        "2016-05-31",
        "%d/%m/%Y %H:%M",
        "artist + title | mbid",
    ),
    "export": (SPOTIFY, LISTEN + "\n", "Band,Record,Song,13 Sep 2020 20:46\n"),
}


def seeds() -> list[bytes]:
    """Good files of each kind, to begin with."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    text = (
        '1,a,1,0\r\n"2","b ""c""",2.5,2024-05-31T12:00:00Z\n\n',
        '3,"line\nend",0,1717156800000\né,🎵,1e3,-5\n',
        ',x,1,1\n1,2\n"open,1,1,1\n',
        "1,\0,1,1\n1,\xff,nan,noon\n",
        '5,"back\\"slash",1,20240531\n6,y,-1,13 Sep 2020 20:46\n',
    )
    found = []
    for number, kind in enumerate(KINDS):
        for option in range(4):
            head = bytes([number + len(KINDS) * option])
            for content in text:
                delimiter = {"tsv": "\t", "semicolon": ";", "bare": "::", "edges": " "}.get(
                    kind, ","
                )
                raw = (HEADER * (option == 0) + content).replace(",", delimiter)
                encoding = "utf-16-le" if kind == "utf-16" else "utf-8"
                found.append(head + raw.encode("latin-1" if "\xff" in raw else encoding))
            found += [head + other.encode() for other in SEEDS.get(kind, ())]
            if kind == "packed":
                found += [head + packer((HEADER + text[0]).encode()) for packer in PACKERS]
            if kind == "parquet":
                for compression in ("none", "snappy"):
                    for table in (
                        {"user": ["a", "b"], "item": [1, 2], "plays": [1.0, 2.0], "time": [0, 1]},
                        {
                            "user": pa.array([b"a", b"a", None]),
                            "item": pa.array([1, 2, 3], pa.uint64()),
                            "plays": pa.array(["1", "x", None]),
                            "time": pa.array([0, 1, None], pa.timestamp("ms", "UTC")),
                        },
                    ):
                        stream = io.BytesIO()
                        pq.write_table(
                            pa.table(table), stream, compression=compression, store_schema=False
                        )
                        found.append(head + stream.getvalue())
    return found


def main() -> None:
    """Fuzzes for the seconds given as the first argument."""
    global FOLDER
    seconds = int(sys.argv[1])
    corpus, found = ROOT / "fuzz" / "corpus", ROOT / "fuzz" / "found"
    for folder in (corpus, found):
        folder.mkdir(exist_ok=True)
    for number, seed in enumerate(seeds()):
        (corpus / f"seed-{number:03}").write_bytes(seed)
    with tempfile.TemporaryDirectory(prefix="jaxrec-fuzz-") as folder:
        FOLDER = Path(folder)
        atheris.Setup(
            [
                sys.argv[0],
                f"-max_total_time={seconds}",
                f"-artifact_prefix={found}/",
                "-max_len=4096",
                "-timeout=20",
                "-rss_limit_mb=4096",
                "-print_final_stats=1",
                f"-seed={int(time.time())}",
                str(corpus),
            ],
            test_one_input,
        )
        atheris.Fuzz()


FOLDER = Path()

if __name__ == "__main__":
    main()
