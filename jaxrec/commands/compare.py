"""`compare`: runs side by side, the differences tested over the users they were measured on."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from jaxrec.commands.show import SEEN_WORDS
from jaxrec.errors import UserError
from jaxrec.files import replacing, write_json
from jaxrec.rank.metrics import bootstrap_intervals
from jaxrec.rank.significance import holm, paired_p_value
from jaxrec.report.console import Console, format_value
from jaxrec.runs.identity import first_difference
from jaxrec.runs.results import Results, read_results
from jaxrec.runs.run_folder import RunFolder
from jaxrec.search.final import FOLDER_NAME

ENDINGS = (".json", ".csv")
SEED = 0  # of the bootstrap's draws

Row = dict[str, Any]


def compare(folders: Sequence[Path], *, output: Path | None) -> None:
    """Shows runs side by side, and each one's difference from the first, metric by metric.

    Args:
      folders: of runs, the reference first; of a folder with final figures, these are taken.
      output: where to write the comparisons too, .json or .csv; None for nowhere.

    Raises:
      UserError: fewer than two folders, one without figures, or runs measured by different
        protocols.
    """
    if len(folders) < 2:
        raise UserError(
            f"--runs={','.join(map(str, folders))}: {len(folders)} run(s); expected at least two "
            "folders, the reference first, as --runs=models-a,models-b"
        )
    if output is not None and output.suffix not in ENDINGS:
        raise UserError(f"--output={output}: expected a name ending in {' or '.join(ENDINGS)}")
    names = [str(folder) for folder in folders]
    runs = [_read(folder) for folder in folders]
    for name, run in zip(names[1:], runs[1:], strict=True):
        _check_comparable(names[0], runs[0], name, run)
    views = [seen for seen in runs[0].views if all(seen in run.views for run in runs)]
    rows: list[Row] = []
    console = Console()
    for seen in views or [runs[0].seen]:
        of_view = [run.views[seen] for run in runs] if views else runs
        rows += _compare(names, seen, [run.per_user for run in of_view])
        _show_side_by_side(names, of_view, SEEN_WORDS[seen] if views else "", console)
    for row, corrected in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["p_holm"] = corrected
    _show_differences(names[0], rows, console)
    if output is not None:
        _write(output, rows, reference=names[0], protocol=runs[0].protocol)
        console.files({output: "the comparisons above"})


def _read(folder: Path) -> Results:
    final = folder / FOLDER_NAME
    return read_results(final if RunFolder(final).results.exists() else folder)


def _check_comparable(first_name: str, first: Results, second_name: str, second: Results) -> None:
    protocols = [_comparable(run.protocol) for run in (first, second)]
    difference = first_difference(*protocols)
    if difference is None and not first.per_user["user"].equals(second.per_user["user"]):
        difference = "users", "some", "others"
    if difference:
        field, one, other = difference
        raise UserError(
            f"--runs: {first_name} has {field} = {one}, {second_name} has {other}; expected runs "
            "measured by one protocol"
        )


def _comparable(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """The protocol but for the split's seed: what it came to is compared by content."""
    split = {name: value for name, value in protocol["split"].items() if name != "seed"}
    return {**protocol, "split": split}


def _compare(names: Sequence[str], seen: str, tables: Sequence[pa.Table]) -> list[Row]:
    reference, *others = tables
    metrics = [name for name in reference.column_names if name != "user"]
    rows: list[Row] = []
    for name, table in zip(names[1:], others, strict=True):
        ours = {metric: table[metric].to_numpy() for metric in metrics}
        theirs = {metric: reference[metric].to_numpy() for metric in metrics}
        differences = {metric: ours[metric] - theirs[metric] for metric in metrics}
        intervals = bootstrap_intervals(differences, seed=SEED)
        for metric in metrics:
            rows.append(
                {
                    "run": name,
                    "seen": seen,
                    "metric": metric,
                    "mean": float(ours[metric].mean()),
                    "reference_mean": float(theirs[metric].mean()),
                    "difference": float(differences[metric].mean()),
                    "low": intervals[metric][0],
                    "high": intervals[metric][1],
                    "p": paired_p_value(ours[metric], theirs[metric]),
                }
            )
    return rows


def _show_side_by_side(
    names: Sequence[str], runs: Sequence[Results], view: str, console: Console
) -> None:
    figures = {}
    for place, (name, each) in enumerate(zip(names, runs, strict=True)):
        column: dict[str, tuple[float, ...]] = {
            metric: (figure["mean"], figure["low"], figure["high"])
            for metric, figure in each.metrics["model"].items()
        }
        column |= {metric: (v,) for metric, v in each.beyond_accuracy["model"].items()}
        # A folder may be named twice, and a column needs a name of its own.
        figures[name if name not in figures else f"{name} ({place + 1})"] = column
    console.results(
        f"Runs on {runs[0].part}{view and f', {view}'}, {runs[0].users:,} users (mean and 95% "
        "interval)",
        figures,
    )


def _show_differences(reference: str, rows: Sequence[Row], console: Console) -> None:
    console.table(
        f"Differences from {reference} (95% bootstrap interval over users; p of the paired t-test "
        f"over users, two-sided, Holm-corrected for all {len(rows)})",
        ["run", "known songs", "metric", "difference", "low", "high", "p"],
        [
            [
                row["run"],
                row["seen"],
                row["metric"],
                *(format_value(row[name]) for name in ("difference", "low", "high")),
                "<1e-300" if row["p_holm"] < 1e-300 else format_value(row["p_holm"]),
            ]
            for row in rows
        ],
    )


def _write(path: Path, rows: Sequence[Row], *, reference: str, protocol: Mapping[str, Any]) -> None:
    try:
        if path.suffix == ".json":
            write_json(
                path,
                {
                    "reference": reference,
                    "test": "paired t-test over users, two-sided",
                    "correction": f"Holm over {len(rows)} comparisons",
                    "interval": "95% percentile bootstrap over users",
                    "protocol": protocol,
                    "comparisons": rows,
                },
            )
            return
        with (
            replacing(path) as temporary,
            temporary.open("w", encoding="utf-8", newline="") as file,
        ):
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise UserError(f"--output={path}: {error.strerror}; expected a file to write") from error
