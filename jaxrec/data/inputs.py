"""The files that a path stands for: itself, a folder's, a glob's, or the one in a zip."""

import dataclasses
import glob
import os
import re
import stat
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO
from urllib.parse import unquote

from jaxrec.data.rows import shown
from jaxrec.errors import UserError

PACKED = (".gz", ".bz2", ".xz", ".zst", ".zstd", ".zip")
# What the endings of names say. Text of columns may be in any of those after the first line.
ENDINGS = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".tsv": "tsv",
    ".dat": "tsv",
    ".txt": "edges",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".idomaar": "idomaar",
}
_FAMILIES = {"csv": "csv or tsv", "tsv": "csv or tsv", "edges": "txt"}
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


@dataclasses.dataclass(frozen=True)
class InputFile:
    """A file to read, or one that lies in a zip.

    Attributes:
      path: the file, or the zip.
      member: its path in the zip, None for a file of its own.
    """

    path: Path
    member: str | None = None

    def __str__(self) -> str:
        whole = str(self.path) if self.member is None else f"{self.path}/{self.member}"
        # Whoever made a zip named its members: what moves a terminal's cursor is shown, not sent.
        return "".join(
            each if each.isprintable() else each.encode("unicode_escape").decode() for each in whole
        )

    @property
    def name(self) -> str:
        """Its name without folders."""
        return self.path.name if self.member is None else self.member.rpartition("/")[2]

    @property
    def ending(self) -> str:
        """What its name ends in before the endings of compression, in lower case: `.csv`."""
        return os.path.splitext(_without(self.name, PACKED))[1].lower()

    @property
    def stem(self) -> str:
        """The name that a person has given it: without the endings of compression and format."""
        return _without(_without(self.path.name, PACKED), tuple(ENDINGS))

    def open(self) -> IO[bytes]:
        """Its bytes, as they lie there.

        Raises:
          OSError, zipfile.BadZipFile: it can't be read.
        """
        if self.member is None:
            return open(self.path, "rb")
        with zipfile.ZipFile(self.path) as archive:
            return archive.open(self.member)

    @property
    def partition(self) -> dict[str, str | None]:
        """The columns that its folders stand for, as in `day=2020-09-13/part-0.parquet`."""
        found: dict[str, str | None] = {}
        for part in self.path.parts[:-1]:
            name, equals, value = part.partition("=")
            if equals and name:
                found[unquote(name)] = None if value == _NO_VALUE else unquote(value)
        return found


def _without(name: str, endings: tuple[str, ...]) -> str:
    while name.lower().endswith(endings) and os.path.splitext(name)[0] != name:
        name = os.path.splitext(name)[0]
    return name


def find_files(path: str | Path, *, format: str = "auto") -> tuple[list[InputFile], list[str]]:
    """The files that a path stands for, in sorted order, and notes on what was left out.

    A folder is searched with its subfolders; names that begin with `.` or `_` (markers such as
    `_SUCCESS`) are passed over. Where the format is told by the endings, a folder's files of
    unknown endings are left out and named, and a mixture of formats is refused.

    Raises:
      UserError: there is no such file, the folder or glob has none, or several formats.
    """
    files = [each for file in list_files(path) for each in _members(file)]
    if format != "auto" or not Path(path).is_dir():
        return files, []
    told = [file for file in files if file.ending in ENDINGS]
    untold = [file for file in files if file.ending not in ENDINGS]
    by_family: dict[str, list[InputFile]] = {}
    for file in told:
        kind = ENDINGS[file.ending]
        by_family.setdefault(_FAMILIES.get(kind, kind), []).append(file)
    if len(by_family) > 1:
        found = ", ".join(
            f"{len(some):,} {family} (such as {shown(some[0].name)})"
            for family, some in sorted(by_family.items())
        )
        raise UserError(
            f"{path}: the folder has files of several formats, {found}; expected one format: a "
            "glob such as FOLDER/*.csv in config.data.path, or config.data.format"
        )
    if not told:
        return untold, []
    left_out = ", ".join(shown(file.name) for file in untold[:5])
    more = f" and {len(untold) - 5:,} more" if len(untold) > 5 else ""
    notes = [f"{path}: left out {left_out}{more}, no listens by the ending"] if untold else []
    return told, notes


def list_files(path: str | Path) -> list[Path]:
    """The files that a path stands for, zips as they are.

    Raises:
      UserError: there is no such file, or the folder or glob has none.
    """
    path = Path(path)
    try:
        return _find_files(path)
    except (OSError, ValueError) as error:  # a name too long, or with a NUL; no permission
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(
            f"{shown(str(path))}: {reason}, expected a file, a folder or a glob"
        ) from error


def _find_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if path.is_dir():
        files = sorted(
            Path(folder, name)
            for folder, subfolders, names in os.walk(path)
            for name in names
            if not _is_hidden(Path(folder, name).relative_to(path).parts)
        )
        what = "the folder has no files"
    elif os.path.lexists(path):
        raise UserError(f"{path}: not a regular file, expected a file, a folder or a glob")
    elif glob.has_magic(str(path)):
        files = sorted(Path(name) for name in glob.glob(str(path), recursive=True))
        what = "no file matches"
    else:
        raise UserError(f"{path}: no such file, expected a file, a folder or a glob")
    files = [file for file in files if file.is_file()]
    if not files:
        raise UserError(f"{path}: {what}, expected at least one")
    return files


def _is_hidden(parts: Sequence[str]) -> bool:
    return any(part.startswith((".", "_")) for part in parts)


def is_zip(file: Path) -> bool:
    """Whether a file is a zip archive, by its first bytes.

    Raises:
      OSError: it can't be read.
    """
    with open(file, "rb") as opened:
        return opened.read(4) in (b"PK\3\4", b"PK\5\6")


def _members(file: Path) -> list[InputFile]:
    if not is_zip(file):
        return [InputFile(file)]
    members = zip_members(file)
    if len(members) != 1:
        some = ", ".join(shown(str(member.member)) for member in members[:3])
        raise UserError(
            f"{file}: a zip of {len(members):,} files{f', such as {some}' if some else ''}; "
            "expected a zip with one file (unpack it into a folder, or name the music service it "
            "is from in config.data.source)"
        )
    return members


def zip_members(file: Path, wanted: Callable[[str], bool] = lambda name: True) -> list[InputFile]:
    """The regular files in a zip that are wanted by their path in it, in sorted order.

    Names that begin with `.` or `_` (such as `__MACOSX`) are passed over.

    Raises:
      UserError: the zip is damaged or encrypted, or packed in an unknown way.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            infos = [
                info
                for info in archive.infolist()
                if info.filename  # a damaged one may have no name
                and not info.is_dir()
                and stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG)
                and not _is_hidden(re.split(r"[/\\]", info.filename))
                and wanted(info.filename)
            ]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise UserError(f"{file}: damaged ({error}), expected a whole zip") from error
    for info in infos:
        if info.flag_bits & 1:
            raise UserError(f"{file}: its {shown(info.filename)} is encrypted, expected plain text")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UserError(
                f"{file}: its {shown(info.filename)} is packed in an unknown way, expected the "
                "usual one of zip (deflate)"
            )
    return [InputFile(file, name) for name in sorted({info.filename for info in infos})]
