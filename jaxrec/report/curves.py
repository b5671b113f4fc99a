"""The picture of a run: loss and ranking quality by epoch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from jaxrec.files import replacing

INK, FAINT = "#333333", "#dddddd"
LOSS_COLOUR = "#555555"
# Told apart by people who see colours differently as well.
COLOURS = {"reconstruction": "#e69f00", "validation": "#0072b2", "test": "#009e73"}
LABELS = {
    "reconstruction": "reconstruction (songs trained on)",
    "validation": "held out (validation)",
    "test": "held out (test)",
}


def draw_curves(
    history: Sequence[Mapping[str, Any]],
    path: Path,
    *,
    metric: str = "recall@10",
    most_popular: float | None = None,
) -> None:
    """Draws loss and a metric by epoch as a PNG, written whole or not at all.

    Args:
      history: a row per epoch with `epoch` (from 1) and, where measured, `loss` and
        `<part>/<metric>` for the parts reconstruction, validation and test.
      path: the file to write.
      metric: the metric to draw.
      most_popular: the held-out metric of the most-popular list, drawn for comparison.
    """
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08, wspace=0.06)
    figure = Figure(figsize=(9, 3.4), dpi=160, layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)

    _draw(left, history, "loss", LOSS_COLOUR, None)
    _finish(left, "Training loss", "mean over interactions")
    for part, colour in COLOURS.items():
        _draw(right, history, f"{part}/{metric}", colour, LABELS[part])
    if most_popular is not None:
        right.axhline(
            most_popular,
            color=INK,
            linestyle=(0, (5, 3)),
            linewidth=1.2,
            label="most popular (held out)",
        )
    _finish(right, _title(metric), "mean over listeners")
    if right.get_legend_handles_labels()[0]:
        right.set_ylim(bottom=0, top=right.get_ylim()[1] * 1.05)
        figure.legend(
            *right.get_legend_handles_labels(),
            loc="outside lower center",
            ncols=4,
            frameon=False,
            fontsize=9,
            labelcolor=INK,
        )
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})


def _title(metric: str) -> str:
    name, at, k = metric.replace("_", " ").partition("@")
    short = name in ("ndcg", "mrr", "map")
    return (name.upper() if short else name.capitalize()) + at + k


def _draw(
    axes: Axes, history: Sequence[Mapping[str, Any]], key: str, colour: str, label: str | None
) -> None:
    points = [(row["epoch"], row[key]) for row in history if row.get(key) is not None]
    if points:
        marker = "o" if len(points) <= 30 else None
        axes.plot(
            *zip(*points, strict=True),
            color=colour,
            label=label,
            linewidth=2,
            marker=marker,
            markersize=4,
        )


def _finish(axes: Axes, title: str, y_label: str) -> None:
    axes.set_title(title, loc="left", fontsize=12, color=INK, pad=10)
    axes.set_xlabel("epoch", color=INK)
    axes.set_ylabel(y_label, color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.grid(axis="y", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    if not axes.has_data():
        axes.text(
            0.5,
            0.5,
            "not measured",
            transform=axes.transAxes,
            ha="center",
            va="center",
            color="#888888",
        )
        axes.set_xticks([])
        axes.set_yticks([])
