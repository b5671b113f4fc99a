"""Prepared data made as a configuration says."""

import hashlib
import json
from pathlib import Path
from typing import Any

from jaxrec.config import RunConfig, with_fields
from jaxrec.data.inputs import list_files
from jaxrec.data.prepared.layout import Layout, is_prepared
from jaxrec.data.prepared.opened import Prepared
from jaxrec.data.prepared.prepare import prepare
from jaxrec.data.prepared.stage import Input, Room
from jaxrec.errors import UserError
from jaxrec.files import cache_folder
from jaxrec.report.console import Console
from jaxrec.runs.lock import locked_in_turn
from jaxrec.runs.prepared import cut_on_disk, prepared_of, reading_settings
from jaxrec.runs.sources import filters_of, sources_of


def prepare_folder(
    config: RunConfig, output: Path, console: Console, *, wait: bool = False
) -> dict[str, Any]:
    """Prepares the history that a configuration names; returns what `prepared.json` says.

    Args:
      config: says which history, and how it is read.
      output: the folder.
      console: where to say what comes of it.
      wait: whether to wait for another command that prepares it, or to refuse.

    Raises:
      UserError: as `prepare`, or the configuration names no history of one part.
    """
    if config.data.source == "synthetic":
        raise UserError(
            "config.data.source is 'synthetic', which is made up in memory; expected listens and "
            "config.data.path with files to prepare"
        )
    if is_prepared(config.data.path):
        raise UserError(
            f"config.data.path is {config.data.path!r}, data that are prepared already; expected "
            "the files of a history, or `train` with that path"
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
        with locked_in_turn(output, console.warning, wait=wait):
            return prepare(given, reading_settings(config), output, room, console.progress)
    except UserError as error:
        raise UserError(str(error).replace("--workdir=", "--output=")) from error


def prepared_once(config: RunConfig, console: Console) -> Prepared | None:
    """Own files above `config.prepare.above_mb`, prepared in the cache unless they are there.

    None where the files are smaller, or can't be used so: then they are read into memory.

    Raises:
      UserError: as `prepare`.
    """
    data = config.data
    usable = data.source == "listens" and data.against is None and data.test_path is None
    if not usable or not config.prepare.above_mb or not cut_on_disk(config):
        return None
    if data.path is None:
        return None
    size = sum(file.stat().st_size for file in list_files(data.path))
    if size <= config.prepare.above_mb * 2**20:
        return None
    # The same from wherever the command is given.
    paths = {"data.path": data.path, "data.names_path": data.names_path}
    named = {field: str(Path(path).absolute()) for field, path in paths.items() if path is not None}
    config = with_fields(config, named)
    found = [file for path in named.values() for file in list_files(path)]
    about = {
        "settings": reading_settings(config),
        "files": [(str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in found],
    }
    key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
    folder = cache_folder() / "prepared" / key
    if not Layout(folder).manifest.exists():
        console.note(
            f"{data.path} has {size / 1e9:,.1f} GB, more than config.prepare.above_mb: it is "
            f"prepared once, in {folder}, which can be removed when it is no longer needed"
        )
        prepare_folder(config, folder, console, wait=True)
    return prepared_of(with_fields(config, {"data.path": str(folder)}), console)
