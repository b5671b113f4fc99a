"""How jaxrec's training step grows with edges, dimension and batch: time and memory.

`./benchmarks/run.sh scaling` calls this. Every point has a process of its own.
"""

import argparse
import datetime
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from benchmarks.measuring import machine
from benchmarks.processes import MeasurementError, Progress, run_worker
from benchmarks.synthetic_graph import EDGES_PER_ITEM, EDGES_PER_USER
from benchmarks.tables import digits, markdown_table, summarise
from jaxrec.files import replacing, write_json
from jaxrec.gcn.message_passing import DTYPES

MILLION = 1_000_000
AXES = {
    "edges": [1 * MILLION, 2 * MILLION, 4 * MILLION, 8 * MILLION, 16 * MILLION],
    "dim": [32, 64, 128, 256],
    "batch": [512, 2048, 8192, 32768, 65536],
}
BASE = {"edges": MILLION, "dim": 64, "batch": 2048}
LABELS = {"edges": "edges", "dim": "dimensions", "batch": "batch size"}
INK, FAINT, TIME, MEMORY = "#333333", "#dddddd", "#0072b2", "#e69f00"


def points(scale: float, axes: Sequence[str]) -> list[dict[str, Any]]:
    """All points to measure; the common one is measured once for all axes.

    Args:
      scale: what the numbers of edges are multiplied with.
      axes: of `AXES`.
    """
    base = {**BASE, "edges": int(BASE["edges"] * scale)}
    found: list[dict[str, Any]] = []
    for axis in axes:
        for value in AXES[axis]:
            point = {**base, axis: int(value * scale) if axis == "edges" else value}
            if point not in found:
                found.append(point)
    return found


def along(results: Sequence[Mapping[str, Any]], axis: str) -> list[Mapping[str, Any]]:
    """The results that differ from the common point in this axis only, in its order."""
    fixed = {**BASE, "edges": min(row["edges"] for row in results)}
    rows = [row for row in results if all(row[n] == fixed[n] for n in BASE if n != axis)]
    return sorted(rows, key=lambda row: row[axis])


def tables(report: Mapping[str, Any]) -> str:
    """The report in Markdown."""
    machine_, results = report["machine"], report["results"]
    lines = [
        "# How jaxrec's training step scales\n",
        f"{report['date']} · {machine_['processor']}, {machine_['cores']} cores, "
        f"{machine_['memory_gb']} GB · {machine_['system']} · load average at the start "
        f"{machine_['load_average_at_start']}\n",
        f"Synthetic power-law graphs with a user per {EDGES_PER_USER} edges and an item per "
        f"{EDGES_PER_ITEM}; {report['layers']} layers; rows gathered in {report['dtype']}. "
        f"Medians; rounds: {report['rounds']}. The roofline is the time that the step's bytes take "
        "at the speed of a copy in memory; what lies in a cache is faster. Memory is resident "
        "memory at its highest: while building the graph, and in training.\n",
    ]
    header = ["edges", "nodes", "dimensions", "batch", "a step", "roofline", "ns per edge"]
    header += ["M edges/s", "to build", "in training"]
    for axis in AXES:
        rows = along(results, axis)
        if len(rows) < 2:
            continue
        lines.append(f"## By {LABELS[axis]}\n")
        lines.append(markdown_table(header, [_row(row) for row in rows]))
        if axis == "edges" and not (rows[0].get("error") or rows[-1].get("error")):
            growth = _per_edge(rows[-1]) / _per_edge(rows[0])
            lines.append(
                f"At {rows[-1]['edges']:,} edges the time per edge is {digits(growth)} times "
                f"that at {rows[0]['edges']:,}.\n"
            )
    for row in results:
        if row.get("error"):
            lines.append(
                f"Failed: {row['edges']:,} edges, {row['dim']} dimensions, batch "
                f"{row['batch']:,}: {row['error']}\n"
            )
    versions = ", ".join(f"{name} {value}" for name, value in report["versions"].items())
    devices = sorted({row["device"] for row in results if row.get("device")})
    lines.append(f"Versions: {versions}{' on ' if devices else ''}{', '.join(devices)}.\n")
    return "\n".join(lines)


def _per_edge(row: Mapping[str, Any]) -> float:
    return row["step_s"] / row["edges"]


def _row(row: Mapping[str, Any]) -> list[str]:
    if row.get("error"):
        return [f"{row['edges']:,}", "", str(row["dim"]), f"{row['batch']:,}", "failed", *[""] * 5]
    places = {"train_peak_mb": "MB", "device_peak_mb": "MB of the device's"}
    training = [f"{row[name]:,.0f} {unit}" for name, unit in places.items() if row.get(name)]
    return [
        f"{row['edges']:,}",
        f"{row['nodes']:,}",
        str(row["dim"]),
        f"{row['batch']:,}",
        f"{digits(row['step_s'] * 1000)} ms",
        f"{digits(row['roofline_s'] * 1000)} ms",
        digits(_per_edge(row) * 1e9),
        digits(1e-6 / _per_edge(row)),
        f"{row['build_peak_mb']:,.0f} MB",
        "; ".join(training),
    ]


def draw(report: Mapping[str, Any], path: Path) -> None:
    """Draws time per step and memory along each measured axis as a PNG, whole or not at all."""
    good = [row for row in report["results"] if not row.get("error")]
    lines = {axis: along(good, axis) for axis in AXES} if good else {}
    lines = {axis: rows for axis, rows in lines.items() if len(rows) > 1}
    columns = max(1, len(lines))
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08)
    figure = Figure(figsize=(1 + 3.4 * columns, 5.4), dpi=160, layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    grid = figure.subplots(2, columns, squeeze=False)
    for column, (axis, rows) in enumerate(lines.items()):
        x = [row[axis] for row in rows]
        _panel(grid[0][column], axis, x, [row["step_s"] for row in rows], TIME)
        _panel(grid[1][column], axis, x, [row["peak_mb"] / 1000 for row in rows], MEMORY)
    grid[0][0].set_title("Seconds a step", loc="left", fontsize=12, color=INK, pad=10)
    grid[1][0].set_title("Peak memory, GB", loc="left", fontsize=12, color=INK, pad=10)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})


def _panel(axes: Axes, axis: str, x: Sequence[int], values: Sequence[float], colour: str) -> None:
    axes.plot(x, values, color=colour, marker="o", markersize=4, linewidth=2)
    axes.set_ylim(bottom=0, top=max(values) * 1.1)
    if axis == "edges":
        # A line through the origin would be a constant time per edge.
        axes.set_xlim(left=0)
    else:
        axes.set_xscale("log", base=2)
    # Numbers that would run into each other are left out.
    shown = [v for v in x if axis != "edges" or v == x[0] or v >= x[-1] / 4]
    axes.set_xticks(shown, [_short(v, axis) for v in shown])
    axes.minorticks_off()
    axes.set_xlabel(LABELS[axis], color=INK)
    axes.grid(axis="y", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, length=0)
    for side in ("top", "left", "right"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)


def _short(value: int, axis: str) -> str:
    if axis == "edges":
        return f"{value / MILLION:g}M"
    return f"{value // 1024}k" if axis == "batch" and value % 1024 == 0 else str(value)


def main() -> int:
    """Measures, and says where table and picture are."""
    parser = argparse.ArgumentParser(prog="benchmarks/run.sh scaling", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8, help="measured after a warm-up")
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--dtype", choices=DTYPES, default="float32", help="of gathered rows")
    parser.add_argument("--axes", default=",".join(AXES), help="those to measure")
    parser.add_argument("--scale", type=float, default=1.0, help="times the numbers of edges")
    options = parser.parse_args()
    axes = [axis for axis in options.axes.split(",") if axis]
    if not axes or not set(axes) <= set(AXES):
        parser.error(f"--axes is {options.axes!r}; expected some of {', '.join(AXES)}")
    if min(options.rounds, options.steps) < 1 or options.scale * MILLION < 100_000:
        parser.error("expected --rounds and --steps of at least 1, --scale of at least 0.1")
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "layers": options.layers,
        "dtype": options.dtype,
        "rounds": options.rounds,
        "versions": {},
        "results": [],
    }
    plan = points(options.scale, axes)
    runs: list[list[dict[str, Any]]] = [[] for _ in plan]
    errors: dict[int, str] = {}
    progress = Progress(len(plan) * options.rounds)
    with tempfile.TemporaryDirectory(prefix="jaxrec-benchmark-") as folder:
        for number in range(options.rounds):
            for index, point in enumerate(plan):
                progress.begin(
                    f"round {number + 1}/{options.rounds}: {point['edges']:,} edges, "
                    f"{point['dim']} dimensions, batch {point['batch']:,}"
                )
                request = {
                    **point,
                    "module": "jaxrec_",
                    "section": "scale",
                    "layers": options.layers,
                    "dtype": options.dtype,
                    "steps": options.steps,
                    "steps_per_dispatch": 4,
                }
                try:
                    result = run_worker(sys.executable, request, Path(folder))
                except MeasurementError as error:
                    errors[index] = str(error)
                    progress.end(f"FAILED: {error}")
                    continue
                runs[index].append(result["figures"])
                report["versions"] = result["versions"]
                step = result["figures"]["step_s"]
                progress.end(f"{step:.4g} s a step, {step / point['edges'] * 1e9:.3g} ns per edge")
    for index, (point, figures) in enumerate(zip(plan, runs, strict=True)):
        if not figures:
            report["results"].append({**point, "error": errors[index]})
            continue
        steps = [row["step_s"] for row in figures]
        middle = min(figures, key=lambda row: abs(row["step_s"] - summarise(steps).median))
        report["results"].append(
            {**point, **middle, "step_s": summarise(steps).median, "step_s_rounds": steps}
        )
    write_json(out / "scaling.json", report)
    text = tables(report)
    with replacing(out / "scaling.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    draw(report, out / "scaling.png")
    print(text)
    print(f"written: {out}/scaling.md, scaling.json and scaling.png", file=sys.stderr)
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
