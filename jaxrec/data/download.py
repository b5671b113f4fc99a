"""Downloads a file and unpacks chosen members of an archive: whole and checked, or not at all.

Nothing an archive says decides where a file is written, and nothing is unpacked but regular files
asked for by name, each up to a limit (a small archive can unpack to any size).
"""

import contextlib
import errno
import gzip
import hashlib
import http.client
import stat
import struct
import tarfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import IO, Protocol, cast

CHUNK_BYTES = 1 << 18


class Work(Protocol):
    """A piece of work under way."""

    def update(self, advance: int) -> None:
        """Says that `advance` more units are done."""


# Shows a piece of work until its block ends: of how many units (None where nobody says), what it
# is, and the unit's name.
Progress = Callable[[int | None, str, str], contextlib.AbstractContextManager[Work]]


class DownloadError(Exception):
    """A download or archive that can't be used; the message says why, in part of a line."""


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def download(
    url: str,
    target: Path,
    *,
    size: int | None = None,
    sha256: str | None = None,
    limit: int = 1 << 31,
    timeout: float = 30.0,
    progress: Progress | None = None,
) -> str:
    """Downloads a file. `target` is for the caller to delete if this fails.

    Args:
      url: http or https address.
      target: where the file goes.
      size: expected bytes, None where unknown.
      sha256: expected SHA-256 in hexadecimal, None where unknown.
      limit: most bytes to accept where the size is unknown.
      timeout: seconds without an answer after which to give up.
      progress: shows how far it is, in bytes.

    Returns:
      The SHA-256 of the file.

    Raises:
      DownloadError: no connection, an error of the server, a file cut short, of another size or
        SHA-256 than expected, or too large.
      OSError: `target` can't be written.
    """
    request = urllib.request.Request(url, headers={"User-Agent": "jaxrec"})
    with _network_errors():
        response = urllib.request.urlopen(request, timeout=timeout)
    with response:
        total: int | None = response.length
        if size is not None and total is not None and total != size:
            raise DownloadError(f"it has {total:,} bytes, expected {size:,}")
        expected = size if size is not None else total
        shown = (progress or _nothing)(expected, f"downloading {target.name}", "bytes")
        with target.open("wb") as file, shown as work:
            body = _Reporting(response, work)
            received, found = _copy(body, file, limit if size is None else size)
    if expected is not None and received != expected:
        raise DownloadError(f"it broke off after {received:,} of {expected:,} bytes")
    if sha256 is not None and found != sha256:
        raise DownloadError(f"its SHA-256 is {found}, expected {sha256}")
    return found


def unpack(archive: Path, wanted: Mapping[str, Path], *, limit: int) -> dict[str, str]:
    """Unpacks the wanted members of a zip or tar.gz archive, told apart by the file's ending.

    Args:
      archive: path ending in `.zip` or `.tar.gz`.
      wanted: where each member goes, by its path in the archive.
      limit: most bytes that a member of a zip, or all that is read of a tar, may unpack to.

    Returns:
      The SHA-256 of each member.

    Raises:
      DownloadError: a broken archive, a member that is missing, not a regular file or too large.
      OSError: a file can't be written.
    """
    open_members = _zip_members if archive.name.endswith(".zip") else _tar_members
    found = {}
    with _archive_errors(), contextlib.closing(open_members(archive, wanted, limit)) as members:
        for name, stream in members:
            with wanted[name].open("wb") as file:
                _, found[name] = _copy(stream, file, limit)
    for name in wanted:
        if name not in found:
            raise DownloadError(f"the archive has no member {name}")
    return found


def _zip_members(
    archive: Path, wanted: Mapping[str, Path], limit: int
) -> Generator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(archive) as opened:
        there = set(opened.namelist())
        for name in wanted:
            if name not in there:
                continue
            info = opened.getinfo(name)
            # Zip files made on Windows give no file type.
            kind = stat.S_IFMT(info.external_attr >> 16)
            if info.is_dir() or kind not in (0, stat.S_IFREG):
                raise DownloadError(f"the archive's {name} is not a regular file")
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise DownloadError(f"the archive's {name} is packed in an unknown way")
            if info.file_size > limit:
                raise DownloadError(f"the archive's {name} unpacks to more than {limit:,} bytes")
            with opened.open(info) as stream:
                yield name, stream


def _tar_members(
    archive: Path, wanted: Mapping[str, Path], limit: int
) -> Generator[tuple[str, IO[bytes]]]:
    missing = set(wanted)
    with gzip.open(archive) as unzipped:
        # As a stream: members passed over are unzipped too, so they count towards the limit.
        limited = _Limited(unzipped, limit)
        with tarfile.open(fileobj=cast(IO[bytes], limited), mode="r|") as opened:
            for info in opened:
                if info.name in missing:
                    missing.remove(info.name)
                    stream = opened.extractfile(info) if info.isreg() else None
                    if stream is None:
                        raise DownloadError(f"the archive's {info.name} is not a regular file")
                    with stream:
                        yield info.name, stream
        while limited.read(CHUNK_BYTES):
            pass  # gzip checks its sum at the end


class _Limited:
    """Reads on until more than `limit` bytes have been read in all."""

    def __init__(self, stream: _Readable, limit: int):
        self.stream, self.limit, self.count = stream, limit, 0

    def read(self, size: int, /) -> bytes:
        chunk = self.stream.read(size)
        self.count += len(chunk)
        if self.count > self.limit:
            raise DownloadError(f"the archive unpacks to more than {self.limit:,} bytes")
        return chunk


class _Reporting:
    """Reads from the network, telling how far it has come."""

    def __init__(self, stream: _Readable, work: Work):
        self.stream, self.work = stream, work

    def read(self, size: int, /) -> bytes:
        with _network_errors():
            chunk = self.stream.read(size)
        self.work.update(len(chunk))
        return chunk


class _Unseen:
    def update(self, advance: int) -> None:
        pass


@contextlib.contextmanager
def _nothing(total: int | None, description: str, unit: str) -> Iterator[Work]:
    """Shows nothing."""
    yield _Unseen()


def _copy(source: _Readable, target: IO[bytes], limit: int) -> tuple[int, str]:
    """Copies up to `limit` bytes; the number and SHA-256 of what was copied."""
    digest, count = hashlib.sha256(), 0
    while chunk := source.read(CHUNK_BYTES):
        count += len(chunk)
        if count > limit:
            raise DownloadError(f"it has more than {limit:,} bytes")
        digest.update(chunk)
        target.write(chunk)
    return count, digest.hexdigest()


@contextlib.contextmanager
def _network_errors() -> Iterator[None]:
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        raise DownloadError(f"the server answers {error.code} {error.reason}") from error
    except (http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", None) or str(error) or type(error).__name__
        raise DownloadError(f"the connection failed ({reason})") from error


@contextlib.contextmanager
def _archive_errors() -> Iterator[None]:
    try:
        yield
    except (
        zipfile.BadZipFile,
        tarfile.TarError,
        zlib.error,
        struct.error,
        EOFError,
        ValueError,
        RuntimeError,  # encrypted, as zipfile says it
        NotImplementedError,  # a newer version of the format, likewise
    ) as error:
        raise DownloadError(f"the archive is damaged or encrypted ({error})") from error
    except OSError as error:
        # Reading at an impossible place, as a damaged zip may ask for. The rest is about the disk.
        if not isinstance(error, gzip.BadGzipFile) and error.errno != errno.EINVAL:
            raise
        raise DownloadError(f"the archive is damaged ({error})") from error
