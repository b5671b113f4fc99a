"""From repeated measurements to medians, ratios and tables."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.measuring import machine


class Summary(NamedTuple):
    """Median and extremes of some measurements."""

    median: float
    low: float
    high: float


def summarise(values: Sequence[float]) -> Summary:
    """Median, least and greatest.

    Raises:
      ValueError: there are no values.
    """
    if not values:
        raise ValueError("no values; expected at least one")
    return Summary(statistics.median(values), min(values), max(values))


def paired_ratios(values: Mapping[int, float], base: Mapping[int, float]) -> list[float]:
    """Each round's value over the base's of the same round, for the rounds that both have.

    What disturbs a whole round, such as another load on the machine, so leaves the ratio alone.
    """
    return [values[number] / base[number] for number in sorted(values.keys() & base.keys())]


def show(summary: Summary, unit: str = "") -> str:
    """A median with its extremes, three digits each: `0.0912 s (0.0893 to 0.131)`."""
    low, high = digits(summary.low), digits(summary.high)
    median = f"{digits(summary.median)} {unit}".strip()
    return median if low == high else f"{median} ({low} to {high})"


def digits(value: float, count: int = 3) -> str:
    """A number with so many significant digits, or all of those before the point, no exponent."""
    if value == 0:
        return "0"
    places = count - 1 - int(f"{value:.{count - 1}e}".partition("e")[2])
    return f"{value:,.{max(0, places)}f}"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; columns after the first are aligned right.

    Raises:
      ValueError: a row of another length than the header.
    """
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"a row has {len(row)} cells; expected {len(header)}")
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n"
        for line in (header, rule, *rows)
    )


def keep_table(path: Path, what: str, table: str) -> None:
    """Prints a table, and writes it to a file with what it is of and the machine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{what}; {machine()}\n\n{table}", encoding="utf-8")
    print(table)
