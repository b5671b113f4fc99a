"""Fixtures every test may use, and the strictness every test runs under."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.nursery import Nursery

# The same examples in every run; none are remembered from the last.
hypothesis.settings.register_profile("same", derandomize=True, database=None)
hypothesis.settings.load_profile("same")

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
