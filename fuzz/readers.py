"""A coverage-guided fuzzer over the readers: any bytes give rows or a clear error.

Command: fuzz/run 300 (seconds). What is promised of every input:

- a reader ends with rows and problems, or with a `UserError` of one line; nothing else is raised;
- each line or row is reported once, and lies in the file; text is clean: whole UTF-8 without NUL;
- the size of a block changes nothing;
- what Python's `csv` reads without a complaint, the reader reads alike;
- whole histories (one input in 32, as they take longer): ids sorted and distinct, indices in
  range, plays and times in theirs, and skipping bad rows never ends in a bad row.
"""

import csv
import gzip
import io
import sys
import tempfile
import time
from pathlib import Path

import atheris

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

with atheris.instrument_imports(include=["jaxrec.data"]):
    from jaxrec.data import delimited, listens, parquet, rows, text_blocks
    from jaxrec.errors import UserError

WANTED = {"user": "user", "item": "item", "plays": "plays", "timestamp": "time"}
COLUMNS = listens.Columns("user", "item", plays="plays", timestamp="time")
HEADER = "user,item,plays,time\n"
KINDS = ("csv", "csv", "tsv", "edges", "semicolon", "bare", "parquet", "gzip")
SMALL_BLOCKS = (1, 7, 64)

Found = tuple[list[tuple[object, ...]], list[tuple[int, str]]]


def read(kind: str, path: Path) -> Found:
    """What the reader of this kind gives: rows with their lines, and problems."""
    if kind == "parquet":
        batches = parquet.read_parquet(path, WANTED)
    elif kind == "edges":
        batches = delimited.read_edges(path)
    elif kind == "bare":
        wanted = {"user": "0", "item": "1"}
        batches = delimited.read_delimited(
            path, wanted, delimiter="::", quoted=False, header=False, encoding="latin-1"
        )
    else:
        delimiter = {"tsv": "\t", "semicolon": ";"}.get(kind, ",")
        batches = delimited.read_delimited(
            path, WANTED, delimiter=delimiter, quoted=kind != "tsv", header=True
        )
    given: list[tuple[object, ...]] = []
    problems: list[tuple[int, str]] = []
    for batch in batches:
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
    path = FOLDER / ("input.gz" if kind == "gzip" else "input")
    plain = content
    if kind == "gzip":
        # Half as it is, half as the content of a good gzip file.
        if option % 2:
            content = gzip.compress(content, 1)
    elif kind in ("csv", "tsv", "semicolon") and option % 4:
        # Mostly after a good header, else few inputs get further.
        delimiter = {"tsv": "\t", "semicolon": ";"}.get(kind, ",")
        content = plain = HEADER.replace(",", delimiter).encode() + content
    path.write_bytes(content)
    result = outcome(kind, path)
    if isinstance(result, tuple):
        given, problems = result
        if kind != "edges":
            places = [row[0] for row in given] + [line for line, _ in problems]
            assert len(set(places)) == len(places)
            most = max(plain.count(b"\n") + 1, 1 << 20 if kind in ("parquet", "gzip") else 0)
            assert all(1 <= place <= most for place in places)
    if kind != "parquet" and option % 4 == 1:
        block, text_blocks.BLOCK_BYTES = text_blocks.BLOCK_BYTES, SMALL_BLOCKS[len(data) % 3]
        lines, text_blocks.BLOCK_LINES = text_blocks.BLOCK_LINES, 2
        try:
            assert outcome(kind, path) == result
        finally:
            text_blocks.BLOCK_BYTES, text_blocks.BLOCK_LINES = block, lines
    if kind == "csv" and isinstance(result, tuple) and not result[1]:
        compare_with_csv(plain, result[0])
    if sum(data) % 32 == 0:
        read_history(kind, path)


def compare_with_csv(content: bytes, given: list[tuple[object, ...]]) -> None:
    """Rows without a problem are those that Python's `csv` finds."""
    text = content.decode("utf-8-sig")
    records = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    names = records[0]
    expected = [tuple(row[names.index(WANTED[role])] for role in sorted(WANTED)) for row in records]
    assert [row[1:] for row in given] == expected[1:]


def read_history(kind: str, path: Path) -> None:
    """The whole way to `Listens`, strictly and leaving out bad rows."""
    formats = {"csv": "csv", "semicolon": "csv", "tsv": "tsv", "gzip": "csv", "bare": "csv"}
    options = {
        "format": formats.get(kind, kind),
        "columns": None if kind == "edges" else COLUMNS,
        "delimiter": {"semicolon": ";", "bare": "::"}.get(kind),
    }
    for on_bad_rows in ("error", "skip"):
        try:
            (found,), report = listens.read_listens([path], on_bad_rows=on_bad_rows, **options)
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


def seeds() -> list[bytes]:
    """Good files of each kind, to begin with."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    text = (
        '1,a,1,0\r\n"2","b ""c""",2.5,2024-05-31T12:00:00Z\n\n',
        '3,"line\nend",0,1717156800000\né,🎵,1e3,-5\n',
        ',x,1,1\n1,2\n"open,1,1,1\n',
        "1,\0,1,1\n1,\xff,nan,noon\n",
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
                found.append(head + raw.encode("latin-1" if "\xff" in raw else "utf-8"))
            if kind == "gzip":
                found.append(head + gzip.compress((HEADER + text[0]).encode()))
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
