"""What every request passes before it is read: sizes, time, the key; counted and logged.

The log has method, route, status and milliseconds, nothing of what was asked: a history is nobody
else's business.
"""

import asyncio
import hmac
import json
import logging
import time
from collections.abc import Sequence
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jaxrec.serve.telemetry import Telemetry

LOG = logging.getLogger("jaxrec.serve.requests")
LARGEST_BODY = 2**20  # bytes
BODY_SECONDS = 10.0  # in which it must have come
MOST_AT_ONCE = 128  # requests
OPEN = ("/", "/health", "/docs", "/openapi.json")  # without a key, and all below these:
OPEN_FOLDERS = ("/page/", "/static-offline-docs/")
_OF_PAGE = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# Swagger's page has a script and styles within it.
_OF_DOCS = _OF_PAGE.replace("src 'self';", "src 'self' 'unsafe-inline';", 2)


class Refusal(Exception):
    """A request that isn't answered, with its status and why."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers


def error_body(message: str, field: str | None = None) -> bytes:
    """The body of any answer but 200."""
    return json.dumps({"error": {"message": message, "field": field}}).encode()


class Gate:
    """The outermost application: see above.

    Args:
      app: what answers.
      keys: one of which a request must bring; none: anybody may ask.
      telemetry: what counts.
      body_seconds: in which a body must have come.
    """

    def __init__(
        self, app: ASGIApp, keys: Sequence[str], telemetry: Telemetry, body_seconds: float
    ) -> None:
        self._app, self._telemetry, self._body_seconds = app, telemetry, body_seconds
        self._keys = [key.encode() for key in keys]
        self._at_once = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the application's start and end."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin, status = time.perf_counter(), 500
        started = False

        async def answer(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
                message["headers"] = [*message["headers"], *_headers(scope["path"], message)]
            await send(message)

        self._at_once += 1
        try:
            self._check(scope)
            body = await self._body(scope, receive)
            await self._app(scope, _replaying(body, receive), answer)
        except Refusal as refusal:
            await _refuse(refusal, answer)
        except Exception:
            LOG.exception("%s %s failed", scope["method"], _route(scope))
            if not started:
                await _refuse(Refusal(500, "the service failed; its log says how"), answer)
        finally:
            self._at_once -= 1
            seconds = time.perf_counter() - begin
            self._telemetry.count(_route(scope), scope["method"], status, seconds)
            LOG.info("%s %s %d %.1f ms", scope["method"], _route(scope), status, 1000 * seconds)

    def _check(self, scope: Scope) -> None:
        """Raises Refusal where too many ask at once, or the key is missing or wrong."""
        if self._at_once > MOST_AT_ONCE:
            raise Refusal(
                429, "too many requests at once; expected another try", **{"retry-after": "1"}
            )
        path = scope["path"]
        if not self._keys or path in OPEN or path.startswith(OPEN_FOLDERS):
            return
        kind, _, given = _header(scope, b"authorization").partition(b" ")
        fitting = [hmac.compare_digest(given.strip(), key) for key in self._keys]
        if kind.lower() != b"bearer" or not any(fitting):
            raise Refusal(
                401,
                "the key is missing or wrong; expected the header Authorization: Bearer KEY",
                **{"www-authenticate": "Bearer"},
            )

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """The whole body.

        Raises:
          Refusal: it is too large or too slow, or the asker has left.
        """
        too_large = Refusal(
            413,
            f"the body is too large; expected at most {LARGEST_BODY:,} bytes",
            connection="close",
        )
        told = _header(scope, b"content-length")
        if told.isdigit() and int(told) > LARGEST_BODY:
            raise too_large
        parts, size, more = [], 0, True
        try:
            async with asyncio.timeout(self._body_seconds):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Refusal(400, "the body was cut short; expected all of it")
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    more = message.get("more_body", False)
                    if size > LARGEST_BODY:
                        raise too_large
        except TimeoutError as error:
            raise Refusal(
                408,
                f"the body is too slow; expected all of it within {self._body_seconds:g} s",
                connection="close",
            ) from error
        return b"".join(parts)


def _replaying(body: bytes, receive: Receive) -> Receive:
    """A body that has been read, for whoever reads it next."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()  # tells when the asker leaves
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def _refuse(refusal: Refusal, send: Send) -> None:
    body = error_body(str(refusal))
    headers = [(name.encode(), each.encode()) for name, each in refusal.headers.items()]
    headers += [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _headers(path: str, message: Message) -> list[tuple[bytes, bytes]]:
    """What every answer has beside its own headers."""
    policy = _OF_DOCS if path == "/docs" else _OF_PAGE
    cached = any(name.lower() == b"etag" for name, _ in message["headers"])
    return [
        (b"content-security-policy", policy.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        (b"cache-control", b"no-cache" if cached else b"no-store"),
    ]


def _header(scope: Scope, name: bytes) -> bytes:
    found: dict[bytes, bytes] = dict(scope["headers"])
    return found.get(name, b"")


def _route(scope: Scope) -> str:
    """The route that answered, not the path that was asked for."""
    route: Any = scope.get("route")
    return str(getattr(route, "path", "other"))
