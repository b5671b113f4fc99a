"""Archives that mean harm, fetched as a dataset: refused by name, the cache as it was."""

import gzip
import io
import stat
import struct
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from jaxrec.data import catalog
from jaxrec.data.catalog import fetch
from jaxrec.data.datasets import Dataset, Download, File
from jaxrec.errors import UserError

LISTENS = b"1\t7\n2\t7\n"
MEMBER = "toy/listens"


class Server(ThreadingHTTPServer):
    """Serves `body`, whatever is asked for."""

    body = b""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def zipped(
    name: str = MEMBER,
    content: bytes = LISTENS,
    *,
    kind: int = 0,
    packing: int = zipfile.ZIP_DEFLATED,
) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", packing) as archive:
        info = zipfile.ZipInfo(name)
        info.external_attr, info.compress_type = (kind | 0o644) << 16, packing
        archive.writestr(info, content)
    return stream.getvalue()


def tarred(*members: tuple[str, bytes, bytes, str]) -> bytes:
    """A tar of (name, type, content, link) members."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, kind, content, link in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size = kind, link, len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def sparse() -> bytes:
    """A tar whose member says that it is a hole of a TiB."""
    info = tarfile.TarInfo(MEMBER)
    info.type, info.size = tarfile.GNUTYPE_SPARSE, 0
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    size = 1 << 40
    block[386:410] = b"%011o\0%011o\0" % (0, 0)
    block[483:495] = b"\x80" + size.to_bytes(11, "big")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return gzip.compress(bytes(block) + bytes(1024))


def lying() -> bytes:
    """A zip whose member unpacks to more than it says."""
    content = bytearray(zipped(content=bytes(1 << 20)))
    return bytes(content.replace(struct.pack("<I", 1 << 20), struct.pack("<I", 50)))


def encrypted() -> bytes:
    content = bytearray(zipped())
    content[6] |= 1
    central = content.index(b"PK\x01\x02")
    content[central + 8] |= 1
    return bytes(content)


REG, PLAIN = tarfile.REGTYPE, (MEMBER, tarfile.REGTYPE, LISTENS, "")
HARM: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "zip up and out": (".zip", lambda: zipped("../" + MEMBER), "has no member toy/listens"),
    "zip from the root": (".zip", lambda: zipped("/" + MEMBER), "has no member toy/listens"),
    "zip link": (".zip", lambda: zipped(kind=stat.S_IFLNK), "is not a regular file"),
    "zip device": (".zip", lambda: zipped(kind=stat.S_IFBLK), "is not a regular file"),
    "zip socket": (".zip", lambda: zipped(kind=stat.S_IFSOCK), "is not a regular file"),
    "zip folder": (".zip", lambda: zipped(MEMBER + "/", b""), "has no member toy/listens"),
    "zip bomb": (".zip", lambda: zipped(content=bytes(1 << 22)), "unpacks to more than"),
    "zip that lies": (".zip", lying, "damaged"),
    "zip encrypted": (".zip", encrypted, "damaged or encrypted"),
    "zip of lzma": (".zip", lambda: zipped(packing=zipfile.ZIP_LZMA), "packed in an unknown way"),
    "zip cut short": (".zip", lambda: zipped()[:-30], "damaged"),
    "tar up and out": (
        ".tar.gz",
        lambda: tarred(("../../" + MEMBER, REG, b"evil", "")),
        "has no member toy/listens",
    ),
    "tar from the root": (
        ".tar.gz",
        lambda: tarred(("/" + MEMBER, REG, b"evil", "")),
        "has no member toy/listens",
    ),
    "tar link": (
        ".tar.gz",
        lambda: tarred((MEMBER, tarfile.SYMTYPE, b"", "/etc/passwd")),
        "is not a regular file",
    ),
    "tar hard link": (
        ".tar.gz",
        lambda: tarred(("other", REG, b"x", ""), (MEMBER, tarfile.LNKTYPE, b"", "other")),
        "is not a regular file",
    ),
    "tar device": (
        ".tar.gz",
        lambda: tarred((MEMBER, tarfile.BLKTYPE, b"", "")),
        "is not a regular file",
    ),
    "tar pipe": (
        ".tar.gz",
        lambda: tarred((MEMBER, tarfile.FIFOTYPE, b"", "")),
        "is not a regular file",
    ),
    "tar link as the folder": (
        ".tar.gz",
        lambda: tarred(("toy", tarfile.SYMTYPE, b"", "/etc"), ("toy/other", REG, b"evil", "")),
        "has no member toy/listens",
    ),
    "tar bomb before": (
        ".tar.gz",
        lambda: tarred(("zeros", REG, bytes(1 << 22), ""), PLAIN),
        "unpacks to more than",
    ),
    "tar hole": (".tar.gz", sparse, "more than 1,048,576 bytes"),
    "tar cut short": (".tar.gz", lambda: tarred(PLAIN)[:-12], "damaged"),
}


def tree(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def offer(
    server: Server, monkeypatch: pytest.MonkeyPatch, ending: str, body: bytes, **known: str
) -> None:
    """Makes the archive the download of a dataset named toy."""
    server.body = body
    download = Download(
        f"http://127.0.0.1:{server.server_address[1]}/toy{ending}",
        (File("listens.tsv", MEMBER),),
        limit=1 << 20,
        **known,
    )
    toy = Dataset("toy", "Toy", "", "", (download,), ("listens.tsv",), None, {})
    monkeypatch.setattr(catalog, "DATASETS", {"toy": toy})
    monkeypatch.setenv("no_proxy", "*")


@pytest.mark.parametrize("case", HARM)
def test_archives_that_mean_harm_leave_no_trace(server, monkeypatch, tmp_path, case):
    ending, make, message = HARM[case]
    offer(server, monkeypatch, ending, make())
    cache = tmp_path / "home" / "cache"
    cache.mkdir(parents=True)
    (cache / "kept").write_text("kept")
    before = tree(tmp_path)
    with pytest.raises(UserError, match=message) as error:
        fetch("toy", cache)
    assert f"can't download http://127.0.0.1:{server.server_address[1]}/toy{ending}: " in str(
        error.value
    )
    assert str(error.value).isprintable()
    assert tree(tmp_path) == before


@pytest.mark.parametrize(("ending", "make"), [(".zip", zipped), (".tar.gz", lambda: tarred(PLAIN))])
def test_the_same_archive_without_harm_is_fetched(server, monkeypatch, tmp_path, ending, make):
    offer(server, monkeypatch, ending, make())
    (path,) = fetch("toy", tmp_path)
    assert path.read_bytes() == LISTENS


def test_another_fingerprint_than_the_published_one_is_refused(server, monkeypatch, tmp_path):
    offer(server, monkeypatch, ".zip", zipped(), sha256="0" * 64)
    with pytest.raises(UserError, match=r"its SHA-256 is [0-9a-f]{64}, expected 0{64}"):
        fetch("toy", tmp_path)
    assert not list(tmp_path.iterdir())
