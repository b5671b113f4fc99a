"""Downloads and archives: whole and checked, or an error, never something else."""

import contextlib
import gzip
import hashlib
import io
import random
import re
import socket
import stat
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from jaxrec.data.download import DownloadError, download, unpack
from jaxrec.report.console import Console

BODY = bytes(range(256)) * 3000


class Shown:
    """Keeps what a download shows of itself."""

    def __init__(self):
        self.asked, self.advances, self.ended = [], [], False

    @contextlib.contextmanager
    def __call__(self, total, description, unit):
        self.asked.append((total, description, unit))
        try:
            yield self
        finally:
            self.ended = True

    def update(self, advance):
        self.advances.append(advance)


class Handler(BaseHTTPRequestHandler):
    """Answers by path."""

    def do_GET(self):
        if self.path == "/gone":
            self.send_error(404)
            return
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/whole")
            self.end_headers()
            return
        if self.path == "/silent":
            self.server.stop.wait(10)
            return
        self.send_response(200)
        if self.path != "/unsized":
            self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY[:5000] if self.path == "/short" else BODY)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    """A server that keeps quiet about clients that hang up."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.stop = threading.Event()

    def handle_error(self, *_):
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a server on this machine."""
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.stop.set()
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


class TestDownload:
    @pytest.mark.parametrize("path", ["whole", "unsized", "moved"])
    def test_gives_the_file_and_its_sha256(self, server, tmp_path, path):
        found = download(f"{server}/{path}", tmp_path / "file")
        assert (tmp_path / "file").read_bytes() == BODY
        assert found == hashlib.sha256(BODY).hexdigest()

    def test_accepts_the_expected_size_and_sha256(self, server, tmp_path):
        sha256 = hashlib.sha256(BODY).hexdigest()
        target = tmp_path / "file"
        assert download(f"{server}/whole", target, size=len(BODY), sha256=sha256) == sha256

    @pytest.mark.parametrize(("path", "total"), [("whole", len(BODY)), ("unsized", None)])
    def test_shows_progress(self, server, tmp_path, path, total):
        shown = Shown()
        download(f"{server}/{path}", tmp_path / "file", progress=shown)
        assert shown.asked == [(total, "downloading file", "bytes")]
        assert len(shown.advances) > 2 and sum(shown.advances) == len(BODY)
        assert shown.ended

    def test_a_bar_ends_where_a_download_breaks_off(self, server, tmp_path):
        shown = Shown()
        with pytest.raises(DownloadError):
            download(f"{server}/short", tmp_path / "file", progress=shown)
        assert shown.ended and sum(shown.advances) == 5000

    def test_a_console_shows_a_bar_on_a_terminal(self, server, tmp_path, monkeypatch):
        monkeypatch.setenv("TERM", "xterm")
        terminal = io.StringIO()
        monkeypatch.setattr(terminal, "isatty", lambda: True)
        download(f"{server}/whole", tmp_path / "file", progress=Console(stream=terminal).progress)
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
        assert re.search(r"downloading file .*100% [\d.]+ MB/s .* left", text)

    @pytest.mark.parametrize(
        ("path", "expected", "message"),
        [
            ("whole", {"sha256": "0" * 64}, f"its SHA-256 is {hashlib.sha256(BODY).hexdigest()}, "),
            ("whole", {"size": 9}, "it has 768,000 bytes, expected 9"),
            ("unsized", {"size": 9}, "it has more than 9 bytes"),
            ("unsized", {"size": 768_001}, "it broke off after 768,000 of 768,001 bytes"),
            ("whole", {"limit": 1000}, "it has more than 1,000 bytes"),
            ("short", {}, "it broke off after 5,000 of 768,000 bytes"),
            ("gone", {}, "the server answers 404 Not Found"),
            ("silent", {"timeout": 0.1}, "the connection failed (timed out)"),
        ],
    )
    def test_failures(self, server, tmp_path, path, expected, message):
        with pytest.raises(DownloadError) as caught:
            download(f"{server}/{path}", tmp_path / "file", **expected)
        assert message in str(caught.value)

    def test_connection_refused(self, tmp_path):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with pytest.raises(DownloadError, match=r"the connection failed \(.*refused"):
            download(f"http://127.0.0.1:{port}/", tmp_path / "file")

    def test_a_target_that_can_not_be_written_is_no_fault_of_the_network(self, server, tmp_path):
        with pytest.raises(FileNotFoundError):
            download(f"{server}/whole", tmp_path / "no folder" / "file")


def make_zip(path: Path, members: dict[str, bytes], *, kind: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (kind | 0o644) << 16
            archive.writestr(info, content)
    return path


def make_tar(path: Path, members: dict[str, bytes], *, kind: bytes = tarfile.REGTYPE) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "etc"
            info.size = len(content) if kind == tarfile.REGTYPE else 0
            archive.addfile(info, io.BytesIO(content))
    return path


MAKERS = pytest.mark.parametrize(("make", "ending"), [(make_zip, ".zip"), (make_tar, ".tar.gz")])


@MAKERS
class TestUnpack:
    def test_only_the_wanted_members_to_the_names_given(self, tmp_path, make, ending):
        members = {"../evil": b"e", "/abs": b"e", "data/a.txt": BODY, "data/b.txt": b"b", "c": b""}
        archive = make(tmp_path / f"x{ending}", members)
        out = tmp_path / "out" / "deeper"
        out.mkdir(parents=True)
        found = unpack(
            archive, {"data/a.txt": out / "mine", "c": out / "empty"}, limit=2 * len(BODY)
        )
        assert (out / "mine").read_bytes() == BODY
        assert (out / "empty").read_bytes() == b""
        assert found["data/a.txt"] == hashlib.sha256(BODY).hexdigest()
        files = {path.name for path in tmp_path.rglob("*") if path.is_file()}
        assert files == {f"x{ending}", "mine", "empty"}

    def test_a_wanted_member_of_a_wicked_name_goes_where_we_say(self, tmp_path, make, ending):
        archive = make(tmp_path / f"x{ending}", {"../evil": b"e"})
        (tmp_path / "out").mkdir()
        unpack(archive, {"../evil": tmp_path / "out" / "tame"}, limit=1 << 20)
        assert not (tmp_path / "evil").exists()
        assert (tmp_path / "out" / "tame").read_bytes() == b"e"

    def test_a_missing_member(self, tmp_path, make, ending):
        archive = make(tmp_path / f"x{ending}", {"a": b"a"})
        with pytest.raises(DownloadError, match="the archive has no member b"):
            unpack(archive, {"a": tmp_path / "a", "b": tmp_path / "b"}, limit=1 << 20)

    def test_a_bomb_is_stopped(self, tmp_path, make, ending):
        archive = make(tmp_path / f"x{ending}", {"zeros": bytes(1 << 24)})
        assert archive.stat().st_size < 1 << 16
        with pytest.raises(DownloadError, match="unpacks to more than 100,000 bytes"):
            unpack(archive, {"zeros": tmp_path / "zeros"}, limit=100_000)
        target = tmp_path / "zeros"
        assert not target.exists() or target.stat().st_size <= 100_000

    def test_damage_is_refused_or_did_no_harm(self, tmp_path, make, ending):
        original = make(tmp_path / f"x{ending}", {"a": BODY[:900], "b": b"text " * 50}).read_bytes()
        chance = random.Random(0)
        damaged = tmp_path / f"damaged{ending}"
        target = tmp_path / "b"
        refused = 0
        for trial in range(300):
            content = bytearray(original)
            if trial % 3 == 0:
                del content[chance.randrange(len(content)) :]
            else:
                content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
            damaged.write_bytes(content)
            try:
                unpack(damaged, {"b": target}, limit=1 << 20)
            except DownloadError:
                refused += 1
            else:
                assert target.read_bytes() == b"text " * 50
        assert refused > 100


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFDIR, stat.S_IFIFO, stat.S_IFCHR])
def test_a_zip_gives_regular_files_only(tmp_path, kind):
    archive = make_zip(tmp_path / "x.zip", {"a": b"/etc/passwd"}, kind=kind)
    with pytest.raises(DownloadError, match="the archive's a is not a regular file"):
        unpack(archive, {"a": tmp_path / "a"}, limit=1 << 20)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_a_tar_gives_regular_files_only(tmp_path, kind):
    archive = make_tar(tmp_path / "x.tar.gz", {"a": b""}, kind=kind)
    with pytest.raises(DownloadError, match="the archive's a is not a regular file"):
        unpack(archive, {"a": tmp_path / "a"}, limit=1 << 20)
    assert not (tmp_path / "a").exists()


def test_a_zip_that_lies_about_its_size_is_refused(tmp_path):
    archive = make_zip(tmp_path / "x.zip", {"zeros": bytes(1 << 20)})
    content = archive.read_bytes().replace(
        (1 << 20).to_bytes(4, "little"), (50).to_bytes(4, "little")
    )
    archive.write_bytes(content)
    with pytest.raises(DownloadError, match="damaged"):
        unpack(archive, {"zeros": tmp_path / "zeros"}, limit=1000)
    assert (tmp_path / "zeros").stat().st_size <= 1000


def test_a_bomb_before_the_wanted_member_of_a_tar_counts_too(tmp_path):
    archive = make_tar(tmp_path / "x.tar.gz", {"zeros": bytes(1 << 24), "a": b"a"})
    with pytest.raises(DownloadError, match="unpacks to more than 100,000 bytes"):
        unpack(archive, {"a": tmp_path / "a"}, limit=100_000)


@pytest.mark.parametrize("ending", [".zip", ".tar.gz"])
@pytest.mark.parametrize(
    "content", [b"", b"<html>Please log in</html>", gzip.compress(b"no tar", mtime=0)]
)
def test_something_else_than_an_archive(tmp_path, ending, content):
    archive = tmp_path / f"x{ending}"
    archive.write_bytes(content)
    with pytest.raises(DownloadError, match=r"damaged|no member"):
        unpack(archive, {"a": tmp_path / "a"}, limit=1 << 20)
