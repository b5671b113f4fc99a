"""Manifests: the name, size and SHA-256 of every file in a folder, so that damage is seen."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jaxrec.files import replacing, sync

FILE_NAME = "manifest.json"

Entries = dict[str, dict[str, Any]]  # each file's size and SHA-256, by its name below the folder


def write_manifest(
    folder: Path, names: Iterable[str], *, listed: Mapping[str, Any] | None = None
) -> None:
    """Lists files below a folder in its manifest, which appears whole or not at all.

    Files, folders and manifest are on the disk, not just on their way to it, when this returns.

    Args:
      folder: where they are.
      names: which of them.
      listed: the entries of more files, by who has written them and called `list_files`.
    """
    entries = list_files(folder, names) | dict(listed or {})
    with replacing(folder / FILE_NAME) as temporary:
        temporary.write_bytes(_render(dict(sorted(entries.items()))))
    sync(folder)


def list_files(folder: Path, names: Iterable[str]) -> Entries:
    """The entries of files below a folder, which are on the disk when this returns.

    Args:
      folder: where they are.
      names: of the files.
    """
    entries, folders = {}, {folder}
    for path in sorted(folder / name for name in names):
        sync(path)
        entries[path.relative_to(folder).as_posix()] = _entry(path)
        folders.update(each for each in path.parents if each.is_relative_to(folder))
    for each in sorted(folders, reverse=True):  # the inner ones before those that name them
        sync(each)
    return entries


def find_damage(folder: Path) -> str | None:
    """Compares a folder with its manifest.

    Returns:
      What is wrong, naming the first file it is wrong with; None where all is as it was written.
    """
    entries = read_manifest(folder)
    if isinstance(entries, str):
        return entries
    for name, expected in entries.items():
        try:
            found = _entry(folder / name)
        except OSError as error:
            return f"{name}: {error.strerror}"
        if found["bytes"] != expected["bytes"]:
            return f"{name}: {found['bytes']:,} bytes, expected {expected['bytes']:,}"
        if found["sha256"] != expected["sha256"]:
            return f"{name}: its SHA-256 is not the one written"
    return None


def read_manifest(folder: Path) -> Entries | str:
    """The size and SHA-256 of each file by its name, or what is wrong with the manifest."""
    try:
        written = (folder / FILE_NAME).read_bytes()
    except OSError as error:
        return f"{FILE_NAME}: {error.strerror}"
    try:
        entries = json.loads(written)["files"]
        intact = _render(entries) == written
    except (ValueError, LookupError, TypeError, AttributeError):
        intact = False
    return dict(entries) if intact else f"{FILE_NAME}: not as it was written"


def _entry(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"bytes": file.tell(), "sha256": digest}


def _render(entries: Entries) -> bytes:
    """The manifest's bytes, which hold their own digest: no other bytes are a manifest of these."""
    own = hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()
    return (json.dumps({"files": entries, "sha256": own}, indent=2) + "\n").encode()
