"""Fixtures every test may use, and the strictness every test runs under."""

import contextlib
import functools
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from jaxrec.config import RunConfig
from tests.checkerboard import config_of, write_checkerboard
from tests.nursery import Nursery

# The same examples in every run; none are remembered from the last, and no clock decides.
hypothesis.settings.register_profile("same", derandomize=True, database=None, deadline=None)
hypothesis.settings.load_profile("same")

# Begun last, one of these would keep a process busy for minutes while others have nothing left.
LONGEST = ("tests/train/test_mesh.py", "tests/faults/test_kills.py")

_COMPILED = pytest.StashKey[tempfile.TemporaryDirectory[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """What one test has compiled, no other test or process of the same session compiles again."""
    if hasattr(config, "workerinput"):
        return  # has the environment of the process that started it
    config.stash[_COMPILED] = tempfile.TemporaryDirectory(prefix="jaxrec-compiled-")
    os.environ |= {
        "JAX_COMPILATION_CACHE_DIR": config.stash[_COMPILED].name,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        # Two processes share an accelerator, where there is one.
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    }


def pytest_unconfigure(config: pytest.Config) -> None:
    if _COMPILED in config.stash:
        config.stash[_COMPILED].cleanup()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """Starts the command in milliseconds."""
    with contextlib.closing(Nursery(tmp_path_factory.mktemp("nursery"))) as made:
        yield made


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real data beside the checkout; tests that need it skip without it."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"real data not found: expected the folder {folder}")
    return folder


@pytest.fixture
def checkerboard(tmp_path: Path) -> Path:
    """A small listening history, to be changed by the test."""
    return write_checkerboard(tmp_path / "listens.csv")


@pytest.fixture
def checkerboard_config(checkerboard: Path) -> Callable[..., RunConfig]:
    """Makes configurations for the checkerboard."""
    return functools.partial(config_of, checkerboard)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run trained on the checkerboard, whose data are gone; not to be changed."""
    from jaxrec import commands  # brings JAX, which reads the environment above when it is imported

    folder = tmp_path_factory.mktemp("trained")
    path = write_checkerboard(folder / "listens.csv")
    commands.train(config_of(path), folder / "run")
    path.unlink()
    return folder / "run"
