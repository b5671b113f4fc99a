"""A bundle: all that lists are made of, in a folder to deploy, and nothing that could be run.

The model's arrays and the listeners' histories as safetensors, ids and names as Parquet, what the
model is and how good it was found as JSON, and a manifest with the SHA-256 of each. A file's name
ends with its digest, so that no file is ever written over: a bundle that replaces another, by
`export` or by copying it there, leaves alone what a running service has mapped into its memory.
"""

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jaxrec.errors import UserError
from jaxrec.files import PARTIAL, remove_leftovers
from jaxrec.manifest import FILE_NAME, find_damage, read_manifest, write_manifest
from jaxrec.serve.tensors import map_tensors, write_tensors

FORMAT = 3  # of what is in the files
DIGITS = 12  # of a digest that are enough to tell bundles and files apart
_NAME = re.compile(r"(?P<part>[a-z]+)\.[0-9a-f]{12}(?P<ending>\.[a-z]+)")
_ENDINGS = {
    "about": ".json",
    "histories": ".safetensors",
    "items": ".parquet",
    "model": ".safetensors",
    "users": ".parquet",
}


@dataclasses.dataclass(frozen=True, eq=False)
class Bundle:
    """What is in a bundle.

    Attributes:
      about: `kind` and `settings` of the model, the `method`, how a history is weighed (`weight`
        and `half_life_days` as of `Weighting`, and `learnt`, the one that was learnt by), and what
        the run says of itself: `protocol`, `part` and `metrics`.
      model: the model's arrays by name.
      histories: of the users the bundle knows, in compressed rows: `offsets` [num_users + 1]
        int64, `items` int32 and `weights` float32; `seen_offsets` and `seen_items`, all that is
        left out of their lists. Of the items: `listed` [num_items] bool, which may be listed, and
        `users` [num_items] int32, how many users each has.
      items: a row per item, as of `ids.item_table`.
      users: a row per user, with the `id`.
    """

    about: Mapping[str, Any]
    model: Mapping[str, np.ndarray]
    histories: Mapping[str, np.ndarray]
    items: pa.Table
    users: pa.Table


def write_bundle(folder: Path, bundle: Bundle) -> None:
    """Writes a bundle, whole or not at all; one that is there is replaced at once.

    Args:
      folder: empty, missing, or with a bundle.
      bundle: what to write.

    Raises:
      UserError: the folder holds something else.
      OSError: it can't be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    check_place(folder)
    remove_leftovers(folder)
    about = json.dumps({"format": FORMAT, **bundle.about}, indent=2, allow_nan=False)
    writers: dict[str, Callable[[Path], object]] = {
        "about": lambda path: path.write_text(about + "\n", encoding="utf-8"),
        "histories": lambda path: write_tensors(path, bundle.histories),
        "items": lambda path: pq.write_table(bundle.items, path),
        "model": lambda path: write_tensors(path, bundle.model),
        "users": lambda path: pq.write_table(bundle.users, path),
    }
    names = {_write(folder, part, write) for part, write in writers.items()}
    write_manifest(folder, names)
    for path in folder.iterdir():  # of the bundle before; who has them mapped keeps them
        if _NAME.fullmatch(path.name) and path.name not in names:
            path.unlink()


def check_place(folder: Path) -> None:
    """Raises UserError where a folder holds anything that no bundle has."""
    others = [path.name for path in folder.iterdir() if not _is_of_bundle(path.name)]
    if others:
        raise UserError(
            f"{folder} has {min(others)}, which no bundle has; expected an empty folder, or one "
            "with a bundle, which is replaced"
        )


def _is_of_bundle(name: str) -> bool:
    return name in (FILE_NAME, ".lock") or _NAME.match(name) is not None or name.endswith(PARTIAL)


def _write(folder: Path, part: str, write: Callable[[Path], object]) -> str:
    """Writes one file and returns its name, which its content gives."""
    temporary = folder / f"{part}.{os.getpid()}{PARTIAL}"
    try:
        write(temporary)
        with temporary.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        name = f"{part}.{digest[:DIGITS]}{_ENDINGS[part]}"
        os.replace(temporary, folder / name)
    finally:
        temporary.unlink(missing_ok=True)
    return name


def read_bundle(folder: Path) -> Bundle:
    """Opens a bundle, its arrays memory-mapped.

    Raises:
      UserError: there is none, or it is damaged or of another format.
    """
    if not (folder / FILE_NAME).exists():
        raise UserError(
            f"{folder}: no bundle there (no {FILE_NAME}); expected the folder that `export` wrote"
        )
    if damage := find_damage(folder):
        raise UserError(f"{folder} is damaged: {damage}; expected a bundle as `export` wrote it")
    entries = read_manifest(folder)
    parts = {found["part"]: folder / name for name in entries if (found := _NAME.fullmatch(name))}
    if parts.keys() != _ENDINGS.keys():
        raise UserError(
            f"{folder} has {', '.join(sorted(parts))}; expected a bundle, with "
            f"{', '.join(_ENDINGS)}"
        )
    try:
        about = json.loads(parts["about"].read_text(encoding="utf-8"))
        if about["format"] != FORMAT:
            raise UserError(
                f"{parts['about']}: format is {about['format']}; expected {FORMAT}, which "
                "`export` of this version writes"
            )
        tables = {name: pq.read_table(parts[name]) for name in ("items", "users")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{folder}: unreadable ({error}); expected a bundle as `export` wrote it"
        ) from error
    arrays = {name: map_tensors(parts[name]) for name in ("model", "histories")}
    return Bundle(about, **arrays, **tables)


def bundle_id(folder: Path) -> str | None:
    """What tells the bundle in a folder from any other; None where there is none or a damaged one.

    The manifest alone is read.
    """
    entries = read_manifest(folder)
    if isinstance(entries, str):
        return None
    return hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()[:DIGITS]
