"""A service and a browser that looks at its page."""

import contextlib
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.configurations import config_with

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SECONDS = 30.0  # for anything that the page is to do


class Watched:
    """What a page asked for, and what it complained of."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.requests: list[Any] = []
        self.complaints: list[str] = []

    def watch(self, page: Any) -> None:
        page.on("request", lambda request: self.requests.append(request))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._heard)

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def sent(self, path: str) -> list[Any]:
        """The bodies that were sent to a route."""
        return [each.post_data_json for each in self.requests if each.url.endswith(path)]

    def outside(self) -> list[str]:
        """The requests that went elsewhere than to the service."""
        ours = urlsplit(self.address).netloc
        urls = [each.url for each in self.requests]
        return [url for url in urls if urlsplit(url).netloc != ours and not url.startswith("data:")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One for a module: while it is open, nothing else here may run an event loop."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="no browser: requirements-browser.txt is not installed"
    )
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is on PATH")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=found)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Callable[..., Any]]:
    """Opens the page as a new visitor; in the end it asked nobody else, nor complained."""
    watches = []
    with contextlib.ExitStack() as stack:

        def opened(at: str = address, **options: Any) -> Any:
            context = stack.enter_context(contextlib.closing(browser.new_context(**options)))
            page = context.new_page()
            page.set_default_timeout(1000 * SECONDS)
            page.watched = Watched(at)
            page.watched.watch(page)
            watches.append(page.watched)
            page.goto(at)
            return page

        yield opened
    for each in watches:
        assert each.requests
        assert not each.outside()
        assert not each.complaints


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the default run's listens, by a method that is fitted at once."""
    from jaxrec import commands

    folder = tmp_path_factory.mktemp("page")
    commands.train(config_with(method="itemknn"), folder / "run")
    commands.export(folder / "run", output=folder / "bundle", step=None)
    return folder / "bundle"


@pytest.fixture(scope="module")
def address(bundle: Path) -> Iterator[str]:
    """Where a service answers anybody."""
    with serving(bundle) as address:
        yield address


@pytest.fixture(scope="module")
def guarded(bundle: Path) -> Iterator[tuple[str, str]]:
    """Where a service wants a key, and the key."""
    key = "a-key-that-is-long-enough"
    with serving(bundle, keys=[key]) as address:
        yield address, key


@contextlib.contextmanager
def serving(bundle: Path, **options: Any) -> Iterator[str]:
    """Runs a service in a thread of its own."""
    import uvicorn

    from jaxrec.serve.app import make_app

    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(make_app(bundle, **options), log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        server.should_exit = True
        thread.join(SECONDS)
