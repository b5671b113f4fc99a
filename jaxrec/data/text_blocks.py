"""A text file in blocks of whole lines, its bytes checked, each line's number known."""

import codecs
from collections.abc import Generator, Iterator
from typing import IO

import numpy as np
import pyarrow as pa

from jaxrec.data.compression import UNPACKING_ERRORS, Unpacked
from jaxrec.data.inputs import InputFile
from jaxrec.data.rows import shown
from jaxrec.errors import UserError

# What follows bounds the memory that any file can make a reader use.
BLOCK_BYTES = 1 << 24
BLOCK_LINES = 1 << 18
LONGEST_RECORD_BYTES = 1 << 26
LONGEST_RECORD_LINES = 1 << 20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

Problems = dict[int, str]  # reason by index of the line in its block


class Lines:
    """A block of whole lines.

    Attributes:
      text: [n] the lines with their line ends, broken UTF-8 replaced.
      broken: lines with broken UTF-8 or NUL bytes.
      begin: index of the first line not yet used.
      end: index after the last line used; the reader may lower it to get the rest once more
        with the next block.
      final: whether no more text comes that could complete the last record.
    """

    def __init__(self, path: InputFile, first: int, block: bytes, final: bool):
        self.path, self.first, self.final = path, first, final
        self.offsets = _line_offsets(block)
        self.begin, self.end = 0, len(self.offsets) - 1
        self.broken: Problems = {}
        try:
            block.decode()
            clean = b"\0" not in block
        except UnicodeDecodeError:
            clean = False
        if not clean:
            block = self._mend(block)
        offsets = _line_offsets(block).astype(np.int32)
        self.text = pa.StringArray.from_buffers(
            self.end, pa.py_buffer(offsets), pa.py_buffer(block)
        )

    def _mend(self, block: bytes) -> bytes:
        lines = _split_lines(block)
        for index, line in enumerate(lines):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                self.broken[index] = (
                    f"broken UTF-8 (0x{line[error.start]:02x}, byte {error.start + 1} of the "
                    "line), expected text in UTF-8, or its encoding in config.data.encoding "
                    "(such as latin-1 or utf-16)"
                )
                lines[index] = line.decode(errors="replace").encode()
            else:
                if b"\0" in line:
                    self.broken[index] = "a NUL byte, expected text"
        return b"".join(lines)

    def number(self, index: np.ndarray) -> np.ndarray:
        """Line numbers in the file, from 1, of [k] indices in the block: [k] int64."""
        return self.first + index.astype(np.int64)

    def numbered(self, problems: Problems) -> list[tuple[int, str]]:
        """The problems in order, by line in the file."""
        return [(self.first + index, problems[index]) for index in sorted(problems)]

    def place(self, index: int) -> str:
        """How a message names a line of the block."""
        return f"{self.path}:{self.first + index}"


def _split_lines(block: bytes) -> list[bytes]:
    lines = block.split(b"\n")
    return [line + b"\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def _line_offsets(block: bytes) -> np.ndarray:
    ends = np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n")) + 1
    offsets = np.concatenate([[0], ends])
    return offsets if offsets[-1] == len(block) else np.append(offsets, len(block))


def check_encoding(encoding: str) -> str:
    """The encoding's usual name, such as `utf-8` or `iso8859-1`.

    Raises:
      UserError: there is no such encoding of text.
    """
    try:
        found = codecs.lookup(encoding)
        "".encode(encoding)
    except (LookupError, ValueError) as error:
        raise UserError(
            f"encoding is {shown(encoding)}, expected one such as utf-8, latin-1, cp1252 or utf-16"
        ) from error
    return "utf-8" if found.name == "utf-8-sig" else found.name


def read_blocks(file: InputFile, encoding: str) -> Generator[Lines]:
    """The file in blocks of whole lines, unpacked if it is compressed.

    Lines that the reader leaves (`Lines.end`) come again at the head of the next block.

    Args:
      file: the file.
      encoding: `utf-8`, with or without byte order mark, or another that Python knows.

    Raises:
      UserError: the file can't be read or unpacked, is not in that encoding, or has a line too
        long to hold.
    """
    encoding = check_encoding(encoding)
    line, kept, packed = 1, b"", "none"
    try:
        with Unpacked(file) as opened:
            packed = opened.packed
            for piece, last in _pieces(file, opened.stream, encoding):
                block = kept + piece
                if not block:
                    continue
                lines = Lines(file, line, block, last)
                if len(block) > LONGEST_RECORD_BYTES or lines.end > LONGEST_RECORD_LINES:
                    lines.final = True
                yield lines
                line += lines.end
                kept = block[lines.offsets[lines.end] :]
    except (*UNPACKING_ERRORS, OSError) as error:
        raise unreadable(
            file, f"{file}:{line}: damaged or cut off at or after this line", packed, error
        ) from error


def unreadable(file: InputFile, damaged: str, packed: str, error: Exception) -> UserError:
    """What to say of a file that can't be read, or not to its end (then `damaged` begins it)."""
    if isinstance(error, OSError) and error.errno is not None:
        return UserError(f"{file}: {error.strerror or error}, expected a readable file")
    expected = "a whole zip" if packed == "none" else packed
    reason = " ".join(str(error).split()) or type(error).__name__
    return UserError(f"{damaged} ({reason}), expected {expected}")


def _pieces(file: InputFile, stream: IO[bytes], encoding: str) -> Iterator[tuple[bytes, bool]]:
    """The file's text, cut after some line ends, and whether no more comes."""
    line, rest, first = 1, b"", True
    decoder = None if encoding == "utf-8" else codecs.getincrementaldecoder(encoding)()
    while chunk := stream.read(BLOCK_BYTES):
        if decoder is not None:
            chunk = _decoded(file, line, decoder, chunk)
        if first:
            chunk, first = chunk.removeprefix(BYTE_ORDER_MARK), False
        ends = np.flatnonzero(np.frombuffer(chunk, np.uint8) == ord("\n")) + 1 + len(rest)
        rest += chunk
        start = 0
        # The last line end, and before it each after which enough lines have come.
        for end in [*ends[BLOCK_LINES - 1 : -1 : BLOCK_LINES].tolist(), *ends[-1:].tolist()]:
            yield rest[start:end], False
            start = end
        rest = rest[start:]
        line += len(ends)
        if len(rest) > LONGEST_RECORD_BYTES:
            raise UserError(
                f"{file}:{line}: the line is longer than {LONGEST_RECORD_BYTES >> 20} MiB, "
                "expected shorter lines"
            )
    if decoder is not None:
        rest += _decoded(file, line, decoder, b"", final=True)
    yield rest, True


def _decoded(
    file: InputFile,
    line: int,
    decoder: codecs.IncrementalDecoder,
    chunk: bytes,
    *,
    final: bool = False,
) -> bytes:
    try:
        return decoder.decode(chunk, final).encode()
    except (UnicodeError, OverflowError) as error:
        name = getattr(error, "encoding", "config.data.encoding")
        raise UserError(
            f"{file}:{line}: broken {name} at or after this line, expected text in the encoding "
            "that config.data.encoding names"
        ) from error
