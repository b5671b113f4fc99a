"""Compiled programs are kept between runs, and the time that compiling takes is told."""

import os
import time
from pathlib import Path

import jax
from jax import monitoring

from jaxrec.files import compiled_folder, is_private

_COMPILE_EVENT = "/jax/core/compile/backend_compile_duration"


def keep_compiled(folder: Path | None = None) -> Path | None:
    """Turns on JAX's persistent compilation cache in a folder only the user can write.

    Args:
      folder: where; None for `$JAX_COMPILATION_CACHE_DIR` if set (then JAX's own settings count),
        else `jaxrec/compiled` in the user's cache folder.

    Returns:
      The folder, or None where it isn't safe to use: compiled programs are run, so a folder that
      others could write to is left alone.
    """
    if folder is None:
        if own := os.environ.get("JAX_COMPILATION_CACHE_DIR"):
            return Path(own)
        folder = compiled_folder()
    if not is_private(folder):
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
    return folder


class CompileClock:
    """Adds up the seconds that compiling takes (or reading what was kept) while it is open.

    Attributes:
      seconds: of compiling so far.
      rest: of all else, known when it is closed.
    """

    def __init__(self) -> None:
        """Starts at 0 seconds."""
        self.seconds = self.rest = 0.0

    def __enter__(self) -> "CompileClock":
        self._begin = time.perf_counter()
        monitoring.register_event_duration_secs_listener(self._add)
        return self

    def __exit__(self, *_: object) -> None:
        monitoring.unregister_event_duration_listener(self._add)
        self.rest = max(0.0, time.perf_counter() - self._begin - self.seconds)

    def _add(self, event: str, duration_secs: float, **_: str | int) -> None:
        if event == _COMPILE_EVENT:
            self.seconds += duration_secs
