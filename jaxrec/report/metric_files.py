"""The figures of each epoch, kept as lines of JSON and as TensorBoard events."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from tensorboardX import SummaryWriter

from jaxrec.errors import UserError
from jaxrec.files import replacing

FILE_NAME = "metrics.jsonl"
FOLDER_NAME = "tensorboard"


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Reads the rows of a `metrics.jsonl`, oldest first; none where there is no file.

    A last line that was cut short, as when a run is killed while it writes, is left out.

    Raises:
      UserError: a line isn't a row; the message names file and line.
    """
    if not path.exists():
        return []
    *lines, cut_short = path.read_bytes().split(b"\n")
    del cut_short  # empty where the last line is whole
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict) or not isinstance(row.get("epoch"), int):
            raise UserError(
                f'{path}:{number}: not a row of metrics; expected JSON such as {{"epoch": 1, '
                '"loss": 0.5}'
            )
        rows.append(row)
    return rows


class MetricLog:
    """Appends a row per epoch to `metrics.jsonl` and to `tensorboard/` in a run's folder.

    A context manager, since the files stay open in between.

    Attributes:
      path: the `metrics.jsonl`.
    """

    def __init__(self, workdir: Path, resume_epoch: int = 0) -> None:
        """Opens the log to go on after an epoch; rows of later epochs are dropped.

        Args:
          workdir: the run's folder; exists.
          resume_epoch: number of epochs already done; 0 starts anew.

        Raises:
          UserError: the file there holds something else than rows of metrics.
        """
        self.path = workdir / FILE_NAME
        kept = [row for row in read_metrics(self.path) if row["epoch"] <= resume_epoch]
        with replacing(self.path) as temporary:
            temporary.write_text("".join(map(_line, kept)), encoding="utf-8")
        self._rows = kept
        self._file = self.path.open("a", encoding="utf-8", newline="\n")
        # The suffix keeps two writers that open within a second from sharing a file.
        self._events = SummaryWriter(
            str(workdir / FOLDER_NAME),
            purge_step=resume_epoch + 1,
            filename_suffix=f".{os.getpid()}.{resume_epoch}",
        )

    def append(self, row: Mapping[str, Any]) -> None:
        """Adds an epoch's row; it is on disk when this returns.

        Args:
          row: `epoch` (int, from 1), and any other values that JSON can hold. Numbers become
            TensorBoard scalars too, with the epoch as their step.

        Raises:
          ValueError: a value is NaN or infinite.
        """
        line = _line(row)
        self._file.write(line)
        self._file.flush()
        self._rows.append(dict(row))
        for name, value in row.items():
            if name != "epoch" and isinstance(value, int | float) and math.isfinite(value):
                self._events.add_scalar(name, value, row["epoch"])
        self._events.flush()

    def history(self) -> list[dict[str, Any]]:
        """The rows so far, those kept from before included, oldest first."""
        return [dict(row) for row in self._rows]

    def close(self) -> None:
        """Closes the files."""
        self._file.close()
        self._events.close()

    def __enter__(self) -> "MetricLog":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"
