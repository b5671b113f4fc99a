"""A checkpoint as a folder: its names on the way, what it says of itself, how it comes and goes."""

import dataclasses
import json
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from jaxrec.errors import UserError
from jaxrec.files import sync

ARRAYS, RECORD = "state", "record.json"
_PARTIAL, _REMOVED = ".partial", ".removed"


@dataclasses.dataclass(frozen=True)
class Progress:
    """What a run has come to beside its arrays.

    Attributes:
      history: the metrics' row of each epoch that is done and measured.
      loss_sum: the loss summed over the edges visited in the epoch under way.
      seconds: what the epoch under way has taken so far.
    """

    history: tuple[dict[str, Any], ...] = ()
    loss_sum: float = 0.0
    seconds: float = 0.0


@dataclasses.dataclass(frozen=True)
class Record:
    """What a checkpoint says of itself: how good it is, and what its arrays must be.

    Attributes:
      step: how many updates had been made.
      score: how good it is; None if that wasn't measured.
      about: what tells the arrays' shapes and meaning; None where the configuration does.
      arrays: each array's type and shape.
      part_bytes: by which they are cut into parts.
      parts: the SHA-256 of each part: the same whoever wrote it.
      progress: what goes with it.
    """

    step: int
    score: float | None
    about: dict[str, Any] | None
    arrays: list[str]
    part_bytes: int
    parts: list[str]
    progress: Progress

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """The record of which these are the values, as `dataclasses.asdict` and JSON have them.

        Raises:
          KeyError: one is missing.
          TypeError: there is another one.
        """
        progress = values["progress"]
        history = tuple(progress["history"])
        return cls(**{**values, "progress": Progress(**progress | {"history": history})})


def saved_steps(directory: Path) -> list[int]:
    """The steps of the checkpoints in a folder, whole or damaged, oldest first."""
    if not directory.is_dir():
        return []
    return sorted(int(path.name) for path in directory.iterdir() if path.name.isdecimal())


def read_record(path: Path) -> Record:
    """What a whole checkpoint says of itself.

    Raises:
      UserError: it was written by another version.
    """
    try:
        return Record.of(json.loads((path / RECORD).read_text(encoding="utf-8")))
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{path}: written by another version of jaxrec; expected a --workdir of its own, to "
            "start anew"
        ) from error


def partial_folder(directory: Path, step: int) -> Path:
    """Where a checkpoint is written before it has its name: in a folder that no other save has.

    So what a process still writes whose run is over can't come into another one's.
    """
    return directory / f"{step}.{secrets.token_hex(4)}{_PARTIAL}"


def commit(partial: Path, path: Path) -> None:
    """Gives a finished checkpoint its name; a damaged one of that name makes way."""
    if path.exists():
        os.rename(path, path.with_name(path.name + _REMOVED))
    os.rename(partial, path)
    sync(path.parent)
    remove_leftovers(path.parent)


def remove(path: Path) -> None:
    """Renames first, so that an interruption leaves nothing that looks like a checkpoint."""
    aside = path.with_name(path.name + _REMOVED)
    os.rename(path, aside)
    shutil.rmtree(aside)


def remove_leftovers(directory: Path) -> None:
    """Removes what saves and removals that were cut short have left."""
    for path in directory.iterdir():
        if path.suffix in (_PARTIAL, _REMOVED) and path.name.partition(".")[0].isdecimal():
            shutil.rmtree(path, ignore_errors=True)  # a dead run's process may still write there
