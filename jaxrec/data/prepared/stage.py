"""First stage: the rows of the files, read and checked as ever, a chunk at a time onto the disk."""

import dataclasses
import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from jaxrec.data.finish_listens import TimeCounts
from jaxrec.data.inputs import InputFile
from jaxrec.data.listen_table import EXAMPLES, ListenTable
from jaxrec.data.listens import add_names, conditions_of, files_of, files_of_names, open_rows
from jaxrec.data.meaning import Filters, Names, Source
from jaxrec.data.prepared.journal import Journal
from jaxrec.data.read_report import ReadReport
from jaxrec.data.rows import Rows
from jaxrec.files import replacing

CHUNK_ROWS = 1 << 22
TABLES = ("listens", "known", "names")
IDS = ("user", "item")


@dataclasses.dataclass(frozen=True)
class Staged:
    """What the chunks hold together.

    Attributes:
      chunks: their names, in the order of the rows.
      report: what became of the rows.
      times: what their times look like.
      text_ids: by role, whether ids are text by their type.
      sources: of each of `Input.all_files` its path, size and SHA-256.
    """

    chunks: list[str]
    report: ReadReport
    times: TimeCounts
    text_ids: dict[str, bool]
    sources: list[dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Room:
    """What the preparation may take.

    Attributes:
      memory_mb: MiB of memory, of the database and of a partition; the interpreter's come on top.
      spill_to: the folder for what the database can't hold; None for the output's own.
    """

    memory_mb: int
    spill_to: Path | None = None


@dataclasses.dataclass(frozen=True)
class Input:
    """What is to be prepared.

    Attributes:
      sources: the sources of one history.
      names: a table of the items' names.
      filters: which rows are learnt from.
    """

    sources: Sequence[Source]
    names: Names | None
    filters: Filters

    def files(self) -> list[tuple[Source, InputFile]]:
        """Its files, each with its source."""
        return [(source, file) for source in self.sources for file in files_of(source)[0]]

    def all_files(self) -> list[InputFile]:
        """Its files, then those of the names: all that what is prepared depends on."""
        names = [] if self.names is None else files_of_names(self.names)[0]
        return [*(file for _, file in self.files()), *names]

    def notes(self) -> list[str]:
        """What was left out of its folders."""
        return [note for source in self.sources for note in files_of(source)[1]]


def chunk_path(work: Path, chunk: str, table: str) -> Path:
    """Where the rows of a chunk lie that go into a table of `TABLES`."""
    return work / f"{chunk}.{table}.parquet"


def stage(
    given: Input, work: Path, journal: Journal, room: Room, on_rows: Callable[[int], None]
) -> Staged:
    """Writes the rows of all files, in chunks of about `CHUNK_ROWS`, and goes on where it stopped.

    Args:
      given: what to read.
      work: where to.
      journal: what is done.
      room: what it may take.
      on_rows: is told of how many rows have come since it was last told.

    Raises:
      UserError: as `read_listens`.
    """
    chunks = {}
    sources = []
    for number, file in enumerate(given.all_files()):
        digest = f"source-{number:05d}"
        sources.append(journal.found(digest) or journal.done(digest, describe(file)))
    if given.names is not None:
        chunks["names"] = journal.found("names") or _stage_names(given, work, journal, room)
    for number, (source, file) in enumerate(given.files()):
        first_row = sum(done["rows"] for done in chunks.values())
        for chunk, done in _stage_file(given, source, file, work, journal, room, number, first_row):
            chunks[chunk] = done
            on_rows(done["rows"])
    found = list(chunks.values())
    return Staged(
        chunks=list(chunks),
        report=_report(given.notes(), found),
        times=TimeCounts(*(sum(each["times"][n] for each in found) for n in range(3))),
        text_ids={role: any(each["text_ids"][role] for each in found) for role in IDS},
        sources=sources,
    )


def _table(given: Input, work: Path, room: Room, first_row: int = 0) -> ListenTable:
    return ListenTable(
        given.filters,
        first_row=first_row,
        spill_to=room.spill_to or work,
        memory_mb=room.memory_mb,
    )


def _stage_names(given: Input, work: Path, journal: Journal, room: Room) -> dict[str, Any]:
    assert given.names is not None
    with _table(given, work, room) as table:
        add_names(table, given.names)
        return _write_chunk(table, work, journal, "names", {"rows": 0, "batches": 0, "last": True})


def _stage_file(
    given: Input,
    source: Source,
    file: InputFile,
    work: Path,
    journal: Journal,
    room: Room,
    number: int,
    first_row: int,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The chunks of a file, those that are done and then the others."""
    names = (f"rows-{number:05d}-{place:05d}" for place in itertools.count())
    passed, last = 0, False
    for name in names:
        if (done := journal.found(name)) is None:
            break
        yield name, done
        passed += done["batches"]
        first_row += done["rows"]
        last = done["last"]
    if last:
        return
    conditions = conditions_of(source, given.filters)
    notes: list[str] = []
    with open_rows(file, source, conditions, notes.append) as batches:
        for _ in itertools.islice(batches, passed):
            pass
        for chunk in itertools.chain([name], names):
            taken = _Taken(batches)
            with _table(given, work, room, first_row) as table:
                table.note(*notes)
                table.add_listens(0, taken, conditions, learnt=source.learnt)
                counts = {"rows": taken.rows, "batches": taken.batches, "last": taken.last}
                yield chunk, _write_chunk(table, work, journal, chunk, counts)
            first_row += taken.rows
            if taken.last:
                return


class _Taken:
    """The next batches of a chunk, and how many these were when all have been taken."""

    def __init__(self, batches: Iterator[Rows]) -> None:
        self.rows = self.batches = 0
        self.last = False
        self._batches = batches

    def __iter__(self) -> Iterator[Rows]:
        while self.rows < CHUNK_ROWS:
            batch = next(self._batches, None)
            if batch is None:
                self.last = True
                return
            self.rows += len(batch.line)
            self.batches += 1
            yield batch


def _write_chunk(
    table: ListenTable, work: Path, journal: Journal, chunk: str, counts: dict[str, Any]
) -> dict[str, Any]:
    for name in TABLES:
        batches = table.rows(name)
        with replacing(chunk_path(work, chunk, name)) as temporary:
            first = next(batches, None)
            if first is None:  # an empty answer has no batch, and no file
                temporary.touch()
                continue
            with pq.ParquetWriter(temporary, first.schema, compression="lz4") as writer:
                for batch in itertools.chain([first], batches):
                    writer.write_batch(batch)
    return journal.done(
        chunk,
        counts
        | {
            "report": dataclasses.asdict(table.report),
            "times": dataclasses.astuple(table.times),
            "text_ids": table.text_ids,
        },
    )


def describe(file: InputFile) -> dict[str, Any]:
    """What a source file is: its path, bytes and SHA-256, ready for JSON."""
    with open(file.path, "rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
        return {"path": str(file), "bytes": opened.tell(), "sha256": digest}


def _report(notes: Sequence[str], found: Sequence[dict[str, Any]]) -> ReadReport:
    """What became of the rows of all chunks."""
    whole = ReadReport(notes=tuple(notes))
    for each in found:
        report = each["report"]
        sums = {
            name: value + report[name]
            for name, value in vars(whole).items()
            if isinstance(value, int)
        }
        new = [note for note in report["notes"] if note not in whole.notes]
        examples = (*whole.examples, *report["examples"])[:EXAMPLES]
        whole = dataclasses.replace(whole, **sums, examples=examples, notes=(*whole.notes, *new))
    return whole
