"""The routes of the service."""

import asyncio
import contextlib
import mimetypes
import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import anyio.to_thread
from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, Response
from fastapi.security import HTTPBearer
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from jaxrec.serve import answers
from jaxrec.serve.answers import Answer, NotFound, Unsuitable
from jaxrec.serve.gate import BODY_SECONDS, Gate, error_body
from jaxrec.serve.requests import (
    LONGEST_TEXT,
    BatchAnswer,
    BatchRequest,
    ErrorAnswer,
    ExplainAnswer,
    ExplainRequest,
    HealthAnswer,
    MatchAnswer,
    MatchRequest,
    ModelAnswer,
    RecommendAnswer,
    RecommendRequest,
    SearchAnswer,
    SimilarAnswer,
    SimilarRequest,
)
from jaxrec.serve.served import Served
from jaxrec.serve.telemetry import CONTENT_TYPE, Telemetry

VERSION = "1"  # of the routes and their forms
PAGE = Path(__file__).parent / "page"
THREADS = 1  # that answers: several would take Python's interpreter from one another
WATCH_SECONDS = 5.0  # between two looks for a new bundle


def make_app(
    bundle: Path,
    *,
    keys: Sequence[str] = (),
    watch_seconds: float = WATCH_SECONDS,
    body_seconds: float = BODY_SECONDS,
) -> ASGIApp:
    """The whole service, for any ASGI server.

    Args:
      bundle: the folder of the bundle, or a link to one.
      keys: one of which a request must bring; none: anybody may ask.
      watch_seconds: between two looks for a new bundle; SIGHUP makes it look at once.
      body_seconds: in which a request's body must have come.

    Raises:
      UserError: there is no bundle, or a damaged one.
    """
    telemetry = Telemetry()
    served = Served(bundle, telemetry.reloaded)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        del app
        anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
        at_once = asyncio.Event()
        with contextlib.suppress(ValueError, RuntimeError):  # not in the main thread, as in a test
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, at_once.set)
        watching = asyncio.create_task(served.watch(watch_seconds, at_once))
        yield
        watching.cancel()

    app = FastAPIOffline(
        title="jaxrec",
        version=VERSION,
        description="Lists of songs for listeners and histories, and why.",
        redoc_url=None,
        lifespan=lifespan,
        dependencies=[Depends(HTTPBearer(auto_error=False))] if keys else [],
        responses={
            status: {"model": ErrorAnswer, "description": meaning}
            for status, meaning in _ERRORS.items()
        },
    )
    _add_errors(app)
    _add_routes(app, served, telemetry)
    _add_page(app)
    return Gate(app, keys, telemetry, body_seconds)


_ERRORS: dict[int | str, str] = {
    400: "no JSON, or nested too deep",
    401: "the key is missing or wrong",
    404: "the model doesn't know the listener or the song",
    408: "the body came too slowly",
    413: "the body is too large",
    422: "a field is wrong",
    429: "too many requests at once",
}


def _add_routes(app: FastAPI, served: Served, telemetry: Telemetry) -> None:
    @app.get("/health", response_model=HealthAnswer)
    async def health() -> Response:
        """Whether the service answers."""
        return _json({"status": "ok", "bundle": served.scorer.bundle_id})

    @app.get("/model", response_model=ModelAnswer)
    async def model() -> Response:
        """What the bundle is, and how good it was found."""
        return _json(served.scorer.describe())

    @app.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def metrics() -> Response:
        """Figures for Prometheus."""
        return Response(telemetry.page(served.scorer.bundle_id), media_type=CONTENT_TYPE)

    @app.get("/search", response_model=SearchAnswer)
    def search(
        q: Annotated[str, Query(min_length=1, max_length=200)],
        limit: Annotated[int, Query(ge=1, le=50)] = 10,
    ) -> Response:
        """Songs by words of title and artist."""
        return _json(answers.search(served.scorer, q, limit))

    @app.post("/recommend", response_model=RecommendAnswer)
    def recommend(asked: RecommendRequest) -> Response:
        """A list for a listener of the model, or for anybody's history."""
        return _json(answers.recommend(served.scorer, asked))

    @app.post("/recommend/batch", response_model=BatchAnswer)
    def recommend_batch(asked: BatchRequest) -> Response:
        """Several lists."""
        return _json(answers.recommend_batch(served.scorer, asked))

    @app.post("/explain", response_model=ExplainAnswer)
    def explain(asked: ExplainRequest) -> Response:
        """What each song of a history contributes to a song's score."""
        return _json(answers.explain(served.scorer, asked))

    @app.post("/similar", response_model=SimilarAnswer)
    def similar(asked: SimilarRequest) -> Response:
        """Songs like a song."""
        return _json(answers.similar(served.scorer, asked))

    @app.post("/match", response_model=MatchAnswer)
    def match(asked: MatchRequest) -> Response:
        """The songs that rows of an export of listens mean."""
        return _json(answers.match(served.scorer, asked))


def _add_page(app: FastAPI) -> None:
    # A browser refuses a script of another type, and machines differ in what they call one.
    mimetypes.add_type("text/javascript", ".js")
    mimetypes.add_type("image/svg+xml", ".svg")

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(PAGE / "index.html")

    app.mount("/page", StaticFiles(directory=PAGE, check_dir=False))


def _add_errors(app: FastAPI) -> None:
    """Every error has one form."""

    @app.exception_handler(NotFound)
    async def not_found(request: Request, error: NotFound) -> Response:
        del request
        return _error(404, str(error), error.field)

    @app.exception_handler(Unsuitable)
    async def unsuitable(request: Request, error: Unsuitable) -> Response:
        del request
        return _error(422, str(error), error.field)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        del request
        first = error.errors()[0]
        status = 400 if first["type"] == "json_invalid" else 422
        return _error(status, _message(first), None if status == 400 else _field(first["loc"]))

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        del request
        answer = _error(error.status_code, str(error.detail))
        answer.headers.update(error.headers or {})
        return answer


_OF_AN_ID = ("int", "str", "constrained-int", "constrained-str")  # what a union's member is called


def _message(error: Any) -> str:
    """What is wrong with a field, in a line, without what was given: that may be anything."""
    if error["type"] == "json_invalid":
        return f"the body is no JSON ({error.get('ctx', {}).get('error', 'unreadable')})"
    if error["loc"][-1] in _OF_AN_ID:
        return f"expected an id: text of at most {LONGEST_TEXT:,} characters, or a whole number"
    return str(error["msg"]).removeprefix("Value error, ")


def _field(place: Sequence[int | str]) -> str | None:
    """A place such as `history[3].plays`, without where a union's member is tried."""
    text = ""
    for part in place[1:]:  # the first says body or query
        if isinstance(part, int):
            text += f"[{part}]"
        elif part not in _OF_AN_ID:
            text += f".{part}"
    return text.removeprefix(".") or None


def _error(status: int, message: str, field: str | None = None) -> Response:
    return Response(error_body(message, field), status, media_type="application/json")


def _json(answer: Answer) -> Response:
    return Response(to_json(answer), media_type="application/json")
