"""One measurement in a process of its own: `python -m benchmarks.worker REQUEST RESULT`.

The request names a module of `benchmarks.subjects` and one of its functions; the function's
figures, the versions and the process's peak memory are written as JSON. Runs on Python 3.11 and
with whatever is installed beside the subject.
"""

import importlib
import importlib.metadata
import json
import platform
import sys
from pathlib import Path

from benchmarks.measuring import resident_mb


def main(request_path: str, result_path: str) -> None:
    """Does what the request says and writes the result."""
    request = json.loads(Path(request_path).read_text(encoding="utf-8"))
    # RecBole reads the command line as its configuration.
    del sys.argv[1:]
    subject = importlib.import_module(f"benchmarks.subjects.{request['module']}")
    figures = getattr(subject, request["section"])(request)
    versions = {name: importlib.metadata.version(name) for name in subject.PACKAGES}
    result = {
        "figures": {"peak_mb": resident_mb(peak=True), **figures},
        "versions": {"python": platform.python_version(), **versions},
    }
    Path(result_path).write_text(json.dumps(result, allow_nan=False), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
