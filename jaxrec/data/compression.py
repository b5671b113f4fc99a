"""Opens a file as the plain bytes in it, unpacked by what it is and not by what it is called."""

import bz2
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable
from typing import IO, Any, cast

import pyarrow as pa

from jaxrec.data.inputs import InputFile
from jaxrec.errors import UserError

CHUNK_BYTES = 1 << 18
HEAD_BYTES = 512
XZ_MEMORY = 1 << 28  # bytes that a dictionary may take; xz -9 needs 65 MiB

# What a damaged file makes the unpackers raise; Arrow's zstd and bzip2 raise an OSError without
# the number that one of the disk has.
UNPACKING_ERRORS = (
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    pa.ArrowException,
    EOFError,
)
_KINDS: tuple[tuple[str, bytes], ...] = (
    ("gzip", rb"\x1f\x8b\x08"),
    ("bzip2", rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"),
    ("xz", rb"\xfd7zXZ\x00"),
    ("zstd", rb"\x28\xb5\x2f\xfd"),
)
_UNREAD = (
    ("a zip", rb"PK\x03\x04"),
    ("compressed with 7-Zip", rb"7z\xbc\xaf\x27\x1c"),
    ("compressed with RAR", rb"Rar!\x1a\x07"),
    ("compressed with LZ4", rb"\x04\x22\x4d\x18"),
    ("compressed with compress", rb"\x1f\x9d"),
    ("a tar archive", rb".{257}ustar"),
)


class Unpacked:
    """A file's plain bytes, for a `with` statement.

    Attributes:
      stream: to read from.
      packed: what it is compressed with, `none` where it isn't.
    """

    def __init__(self, file: InputFile) -> None:
        """Opens a file.

        Raises:
          UserError: it is an archive, or compressed in a way that is not read.
          OSError: it can't be read.
        """
        # A buffer to look into; closing it closes the file.
        self._buffered = io.BufferedReader(cast(Any, file.open()), CHUNK_BYTES)
        try:
            head = self._buffered.peek(HEAD_BYTES)[:HEAD_BYTES]
            self.packed = kind_of(head)
            if self.packed == "none":
                refuse_archives(file, head)
            opener = _OPENERS.get(self.packed)
            self.stream = opener(self._buffered) if opener else cast(IO[bytes], self._buffered)
        except BaseException:
            self._buffered.close()
            raise

    def __enter__(self) -> "Unpacked":
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()
        self._buffered.close()


def kind_of(head: bytes) -> str:
    """What a file that begins with these bytes is compressed with: `gzip`, ... or `none`."""
    return next((kind for kind, magic in _KINDS if re.match(magic, head, re.DOTALL)), "none")


def refuse_archives(file: InputFile, head: bytes) -> None:
    """Refuses a file that begins with these bytes, unpacked, if it holds other files.

    Raises:
      UserError: it is an archive, or compressed in a way that is not read.
    """
    for what, magic in _UNREAD:
        if re.match(magic, head, re.DOTALL):
            raise UserError(
                f"{file}: {what}, expected a file that is plain or compressed with gzip, bzip2, "
                "xz or zstd, or a zip; unpack it first"
            )


class _XZ(io.RawIOBase):
    """Unpacks xz within `XZ_MEMORY`, one stream after the other."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._decoder = self._new()

    def _new(self) -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _read(self, size: int) -> bytes:
        while True:
            packed = b""
            if self._decoder.eof:
                packed = self._decoder.unused_data or self._stream.read(CHUNK_BYTES)
                while packed and not (packed := packed.lstrip(b"\0")):  # padding between streams
                    packed = self._stream.read(CHUNK_BYTES)
                if not packed:
                    return b""
                self._decoder = self._new()
            elif self._decoder.needs_input:
                packed = self._stream.read(CHUNK_BYTES)
                if not packed:
                    raise EOFError("it ends before its end-of-stream marker")
            if data := self._decoder.decompress(packed, size):
                return data


_OPENERS: dict[str, Callable[[io.BufferedReader], IO[bytes]]] = {
    "gzip": lambda stream: cast(IO[bytes], gzip.GzipFile(fileobj=stream)),
    "bzip2": lambda stream: cast(IO[bytes], bz2.BZ2File(stream)),
    "xz": lambda stream: cast(IO[bytes], io.BufferedReader(_XZ(stream))),
    "zstd": lambda stream: cast(
        IO[bytes], pa.CompressedInputStream(pa.PythonFile(stream, "r"), "zstd")
    ),
}
