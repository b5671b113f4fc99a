"""What a person sees: notes, a progress bar, a row per epoch, tables.

On a terminal with colours and a moving bar; anywhere else as plain aligned lines.
"""

import contextlib
import math
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Protocol, TextIO

import rich.console
from rich import progress as bars
from rich.table import Column, Table
from rich.text import Text

from jaxrec.errors import printable

Value = str | int | float | None

# Plain lines say how far an epoch has got at most this often.
PLAIN_SECONDS = 60.0
# Room for a title in a sample; two fit beside each other.
MAX_CELL = 60


class Progress(Protocol):
    """A piece of work under way."""

    def update(self, advance: int, **fields: float) -> None:
        """Says that `advance` more units are done, and figures to show, such as `loss=0.5`."""


class Console:
    """Writes to a person, or to a log where there is no terminal.

    Args:
      quiet: write warnings only.
      stream: where to write; standard output by default, with warnings on standard error.
    """

    def __init__(self, quiet: bool = False, stream: TextIO | None = None) -> None:
        self._quiet = quiet
        self._warnings = stream
        out = sys.stdout if stream is None else stream
        self._terminal = out.isatty() and os.environ.get("TERM") != "dumb"
        if hasattr(out, "reconfigure"):
            out.reconfigure(errors="replace")  # a title that the terminal can't show is no error
        self._out = rich.console.Console(
            file=out,
            force_terminal=self._terminal,
            force_jupyter=False,
            width=None if self._terminal else 10_000,
            color_system="auto" if self._terminal else None,
            markup=False,
            emoji=False,
            highlight=False,
        )
        self._epoch_columns: list[str] = []

    def note(self, text: str) -> None:
        """Writes a line, or several."""
        for line in text.split("\n"):
            self._line(line)

    def warning(self, text: str) -> None:
        """Writes a line, or several, seen even when quiet."""
        stream = sys.stderr if self._warnings is None else self._warnings
        for line in f"warning: {text}".split("\n"):
            print(printable(line), file=stream, flush=True)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[Value]]) -> None:
        """Writes a title and aligned rows; columns of numbers are aligned to the right."""
        if self._quiet:
            return
        numeric = [all(not isinstance(row[i], str) for row in rows) for i in range(len(columns))]
        table = Table(
            *(
                Column(
                    printable(name),
                    justify="right" if is_number else "left",
                    no_wrap=True,
                    overflow="ellipsis",
                )
                for name, is_number in zip(columns, numeric, strict=True)
            ),
            box=None,
            pad_edge=False,
            padding=(0, 2, 0, 0),
            header_style="dim",
        )
        for row in rows:
            table.add_row(*(Text(format_value(value)) for value in row))
        self._line("")
        self._line(title, style="bold")
        if self._terminal:
            self._out.print(table)
            return
        with self._out.capture() as capture:
            self._out.print(table)
        for line in capture.get().splitlines():
            self._line(line.rstrip())

    def epoch_row(self, row: Mapping[str, Value]) -> None:
        """Writes an epoch's figures as an aligned line, below those of the epochs before.

        The names of the columns are written above the first, and again if a new one comes up.
        """
        if not set(row) <= set(self._epoch_columns):
            self._epoch_columns = list(dict.fromkeys([*self._epoch_columns, *row]))
            self._line("  ".join(name.rjust(8) for name in self._epoch_columns), style="dim")
        self._line(
            "  ".join(
                format_value(row.get(name)).rjust(max(8, len(name))) for name in self._epoch_columns
            )
        )

    @contextlib.contextmanager
    def progress(
        self, total: int | None, description: str, unit: str = "edges"
    ) -> Iterator[Progress]:
        """Shows how far a piece of work is, of `total` units where known, until the block ends."""
        if self._quiet:
            yield _Silent()
        elif not self._terminal:
            yield _PlainLines(self, total, description, unit)
        else:
            bar = bars.Progress(
                bars.TextColumn("{task.description}", style="bold"),
                bars.BarColumn(bar_width=None),
                bars.TaskProgressColumn(),
                _Figures(unit),
                bars.TimeRemainingColumn(compact=True),
                bars.TextColumn("left"),
                console=self._out,
                transient=True,
                refresh_per_second=5,
                expand=True,
            )
            with bar:
                yield _Bar(bar, bar.add_task(printable(description), total=total))

    def results(self, title: str, figures: Mapping[str, Mapping[str, Sequence[float]]]) -> None:
        """Writes figures side by side, such as the model's beside the most-popular list's.

        Args:
          title: what was measured, and on whom.
          figures: by column, then by metric: (value,), or (value, low, high) with its interval.
        """
        metrics = list(dict.fromkeys(name for column in figures.values() for name in column))
        rows = [
            [name, *(_interval(column.get(name, ())) for column in figures.values())]
            for name in metrics
        ]
        self.table(title, ["", *figures], rows)

    def sample(
        self,
        listener: str,
        listened: Sequence[str],
        recommended: Sequence[str],
        again: Sequence[str] | None = None,
    ) -> None:
        """Writes what a listener listened to beside what is recommended, best first.

        Args:
          listener: whose they are.
          listened: the most played.
          recommended: what is new for them.
          again: of what they know, what they may like to hear again; None for nothing said of it.
        """
        columns = ["listened to", "recommended"]
        lists = [recommended]
        if again is not None:
            columns, lists = ["listened to", "new for you", "again"], [recommended, again]
        numbered = [
            [f"{rank}. {label}" for rank, label in enumerate(labels, start=1)] for labels in lists
        ]
        rows = list(
            zip_longest(*(map(_clip, each) for each in (listened, *numbered)), fillvalue="")
        )
        self.table(f"Listener {listener}", columns, rows)

    def files(self, paths: Mapping[Path, str]) -> None:
        """Writes the path of each file, whole, and what it holds."""
        width = max((len(str(path)) for path in paths), default=0)
        self._line("")
        self._line("Written", style="bold")
        for path, content in paths.items():
            self._line(f"{str(path).ljust(width)}  {content}")

    def _line(self, text: str, style: str = "") -> None:
        if not self._quiet:
            self._out.print(Text(printable(text), style=style), soft_wrap=True)


def format_value(value: Value) -> str:
    """A figure as a person reads it: 1,234, 0.1234, 1.2e-06; "-" where there is none."""
    if isinstance(value, str | bool):
        return printable(str(value))
    if value is None or math.isnan(value):
        return "-"
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.4f}" if value == 0 or abs(value) >= 5e-4 else f"{value:.1e}"


def _interval(figure: Sequence[float]) -> str:
    if len(figure) == 3:
        value, low, high = map(format_value, figure)
        return f"{value} [{low}, {high}]"
    return format_value(figure[0] if figure else None)


def _clip(label: str) -> str:
    text = Text(label)
    text.truncate(MAX_CELL, overflow="ellipsis")
    return text.plain


def _figures(fields: Mapping[str, float], rate: float, unit: str) -> str:
    return "  ".join(
        [
            *(f"{name} {format_value(float(value))}" for name, value in fields.items()),
            f"{rate / 1e6:.1f} MB/s" if unit == "bytes" else f"{rate:,.0f} {unit}/s",
        ]
    )


class _Figures(bars.ProgressColumn):
    """The fields of the last update and the units per second."""

    def __init__(self, unit: str) -> None:
        super().__init__(Column(no_wrap=True))
        self._unit = unit

    def render(self, task: bars.Task) -> Text:
        return Text(_figures(dict(task.fields), task.speed or 0.0, self._unit), style="cyan")


class _Bar:
    def __init__(self, bar: bars.Progress, task: bars.TaskID) -> None:
        self._bar, self._task = bar, task

    def update(self, advance: int, **fields: float) -> None:
        self._bar.update(self._task, advance=advance, **fields)  # type: ignore[arg-type]


class _PlainLines:
    def __init__(self, console: Console, total: int | None, description: str, unit: str) -> None:
        self._console, self._total, self._description = console, total, description
        self._unit, self._done = unit, 0
        self._start = self._said = time.monotonic()

    def update(self, advance: int, **fields: float) -> None:
        self._done += advance
        now = time.monotonic()
        done = self._total is not None and self._done >= self._total
        if now - self._said < PLAIN_SECONDS or done:
            return
        self._said = now
        rate = self._done / (now - self._start)
        figures = _figures(fields, rate, self._unit)
        if self._total is None:
            self._console.note(f"{self._description}: {self._done:,} {self._unit}  {figures}")
            return
        left = (self._total - self._done) / max(rate, 1e-9)
        self._console.note(
            f"{self._description}: {self._done / self._total:.0%}  {figures}  "
            f"{left / 60:.0f} min left"
        )


class _Silent:
    def update(self, advance: int, **fields: float) -> None:
        pass


def in_words(seconds: float) -> str:
    """Such as `about 4 minutes`."""
    if seconds < 90:
        return f"about {max(5, round(seconds / 5) * 5)} seconds"
    if seconds < 90 * 60:
        return f"about {round(seconds / 60)} minutes"
    return f"about {seconds / 3600:.1f} hours"
