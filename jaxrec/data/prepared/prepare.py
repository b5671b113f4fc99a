"""The whole road from files to prepared data, gone on with where it was stopped."""

import contextlib
import dataclasses
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxrec.data.id_files import read_ids
from jaxrec.data.listen_store import SPILLED, NoRoomError, Store
from jaxrec.data.listens import check_sources
from jaxrec.data.prepared.journal import Journal
from jaxrec.data.prepared.layout import ABOUT, Layout, read_about
from jaxrec.data.prepared.numbering import number_all
from jaxrec.data.prepared.orientation import write_orientations
from jaxrec.data.prepared.pairs import Meaning, add_up, count_all, join_pieces
from jaxrec.data.prepared.partitions import partition_rows, remove_parts
from jaxrec.data.prepared.stage import Input, Room, Staged, describe, stage
from jaxrec.data.prepared.views import Timing, read_timing, show_rows
from jaxrec.data.read_report import portrait_of
from jaxrec.errors import UserError
from jaxrec.files import remove_leftovers, write_json
from jaxrec.manifest import write_manifest

# Bytes that a row of a partition takes while it is sorted and added up.
_BYTES_PER_ROW = 512

# total (None where unknown), description, unit -> shows how far a piece of work is
Show = Callable[[int | None, str, str], contextlib.AbstractContextManager[Any]]


def prepare(
    given: Input, settings: Mapping[str, Any], output: Path, room: Room, show: Show
) -> dict[str, Any]:
    """Makes prepared data of a history, and goes on where it was stopped.

    The files' bytes depend on the history and the settings alone.

    Args:
      given: what to read.
      settings: how, ready for JSON: what must agree to go on.
      output: the folder, made where it is missing.
      room: what it may take.
      show: shows how far it is.

    Returns:
      What `prepared.json` says.

    Raises:
      UserError: a bad row, file or argument, no room on the disk, or the folder holds something
        else, or is prepared from other files or settings.
    """
    roles = check_sources(given.sources, given.filters)
    if any(source.by_name for source in given.sources):
        raise UserError(
            "prepare: songs that are matched by artist and title need the whole history at once; "
            "expected songs with ids, or train on the files themselves"
        )
    if given.filters.against is not None:
        raise UserError(
            "config.data.against is set, and what speaks against a song is not prepared; expected "
            "config.data.drop, which leaves those rows out, or to train on the files themselves"
        )
    layout = Layout(output.absolute())
    if layout.manifest.exists():
        return _same(layout, given, settings)
    _check_free(layout)
    journal = Journal(layout.work)
    remove_leftovers(layout.root)
    for spilled in layout.work.glob(f"{SPILLED}*"):
        shutil.rmtree(spilled)
    _check_begun(layout, journal, given, settings)
    spill_to = room.spill_to or layout.work
    with Store(spill_to=spill_to, may_read=layout.root, memory_mb=room.memory_mb) as store:
        staged, timing = _read(store, layout, given, journal, room, show)
        partitions = _number(store, layout, staged, timing, given, roles, room, journal)
        with show(len(staged.chunks), "sorting by listener", "chunks") as bar:
            for _ in partition_rows(
                store,
                layout,
                staged.chunks,
                timing,
                partitions,
                journal,
                in_order=given.filters.identical_rows == "drop" or "timestamp" not in roles,
            ):
                bar.update(1)
    about = _add_up(layout, staged, timing, partitions, given, roles, room, journal, show)
    write_json(layout.about, {"settings": dict(settings), **about})
    files = [path.name for path in layout.root.iterdir() if path.suffix in (".npy", ".parquet")]
    write_manifest(layout.root, [ABOUT, *files])
    shutil.rmtree(layout.work)
    return read_about(output)


def _read(
    store: Store, layout: Layout, given: Input, journal: Journal, room: Room, show: Show
) -> tuple[Staged, Timing]:
    """All rows onto the disk, and what their times are.

    Nothing is left of a history that can't be read: it won't be the same when it can. Where there
    was no room it will be, so that what has been read stays.
    """
    try:
        with show(None, "reading", "rows") as bar:
            staged = stage(given, layout.work, journal, room, bar.update)
        return staged, read_timing(store, layout.work, staged, given.filters, journal)
    except NoRoomError:
        raise
    except UserError:
        shutil.rmtree(layout.work)
        raise


def _number(
    store: Store,
    layout: Layout,
    staged: Staged,
    timing: Timing,
    given: Input,
    roles: set[str],
    room: Room,
    journal: Journal,
) -> list[int]:
    if journal.found("ids") is None:
        show_rows(store, layout.work, staged.chunks, timing)
    return number_all(
        store,
        layout,
        staged,
        journal,
        with_names=given.names is not None or bool(roles & {"item_name", "artist"}),
        partition_rows=(room.memory_mb << 20) // _BYTES_PER_ROW,
    )


def _add_up(
    layout: Layout,
    staged: Staged,
    timing: Timing,
    partitions: Sequence[int],
    given: Input,
    roles: set[str],
    room: Room,
    journal: Journal,
    show: Show,
) -> dict[str, Any]:
    """Everything from the partitions on; what is to be said of the whole."""
    users, items = read_ids(layout.ids("user")), read_ids(layout.ids("item"))
    meaning = Meaning(
        num_users=len(users),
        num_items=len(items),
        with_times="timestamp" in roles,
        adds_up=given.filters.min_rating is None,
        drop_identical=given.filters.identical_rows == "drop",
    )
    count = len(partitions) - 1
    with show(count, "adding up", "parts") as bar:
        for _ in add_up(layout, staged.chunks, count, meaning, journal):
            bar.update(1)
    remove_parts(layout.work, staged.chunks)
    counted, dropped = count_all(layout, count, meaning, journal)
    with show(len(meaning.arrays), "writing", "arrays") as bar:
        for _ in join_pieces(layout, count, meaning, journal):
            bar.update(1)
    write_orientations(layout, len(users), len(items), rows_at_once=(room.memory_mb << 20) // 64)
    ids = journal.found("ids")
    assert ids is not None
    report = dataclasses.replace(
        staged.report,
        before_window=timing.before,
        after_window=timing.after,
        identical=dropped,
        several_artists=ids["several_artists"],
        times=timing.column,
        notes=(*staged.report.notes, *_dates(timing), *timing.notes),
    )
    return {
        "sources": staged.sources,
        "adds_up": meaning.adds_up,
        "with_times": meaning.with_times,
        "report": dataclasses.asdict(report),
        "portrait": dataclasses.asdict(portrait_of(counted, users, items)),
    }


def _dates(timing: Timing) -> list[str]:
    compact = timing.column is not None and timing.column.compact
    return ["all times are dates such as 20150601, and are taken as such"] if compact else []


def _check_free(layout: Layout) -> None:
    """Refuses a folder that holds something else."""
    if not layout.root.exists() or layout.work.is_dir():
        return
    others = sorted(path.name for path in layout.root.iterdir() if not path.name.startswith("."))
    if others:
        raise UserError(
            f"--output={layout.root} holds {others[0]!r}; expected a folder that is empty, isn't "
            "there yet, or has been prepared before"
        )


def _check_begun(
    layout: Layout, journal: Journal, given: Input, settings: Mapping[str, Any]
) -> None:
    """Notes what is prepared, or checks that it is still the same."""
    files = []
    for file in given.all_files():
        found = file.path.stat()
        files.append({"path": str(file), "bytes": found.st_size, "changed": found.st_mtime_ns})
    begun = journal.found("begun")
    if begun is None:
        journal.done("begun", {"settings": dict(settings), "files": files})
        return
    _check_settings(layout, begun["settings"], settings)
    for was, now in zip(begun["files"], files, strict=False):
        if was != now:
            raise UserError(
                f"{now['path']} is not as it was when `prepare` began in {layout.root} "
                f"({was['path']}, {was['bytes']:,} bytes); expected the same files as then, or "
                f"{layout.work} removed, to begin anew"
            )
    if len(files) != len(begun["files"]):
        raise _other_files(layout, len(begun["files"]), len(files))


def _same(layout: Layout, given: Input, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What is said of the folder, where it was prepared from the same files and settings."""
    about = read_about(layout.root)
    _check_settings(layout, about["settings"], settings)
    files = given.all_files()
    if len(files) != len(about["sources"]):
        raise _other_files(layout, len(about["sources"]), len(files))
    for was, file in zip(about["sources"], files, strict=True):
        if was["bytes"] != file.path.stat().st_size or was != describe(file):
            raise UserError(
                f"{file} is not what {layout.root} was prepared from ({was['path']}); expected "
                "another --output, or that folder removed"
            )
    shutil.rmtree(layout.work, ignore_errors=True)
    return about


def _check_settings(layout: Layout, was: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    for field in sorted(was.keys() | now.keys()):
        if was.get(field) != now.get(field):
            raise UserError(
                f"--output={layout.root} was begun with config.{field} = {was.get(field)!r}, it "
                f"is now {now.get(field)!r}; expected the same, or another --output"
            )


def _other_files(layout: Layout, was: int, now: int) -> UserError:
    return UserError(
        f"--output={layout.root} is prepared from {was:,} files, there are now {now:,}; expected "
        "the same files, or another --output"
    )
