"""Manifests: the name, size and SHA-256 of every file in a folder, so that damage is seen."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jaxrec.files import replacing, sync

FILE_NAME = "manifest.json"


def write_manifest(folder: Path, names: Iterable[str] | None = None) -> None:
    """Lists the files below a folder in its manifest, which appears whole or not at all.

    Files, folders and manifest are on the disk, not just on their way to it, when this returns.

    Args:
      folder: where they are.
      names: which of them; None for all.
    """
    found = folder.rglob("*") if names is None else (folder / name for name in names)
    files = sorted(path for path in found if path.is_file())
    entries = {}
    for path in files:
        sync(path)
        entries[path.relative_to(folder).as_posix()] = _entry(path)
    with replacing(folder / FILE_NAME) as temporary:
        temporary.write_bytes(_render(entries))
    for path in (*folder.rglob("*"), folder):
        if path.is_dir():
            sync(path)


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


def read_manifest(folder: Path) -> dict[str, dict[str, Any]] | str:
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


def _entry(path: Path) -> dict[str, str | int]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"bytes": file.tell(), "sha256": digest}


def _render(entries: dict[str, dict[str, str | int]]) -> bytes:
    """The manifest's bytes, which hold their own digest: no other bytes are a manifest of these."""
    own = hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()
    return (json.dumps({"files": entries, "sha256": own}, indent=2) + "\n").encode()
