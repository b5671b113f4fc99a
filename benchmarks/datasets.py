"""auto and every single method, at its defaults and tuned, over the datasets at hand: one table.

`./benchmarks/run.sh datasets` calls this. It only calls jaxrec's own commands, which it prints;
called again, it goes on where it was stopped.
"""

import argparse
import dataclasses
import itertools
import json
import os
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.rivals import SPACES
from benchmarks.tables import digits, markdown_table
from jaxrec.files import write_json
from jaxrec.models.ease import multiplications
from jaxrec.rank.metrics import bootstrap_intervals
from jaxrec.rank.significance import holm, paired_p_value
from jaxrec.runs.results import read_results

METRICS = ("recall@20", "ndcg@20")
RANDOM = ("auto", "gcn", "ials")  # in which chance has a part
# What a tuned method may try: about so many visits of edges, or multiplications of EASE's fits.
MOST_TRIALS, VISITS, INVERSES = 12, 5e6, 3e13


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A folder of data with its split.

    Attributes:
      flags: of the configuration, {data} for the folder.
      users: about how many train has.
      items: about how many there are.
      edges: about how many interactions train has.
      random: whether the split is drawn by the seed, so that each seed has a test part of its own.
    """

    flags: tuple[str, ...]
    users: int
    items: int
    edges: int
    random: bool = False


def _two_files(folder: str) -> tuple[str, ...]:
    return (
        "--config.data.format=edges",
        "--config.data.split=given",
        f"--config.data.path={{data}}/{folder}/train.txt",
        f"--config.data.test_path={{data}}/{folder}/test.txt",
    )


def _source(name: str, folder: str) -> tuple[str, ...]:
    return (
        f"--config.data.source={name}",
        "--config.data.split=given",
        f"--config.data.path={{data}}/{folder}",
    )


DATASETS: Mapping[str, Dataset] = {
    "ml-100k": Dataset(
        ("--config.data.path={data}/ml-100k/events.csv", "--config.data.split=random"),
        943,
        1_682,
        80_000,
        random=True,
    ),
    "lastfm-lightgcn": Dataset(_source("lastfm-lightgcn", "lastfm-lightgcn"), 1_878, 4_489, 42_135),
    "amazon-beauty-bgcn": Dataset(_two_files("amazon-beauty-bgcn"), 7_068, 3_570, 60_818),
    "citeulike-lightgcnpp": Dataset(_two_files("citeulike-lightgcnpp"), 5_551, 16_980, 151_918),
    "douban-book": Dataset(_two_files("douban-book"), 12_833, 22_347, 633_649),
    "gowalla": Dataset(_source("gowalla", "gowalla"), 29_858, 40_981, 810_128),
}


@dataclasses.dataclass(frozen=True)
class Job:
    """Something to be measured.

    Attributes:
      name: its folder, such as `ease-tuned`, or `ease-tuned-1` for a seed of its own.
      label: how the table calls it.
      lines: the commands, each as words after `python -m jaxrec.main`; the last one measures.
      split: the seed that has drawn the split, where one does.
    """

    name: str
    label: str
    lines: tuple[tuple[str, ...], ...]
    split: int | None = None


def jobs(dataset: Dataset, data: Path, out: Path, methods: Sequence[str], seeds: int) -> list[Job]:
    """What is measured of a dataset, auto first.

    Args:
      dataset: which.
      data: the folder that holds the datasets.
      out: the dataset's own folder for results.
      methods: the single ones.
      seeds: how often what chance has a part in is fitted.
    """
    base = ["--config=configs/auto.py", *(each.format(data=data) for each in dataset.flags)]
    found = [
        Job(
            f"auto-{seed}",
            "auto",
            (("train", *base, f"--config.seed={seed}", f"--workdir={out / f'auto-{seed}'}"),),
            seed if dataset.random else None,
        )
        for seed in range(seeds)
    ]
    for method, seed in itertools.product(methods, range(seeds if dataset.random else 1)):
        own = [*base, f"--config.method={method}", f"--config.seed={seed}"]
        suffix, split = (f"-{seed}", seed) if dataset.random else ("", None)
        name = f"{method}-default{suffix}"
        default = ("train", *own, "--config.data.validation_fraction=0", f"--workdir={out / name}")
        found.append(Job(name, f"{method}, defaults", (default,), split))
        trials = trials_of(method, dataset)
        if not trials or not SPACES[method]:
            continue
        name = f"{method}-tuned{suffix}"
        workdir = f"--workdir={out / name}"
        space = f"--config.tune.space={tuple(SPACES[method])!r}"
        tune = ("tune", *own, space, f"--config.tune.trials={trials}", workdir)
        count = seeds if method in RANDOM and not dataset.random else 1
        final = ("evaluate", "--final", f"--seeds={count}", workdir)
        found.append(Job(name, f"{method}, tuned", (tune, final), split))
    return found


def trials_of(method: str, dataset: Dataset) -> int:
    """How many settings fit into about ten minutes, by a count; of EASE none if it is but one."""
    if method != "ease":
        return max(1, min(MOST_TRIALS, int(VISITS / dataset.edges)))
    fits = int(INVERSES / multiplications(dataset.users, dataset.items, dataset.edges))
    return min(MOST_TRIALS, fits) if fits > 1 else 0


def run(job: Job, folder: Path) -> bool:
    """Runs the commands unless they have been; whether all went well."""
    spent = folder / f"{job.name}.json"
    commands = [list(line) for line in job.lines]
    if spent.exists():
        if json.loads(spent.read_text()).get("commands") == commands:
            return True
        print(f"\n{spent} is of other commands; remove it and {folder / job.name}", flush=True)
        return False
    begin, peak = time.perf_counter(), 0
    for line in job.lines:
        words = [sys.executable, "-m", "jaxrec.main", *line]
        print(f"\n{shlex.join(['python', *words[1:]])}", flush=True)
        process = subprocess.Popen(words)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            return False
        peak = max(peak, usage.ru_maxrss)
    seconds = time.perf_counter() - begin
    write_json(spent, {"commands": commands, "seconds": seconds, "peak_mb": peak / 1024})
    return True


def figures(folder: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Each listener's metrics, the mean over the runs that measure them: by metric, in one order.

    Where each run has a test part of its own, some listeners have nothing to be found in one.
    """
    tables = []
    for name in names:
        own = folder / name
        final = own / "final"
        tables.append(read_results(final if (final / "results.json").exists() else own).per_user)
    everything = (
        pa.concat_tables(tables)
        .group_by("user")
        .aggregate([(metric, "mean") for metric in METRICS])
    )
    everything = everything.sort_by("user")
    return {metric: everything[f"{metric}_mean"].to_numpy() for metric in METRICS}


def table(name: str, folder: Path, done: Sequence[Job]) -> str:
    """The dataset's rows: figures, what they differ by from auto's, seconds and memory.

    Where each seed has a test part of its own, only what is measured on the same ones is compared.
    """
    groups: dict[str, list[str]] = {}
    splits: dict[str, set[int | None]] = {}
    for job in done:
        groups.setdefault(job.label, []).append(job.name)
        splits.setdefault(job.label, set()).add(job.split)
    values = {label: figures(folder, names) for label, names in groups.items()}
    others = [label for label in groups if label != "auto" and splits[label] == splits.get("auto")]
    p_values: dict[tuple[str, str], float] = {}
    if "auto" in values:
        pairs = [(label, metric) for label in others for metric in METRICS]
        raw = [paired_p_value(values["auto"][m], values[label][m]) for label, m in pairs]
        p_values = dict(zip(pairs, holm(raw), strict=True))
    rows = []
    for label, names in groups.items():
        intervals = bootstrap_intervals(values[label], seed=0)
        cells = [label]
        for metric in METRICS:
            low, high = intervals[metric]
            cells.append(f"{values[label][metric].mean():.4f} [{low:.4f}, {high:.4f}]")
        cells += [
            f"{p_values[label, metric]:.2g}" if (label, metric) in p_values else ""
            for metric in METRICS
        ]
        spent = [json.loads((folder / f"{each}.json").read_text()) for each in names]
        cells.append(digits(statistics.median(each["seconds"] for each in spent)))
        cells.append(digits(max(each["peak_mb"] for each in spent)))
        rows.append(cells)
    runs = len(groups.get("auto", ()))
    header = [
        f"{name}, auto: mean of {runs}",
        *("Recall@20", "NDCG@20", "p, Recall@20", "p, NDCG@20", "seconds", "peak MB"),
    ]
    return markdown_table(header, rows)


def main() -> int:
    """Runs what isn't done yet and writes the table after each dataset."""
    parser = argparse.ArgumentParser(prog="benchmarks/run.sh datasets", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the datasets")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/datasets"))
    parser.add_argument("--only", default=",".join(DATASETS), help="of these")
    singles = [each for each in SPACES if each != "gcn"]
    parser.add_argument("--methods", default=",".join(singles), help="beside auto; empty: none")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    names = options.only.split(",")
    methods = [each for each in options.methods.split(",") if each]
    if not set(names) <= set(DATASETS) or not set(methods) <= set(SPACES):
        parser.error(f"expected --only of {list(DATASETS)} and --methods of {list(SPACES)}")

    def wanted(name: str, folder: Path) -> list[Job]:
        return jobs(DATASETS[name], options.data, folder, methods, options.seeds)

    return measure_all(parser, options, names, wanted, table, "datasets.md")


def measure_all(
    parser: argparse.ArgumentParser,
    options: argparse.Namespace,
    names: Sequence[str],
    wanted: Callable[[str, Path], Sequence[Job]],
    table: Callable[[str, Path, Sequence[Job]], str],
    file: str,
) -> int:
    """Runs what isn't done yet of some datasets, and writes a table after each.

    Args:
      parser: told where a dataset isn't there.
      options: `data` and `out`, the folders of the datasets and of the results.
      names: of the datasets.
      wanted: the jobs of a dataset with a folder for results.
      table: of a dataset, its folder and the jobs that are done.
      file: where the tables are written, in `out`.

    Returns:
      The exit status.
    """
    missing = [each for each in names if not (options.data / each).is_dir()]
    if missing:
        parser.error(f"--data: {options.data} has no {', '.join(missing)}; --only names others")
    failed, tables = [], []
    for name in names:
        folder = options.out / name
        folder.mkdir(parents=True, exist_ok=True)
        all_jobs = wanted(name, folder)
        done = [job for job in all_jobs if run(job, folder)]
        failed += [f"{name}: {job.label}" for job in all_jobs if job not in done]
        if done:
            tables.append(table(name, folder, done))
        (options.out / file).write_text("\n".join(tables), encoding="utf-8")
    print("\n" + "\n".join(tables))
    for each in failed:
        print(f"failed: {each}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
