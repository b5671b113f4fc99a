"""The figures of each epoch, kept as lines of JSON and as TensorBoard events."""

import contextlib
import json
import math
import os
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import RecordWriter
from tensorboardX.summary import scalar

from jaxrec.files import replacing

FILE_NAME = "metrics.jsonl"
FOLDER_NAME = "tensorboard"


class MetricLog:
    """Appends a row per epoch to `metrics.jsonl` and to `tensorboard/` in a run's folder.

    A context manager, since the files stay open in between.

    Attributes:
      path: the `metrics.jsonl`; None where the rows are kept in memory alone.
    """

    def __init__(self, workdir: Path | None, history: Sequence[Mapping[str, Any]] = ()) -> None:
        """Opens the log to go on after some epochs; the file then holds their rows only.

        Args:
          workdir: the run's folder, which exists; None to keep the rows in memory alone.
          history: the rows of the epochs already done; none starts anew.
        """
        self._rows = [dict(row) for row in history]
        self.path = None if workdir is None else workdir / FILE_NAME
        self._files = None if workdir is None else _Files(workdir, self._rows)

    def append(self, row: Mapping[str, Any]) -> None:
        """Adds an epoch's row; it is on disk when this returns.

        Args:
          row: `epoch` (int, from 1), and any other values that JSON can hold. Numbers become
            TensorBoard scalars too, with the epoch as their step.

        Raises:
          ValueError: a value is NaN or infinite.
        """
        line = _line(row)
        if self._files is not None:
            self._files.write(line)
        self._rows.append(dict(row))
        if self._files is not None:
            self._files.events.append(row)

    def history(self) -> list[dict[str, Any]]:
        """The rows so far, those kept from before included, oldest first."""
        return [dict(row) for row in self._rows]

    def close(self) -> None:
        """Closes the files."""
        if self._files is not None:
            self._files.close()

    def __enter__(self) -> "MetricLog":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class _Files:
    """The two places of the rows, open."""

    def __init__(self, workdir: Path, rows: Sequence[Mapping[str, Any]]) -> None:
        path = workdir / FILE_NAME
        with replacing(path) as temporary:
            temporary.write_text("".join(map(_line, rows)), encoding="utf-8")
        self._lines = path.open("a", encoding="utf-8", newline="\n")
        try:
            self.events = _EventFile(workdir / FOLDER_NAME, first_epoch=len(rows) + 1)
        except OSError:
            self._lines.close()
            raise

    def write(self, line: str) -> None:
        """Adds a line; it is on disk when this returns."""
        self._lines.write(line)
        self._lines.flush()
        os.fsync(self._lines.fileno())

    def close(self) -> None:
        with contextlib.closing(self.events):
            self._lines.close()


class _EventFile:
    """The rows as events for TensorBoard, in a new file; what others say of later epochs is void.

    Written here and now: tensorboardX's own writer does it in a thread, whose errors get lost.
    """

    def __init__(self, folder: Path, first_epoch: int) -> None:
        folder.mkdir(exist_ok=True)
        now = int(time.time())
        # What follows the time keeps two writers that open within a second from sharing a file.
        name = f"events.out.tfevents.{now}.{socket.gethostname()}.{os.getpid()}.{first_epoch}"
        self._writer = RecordWriter(str(folder / name))
        self._write(Event(wall_time=now, file_version="brain.Event:2"))
        start = SessionLog(status=SessionLog.START)
        self._write(Event(wall_time=now, step=first_epoch, session_log=start))

    def append(self, row: Mapping[str, Any]) -> None:
        """Adds a row's numbers; they are on disk when this returns."""
        for name, value in row.items():
            if name != "epoch" and isinstance(value, int | float) and math.isfinite(value):
                event = Event(wall_time=time.time(), step=row["epoch"], summary=scalar(name, value))
                self._write(event)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()

    def _write(self, event: Event) -> None:
        self._writer.write(event.SerializeToString())


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"
