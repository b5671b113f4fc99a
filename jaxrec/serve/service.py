"""Runs the service in this process until it is told to stop."""

import logging
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import uvicorn
from threadpoolctl import threadpool_limits

from jaxrec.errors import UserError
from jaxrec.serve.app import make_app

GRACE_SECONDS = 10  # for the requests under way, after SIGTERM
IDLE_SECONDS = 75  # that a connection stays open without a request
LOOPBACK = ("127.0.0.1", "::1", "localhost")
SHORTEST_KEY = 16  # characters


def serve(
    bundle: Path, *, host: str, port: int, api_key_file: Path | None, say: Callable[[str], None]
) -> None:
    """Serves a bundle; SIGTERM and Ctrl+C end it once the requests under way are answered.

    Args:
      bundle: the folder of the bundle, or a link to one.
      host: the address to listen at.
      port: 0 for any that is free.
      api_key_file: a file with the keys; None: anybody may ask.
      say: told where the service is.

    Raises:
      UserError: the bundle, the keys or the address can't be used.
    """
    keys = [] if api_key_file is None else read_keys(api_key_file)
    # A product with a vector takes a tenth of a millisecond: with several threads each, requests
    # that are answered at once would wait for one another.
    threadpool_limits(limits=1, user_api="blas")
    app = make_app(bundle, keys=keys)
    with _listening(host, port) as listening:
        address, port = listening.getsockname()[:2]
        shown = f"[{address}]" if ":" in address else address
        if host not in LOOPBACK and not keys:
            say(f"anybody who can reach {host} may ask; --api_key_file says who may")
        say(f"http://{shown}:{port} answers; Ctrl+C ends it")
        _log_to_stderr()
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        for each in (signal.SIGTERM, signal.SIGINT):  # which uvicorn heeds, and raises again then
            signal.signal(each, lambda *_: None)
        uvicorn.Server(config).run(sockets=[listening])


def read_keys(path: Path) -> list[str]:
    """The keys in a file, one a line: several, so that one can be exchanged without a gap.

    Raises:
      UserError: there are none, or one is short or has characters that no header can hold.
    """
    try:
        keys = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--api_key_file={path}: {error}; expected a file with a key") from error
    keys = [key.strip() for key in keys if key.strip()]
    if not keys:
        raise UserError(f"--api_key_file={path}: no key in it; expected one per line")
    for number, key in enumerate(keys, start=1):
        if len(key) < SHORTEST_KEY or not key.isascii() or not key.isprintable() or " " in key:
            raise UserError(
                f"--api_key_file={path}: key {number} can't be used; expected {SHORTEST_KEY} or "
                "more letters, digits and signs, such as `openssl rand -hex 32` prints"
            )
    return keys


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except (OSError, OverflowError) as error:
        raise UserError(
            f"--host={host} --port={port}: {error}; expected an address of this machine and a port "
            "that is free"
        ) from error


def _log_to_stderr() -> None:
    logging.basicConfig(
        stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s", force=True
    )
    logging.getLogger("jaxrec.serve").setLevel(logging.INFO)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
