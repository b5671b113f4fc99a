"""The service as a process: where it listens, how it stops, what it makes of slow askers."""

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import load
from jaxrec.errors import UserError
from jaxrec.serve.bundle import bundle_id, write_bundle
from jaxrec.serve.service import read_keys, serve
from tests.nursery import ROOT
from tests.serve.bundles import small_bundle

# Serves with a shorter patience than people get.
SHORT = """
import sys
sys.modules["jax"] = None
from jaxrec.serve import app
app.BODY_SECONDS, app.WATCH_SECONDS = 0.5, 1000
app.make_app.__kwdefaults__.update(body_seconds=0.5, watch_seconds=1000)
from jaxrec.main import main
sys.exit(main())
"""


class Service:
    """A running service."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self.log = folder.with_name("log")
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", SHORT, "serve", f"--bundle={folder}", "--port=0", *flags],
                cwd=ROOT,
                stderr=log,
            )
        found, begin = None, time.monotonic()
        while found is None:
            assert self.process.poll() is None and time.monotonic() - begin < 60, self.said()
            time.sleep(0.01)
            found = re.search(r"http://127\.0\.0\.1:(\d+) answers", self.said())
        self.port = int(found[1])

    def said(self) -> str:
        return self.log.read_text()

    def ask(self, path: str, body: Any = None) -> dict[str, Any]:
        asked = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            None if body is None else json.dumps(body).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(asked, timeout=30) as answer:
            found: dict[str, Any] = json.loads(answer.read())
            return found

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(30)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("service") / "bundle"
    write_bundle(folder, small_bundle())
    return folder


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[Service]:
    running = Service(folder)
    yield running
    running.stop()


def begun(service: Service, length: int) -> socket.socket:
    """A request whose body is to be so long, with the first byte of it."""
    asking = service.connect()
    asking.sendall(
        b"POST /recommend HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n\r\n{" % length
    )
    return asking


def test_it_answers_on_the_loopback_without_jax(service: Service) -> None:
    assert service.ask("/health")["status"] == "ok"
    assert service.ask("/recommend", {"listener": "ann", "k": 1})["songs"]


def test_a_body_that_comes_too_slowly_is_refused_and_the_connection_closed(
    service: Service,
) -> None:
    with begun(service, 100) as asking:
        answer = b""
        while part := asking.recv(4096):
            answer += part
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"the body is too slow; expected all of it within 0.5 s" in answer
    assert service.ask("/health")


def test_a_connection_that_is_cut_is_nothing_to_the_others(service: Service) -> None:
    begun(service, 100).close()
    with service.connect() as asking:
        asking.sendall(b"\x00\xff nonsense\r\n\r\n")
        assert asking.recv(100).startswith(b"HTTP/1.1 400 ")
    assert service.ask("/health")


def test_sighup_makes_it_look_for_a_new_bundle(service: Service, folder: Path) -> None:
    write_bundle(folder, small_bundle(note="new"))
    service.process.send_signal(signal.SIGHUP)
    begin = time.monotonic()
    while service.ask("/health")["bundle"] != bundle_id(folder):
        assert time.monotonic() - begin < 30
        time.sleep(0.01)


def test_the_load_test_counts_what_fails(service: Service) -> None:
    whole, unknown = ({"listener": who} for who in ("ann", "nobody"))
    bodies = [json.dumps(each).encode() for each in (whole, unknown)]
    taken = asyncio.run(load.ask_at_a_rate(service.port, bodies, rate=100, seconds=0.4))
    assert np.isfinite(taken).tolist() == [True, False] * 20
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert np.isinf(asyncio.run(load.ask_at_a_rate(port, bodies, rate=100, seconds=0.1))).all()


def test_a_port_that_is_taken_is_an_error_with_the_way_on(service: Service, folder: Path) -> None:
    with pytest.raises(UserError, match=rf"--port={service.port}: .*a port that is free"):
        serve(folder, host="127.0.0.1", port=service.port, api_key_file=None, say=print)


def test_a_request_under_way_is_answered_before_it_ends(folder: Path) -> None:
    service = Service(folder)
    asked = json.dumps({"listener": "ann"}).encode()
    with begun(service, len(asked)) as asking:
        service.ask("/health")  # by then the request above is under way
        service.process.terminate()
        time.sleep(0.1)
        asking.sendall(asked[1:])
        answer = asking.recv(100_000)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert service.stop() == 0
    assert "Traceback" not in service.said()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file"),
        ("", "no key in it; expected one per line"),
        ("long-enough-for-a-key\nshort", "key 2 can't be used"),
        ("a key with blanks in it", "key 1 can't be used; expected 16 or more letters"),
        ("schlüssel-von-mir-1", "key 1 can't be used"),
    ],
)
def test_keys_that_can_not_be_used_are_refused(
    tmp_path: Path, text: str | None, message: str
) -> None:
    path = tmp_path / "keys"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_keys(path)


def test_a_file_has_a_key_per_line(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("first-key-of-the-two\r\n\nsecond-key-of-the-two\n")
    assert read_keys(tmp_path / "keys") == ["first-key-of-the-two", "second-key-of-the-two"]
