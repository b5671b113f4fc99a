"""Writing one checkpoint: each process its parts of the arrays, process 0 all else."""

import contextlib
import dataclasses
import hashlib
import itertools
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jaxrec.errors import RunError
from jaxrec.files import write_json
from jaxrec.hosts import together
from jaxrec.manifest import Entries, list_files, write_manifest
from jaxrec.models.method import Saved
from jaxrec.runs.arrays import check_space, count_parts, describe, one_line, own_parts, write_part
from jaxrec.runs.checkpoint_folder import (
    ARRAYS,
    RECORD,
    Progress,
    Record,
    commit,
    partial_folder,
)

_NOT_SHARED = (
    "{name} isn't there, though another process has written it; expected a --workdir that all "
    "processes share"
)
PART_BYTES = 2**26  # Orbax holds some times what it writes at once


def write_checkpoint(
    directory: Path, saved: Saved, *, step: int, score: float | None, progress: Progress
) -> Record:
    """Writes a checkpoint, which is whole when this returns; all processes call it together.

    Args:
      directory: of the checkpoints.
      saved: what to save; its arrays as `own_parts` takes them.
      step: how many updates have been made, which names the checkpoint.
      score: how good it is, as process 0 has it.
      progress: what goes with it, as process 0 has it.

    Returns:
      What it says of itself, the same in all processes.

    Raises:
      RunError: it could not be saved; those before it are as they were.
    """
    path = directory / str(step)
    partial = partial_folder(directory, step)
    if together.is_first():
        with _failures_said(path, partial):
            check_space(directory, saved.arrays)
            (partial / ARRAYS).mkdir(parents=True)
    partial = directory / together.decided("checkpoint", partial.name)
    every = together.gathered("parts", _write_parts(partial, path, saved.arrays))
    record = None
    if together.is_first():
        with _failures_said(path, partial):
            digests = dict(itertools.chain.from_iterable(own["parts"] for own in every))
            files = _listed(partial, [own["listing"] for own in every])
            record = Record(
                step=step,
                score=score,
                about=saved.about,
                arrays=describe(saved.arrays),
                part_bytes=PART_BYTES,
                parts=[digests[part] for part in range(count_parts(saved.arrays, PART_BYTES))],
                progress=progress,
            )
            _finish(partial, path, record, files)
    return Record.of(together.decided("saved", record and dataclasses.asdict(record)))


@contextlib.contextmanager
def _failures_said(path: Path, partial: Path) -> Iterator[None]:
    """Whatever this process fails at in the block, it says so in one line.

    Not what it fails at with others: who is lost there is for the guards to say.
    """
    try:
        yield
    except Exception as error:  # of many kinds: Orbax and TensorStore have their own
        if together.count() == 1:  # others may still write there
            shutil.rmtree(partial, ignore_errors=True)
        what = f"{path}: the checkpoint could not be saved"
        if not path.parent.is_dir():
            raise RunError(f"{what}; the folder is gone") from error
        raise RunError(f"{what} ({one_line(error)}); the ones before it are kept") from error


def _write_parts(partial: Path, path: Path, arrays: Any) -> dict[str, Any]:
    """Writes this process's parts; returns what they hold, and their files' entries."""
    digests = []
    entries: Entries = {}
    parts = own_parts(arrays, PART_BYTES, process=together.index(), processes=together.count())
    for number, part in parts:
        with _failures_said(path, partial):
            folder = partial / ARRAYS / str(number)
            digests.append((number, write_part(folder, part)))
            files = [each for each in folder.rglob("*") if each.is_file()]
            entries |= list_files(partial, [each.relative_to(partial).as_posix() for each in files])
    listing = json.dumps(entries).encode()
    with _failures_said(path, partial):
        _listing(partial, together.index()).write_bytes(listing)
    return {"parts": digests, "listing": hashlib.sha256(listing).hexdigest()}


def _listing(partial: Path, process: int) -> Path:
    """Where a process lists its files for process 0: of a large state they are many."""
    return partial / f"files-{process}.json"


def _listed(partial: Path, digests: Sequence[str]) -> Entries:
    """The files that all processes have listed.

    Raises:
      RunError: a list isn't there, or isn't the one that was written.
    """
    entries: Entries = {}
    for process, digest in enumerate(digests):
        path = _listing(partial, process)
        listing = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(listing).hexdigest() != digest:
            raise RunError(_NOT_SHARED.format(name=path.name))
        entries |= json.loads(listing)
        path.unlink()
    return entries


def _finish(partial: Path, path: Path, record: Record, files: Entries) -> None:
    """Writes the record and the manifest, and gives the checkpoint its name.

    Raises:
      RunError: a file that a process has written isn't there.
    """
    for name in files:
        if not (partial / name).is_file():
            raise RunError(_NOT_SHARED.format(name=name))
    write_json(partial / RECORD, dataclasses.asdict(record))
    write_manifest(partial, [RECORD], listed=files)
    commit(partial, path)
