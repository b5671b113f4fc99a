"""Prepares a history of `histories.write_history`, and is killed as a file is about to appear.

`python -m tests.data.prepared.child HISTORY OUTPUT VISIT WHEN`: by SIGKILL before or after the
file of that number is renamed into place; 0 is never. The fault is planted from outside.
"""

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

from jaxrec.data.meaning import Columns, Filters, Names, Source
from jaxrec.data.prepared import prepare, stage
from jaxrec.data.prepared.stage import Input
from tests.data.prepared.columns import COLUMNS

CHUNK_ROWS, BYTES_PER_ROW = 100, 1 << 20


@contextlib.contextmanager
def _unseen(*_: Any) -> Any:
    class Silent:
        def update(self, advance: int) -> None:
            pass

    yield Silent()


def prepare_history(
    history: Path, output: Path, *, memory_mb: int = 64, names: Path | None = None
) -> dict[str, Any]:
    """Prepares it, with names, known pairs and times; what is said of it."""
    columns = Columns(**COLUMNS, item_name="title")
    given = Input(
        [Source(history, columns)],
        None if names is None else Names(names),
        Filters(drop="skipped == true"),
    )
    return prepare.prepare(given, {}, output, stage.Room(memory_mb), _unseen)


def main(history: str, output: str, visit: str, when: str) -> None:
    """Prepares and dies."""
    stage.CHUNK_ROWS, prepare._BYTES_PER_ROW = CHUNK_ROWS, BYTES_PER_ROW
    replace, visits = os.replace, 0

    def counted(source: Any, target: Any) -> None:
        nonlocal visits
        visits += 1
        if visits == int(visit) and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)
        if visits == int(visit):
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = counted
    prepare_history(Path(history), Path(output))
    print(visits)


if __name__ == "__main__":
    main(*sys.argv[1:])
