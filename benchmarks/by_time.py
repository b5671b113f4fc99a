"""auto and its rivals on listens with times: all, what is new and what is heard again, tested.

`./benchmarks/run.sh by_time` calls this. Every rival is chosen by auto too, with the same effort,
as the only method that it may take: its settings, and how listens age. It only calls jaxrec's own
commands, which it prints; called again, it goes on where it was stopped.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

import numpy as np

from benchmarks.datasets import Job, measure_all
from benchmarks.tables import markdown_table
from jaxrec.config.methods import Member
from jaxrec.data.options import SeenRule
from jaxrec.rank.metrics import bootstrap_intervals
from jaxrec.rank.significance import holm, paired_p_value
from jaxrec.runs.results import read_results

METRICS = ("ndcg@10", "recall@10")
VIEWS: Mapping[SeenRule, str] = {"include": "all", "exclude": "discovery", "only": "again"}
RIVALS = (
    *("own_plays", "recent_popular", "transitions", "sessions"),
    *("rp3beta", "itemknn", "ease", "most_popular"),
)
BY_HISTORY = ("own_plays", "sessions", "rp3beta", "itemknn")  # measured without ages, too
# After so many days a listen counts half: none is so old.
NEVER = "1e9"
BASE = (
    *("--config=default", "--config.method=auto", "--config.data.source=listens"),
    *("--config.data.columns.timestamp=timestamp", "--config.data.split=time"),
    *("--config.data.test_fraction=0.1", "--config.eval.ks=(10,)"),
    *("--config.eval.metric=ndcg@10", "--config.eval.seen=include"),
)
DATASETS: Mapping[str, tuple[str, ...]] = {
    "30music-sample10": ("--config.data.path={data}/30music-sample10/events.csv",),
    "foursquare-nyc": ("--config.data.path={data}/foursquare-nyc/events.csv",),
}


def jobs(
    flags: Sequence[str], out: Path, rivals: Sequence[str], members: Sequence[str], effort: str
) -> list[Job]:
    """What is measured of a dataset, auto first; some rivals once more with listens of no age.

    Args:
      flags: of the dataset.
      out: the dataset's own folder for results.
      rivals: methods that are chosen alone.
      members: methods that auto may take; none: whichever it likes.
      effort: of `config.auto`.
    """
    base = ("train", *BASE, *flags, f"--config.auto.effort={effort}")
    own = (f"--config.blend.models={tuple(members)!r}",) if members else ()
    alike = (
        "--config.history.weight=binary",
        f"--config.history.half_life_days={NEVER}",
        f"--config.history.learnt_half_life_days={NEVER}",
    )
    lines = {"auto": own}
    for name in rivals:
        alone = (f"--config.blend.models={(name,)!r}",)
        lines[name] = alone
        if name in BY_HISTORY:
            lines[f"{name}, no ages"] = (*alone, *alike)
    return [
        Job(
            name=label.replace(", ", "-").replace(" ", "-"),
            label=label,
            lines=(
                (*base, *each, f"--workdir={out / label.replace(', ', '-').replace(' ', '-')}"),
            ),
        )
        for label, each in lines.items()
    ]


def figures(folder: Path) -> dict[tuple[SeenRule, str], np.ndarray]:
    """Each user's metrics by view and metric."""
    views = read_results(folder).views
    return {
        (view, metric): views[view].per_user[metric].to_numpy()
        for view in VIEWS
        if view in views
        for metric in METRICS
    }


def table(name: str, folder: Path, done: Sequence[Job]) -> str:
    """The dataset's rows: each view's figures with intervals, and p of the test beside auto.

    The tests are paired, over users, and corrected by Holm's method for all of the table.
    """
    values = {job.label: figures(folder / job.name) for job in done}
    first = values.get("auto")
    p_values: dict[tuple[str, tuple[SeenRule, str]], float] = {}
    if first is not None:
        pairs = [(label, key) for label in values if label != "auto" for key in first]
        raw = [paired_p_value(first[key], values[label][key]) for label, key in pairs]
        p_values = dict(zip(pairs, holm(raw), strict=True))
    found = []
    for metric in METRICS:
        rows = []
        for label, own in values.items():
            cells = [label]
            for view in VIEWS:
                if (view, metric) not in own:
                    cells.append("")
                    continue
                each = own[view, metric]
                low, high = bootstrap_intervals({metric: each}, seed=0)[metric]
                p = p_values.get((label, (view, metric)))
                tested = "" if p is None else f" p {p:.2g}"
                cells.append(f"{each.mean():.4f} [{low:.4f}, {high:.4f}]{tested}")
            rows.append(cells)
        found.append(markdown_table([f"{name}, {metric}", *VIEWS.values()], rows))
    return "\n".join(found)


def main() -> int:
    """Runs what isn't done yet and writes the table after each dataset."""
    parser = argparse.ArgumentParser(prog="benchmarks/run.sh by_time", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the datasets")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/by_time"))
    parser.add_argument("--only", default=",".join(DATASETS), help="of these")
    parser.add_argument("--rivals", default=",".join(RIVALS), help="beside auto; empty: none")
    parser.add_argument("--members", default="", help="what auto may take; empty: whichever")
    parser.add_argument("--effort", default="normal", choices=("quick", "normal", "thorough"))
    options = parser.parse_args()
    names = options.only.split(",")
    rivals, members = (
        [each for each in words.split(",") if each] for words in (options.rivals, options.members)
    )
    if not set(names) <= set(DATASETS) or not {*rivals, *members} <= set(get_args(Member)):
        parser.error(f"expected --only of {list(DATASETS)}, methods of {get_args(Member)}")

    def wanted(name: str, folder: Path) -> list[Job]:
        flags = [each.format(data=options.data) for each in DATASETS[name]]
        return jobs(flags, folder, rivals, members, options.effort)

    return measure_all(parser, options, names, wanted, table, "by_time.md")


if __name__ == "__main__":
    sys.exit(main())
