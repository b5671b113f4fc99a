"""Prepared data made as a configuration says."""

from pathlib import Path
from typing import Any

from jaxrec.config import RunConfig
from jaxrec.data.prepared.prepare import Room, prepare
from jaxrec.data.prepared.stage import Input
from jaxrec.errors import UserError
from jaxrec.report.console import Console
from jaxrec.runs.lock import locked
from jaxrec.runs.prepare import filters_of, sources_of
from jaxrec.runs.prepared import reading_settings


def prepare_folder(config: RunConfig, output: Path, console: Console) -> dict[str, Any]:
    """Prepares the history that a configuration names; returns what `prepared.json` says.

    Raises:
      UserError: as `prepare`, or the configuration names no history of one part.
    """
    if config.data.source == "synthetic":
        raise UserError(
            "config.data.source is 'synthetic', which is made up in memory; expected listens and "
            "config.data.path with files to prepare"
        )
    histories, names, notes = sources_of(config, console)
    if len(histories) > 1:
        raise UserError(
            f"{len(histories)} parts of data, a fixed train/test pair; expected one history, as a "
            "pair is read by train itself"
        )
    for note in notes:
        console.note(note)
    given = Input(histories[0], names, filters_of(config))
    spill_to = None if config.prepare.temp_folder is None else Path(config.prepare.temp_folder)
    room = Room(config.prepare.memory_mb, spill_to)
    try:
        with locked(output, console.warning):
            return prepare(given, reading_settings(config), output, room, console.progress)
    except UserError as error:
        raise UserError(str(error).replace("--workdir=", "--output=")) from error
