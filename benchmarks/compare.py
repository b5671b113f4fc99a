"""jaxrec beside its peers on one machine and data set: training, one product, evaluation.

`./benchmarks/run.sh compare --data=FOLDER` makes the environments and calls this. Every
measurement has a process of its own, and the subjects take turns: a round measures each once, and
every second round goes backwards. A ratio compares the two measurements of one round.
"""

import argparse
import dataclasses
import datetime
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.edges import Edges, read_edges, spectral_embeddings
from benchmarks.measuring import machine
from benchmarks.processes import MeasurementError, Progress, run_worker
from benchmarks.report import write_comparison
from jaxrec.files import write_json

SECTIONS = ("train", "product", "evaluate")
TUNED_USERS_PER_BATCH = 1024


@dataclasses.dataclass(frozen=True)
class Subject:
    """Something that is measured in a section.

    Attributes:
      name: what the tables call it.
      module: in `benchmarks.subjects`.
      environment: the folder of its virtual environment; "" for jaxrec's.
      options: what its requests say beside the common settings.
    """

    name: str
    module: str
    environment: str
    options: dict[str, Any] = dataclasses.field(default_factory=dict)


def subjects(section: str, kernels: Sequence[str], auto_kernel: str) -> list[Subject]:
    """Who takes part in a section; the first is what the others are compared with."""
    recbole = Subject("RecBole", "recbole_", "recbole")
    if section == "train":
        return [
            Subject("jaxrec", "jaxrec_", ""),
            recbole,
            Subject("PyTorch Geometric, edge_index", "torch_", "torch", {"layout": "edges"}),
            Subject("PyTorch Geometric, CSR", "torch_", "torch", {"layout": "csr"}),
            Subject("implicit BPR (no graph)", "implicit_", "implicit"),
        ]
    if section == "product":
        ordered = sorted(kernels, key=lambda kernel: kernel != auto_kernel)
        return [
            *(Subject(f"jaxrec {name}", "jaxrec_", "", {"kernel": name}) for name in ordered),
            Subject("PyTorch CSR", "torch_", "torch", {"layout": "csr"}),
            Subject("PyTorch COO", "torch_", "torch", {"layout": "coo"}),
        ]
    users = {"users_per_batch": TUNED_USERS_PER_BATCH}
    return [
        Subject("jaxrec", "jaxrec_", ""),
        recbole,
        Subject(f"RecBole, {TUNED_USERS_PER_BATCH:,} users a batch", "recbole_", "recbole", users),
        Subject("implicit", "implicit_", "implicit"),
    ]


def turns(count: int, rounds: int) -> Iterator[tuple[int, int]]:
    """(round, subject) in the order of measuring: forwards and backwards by turns."""
    for number in range(rounds):
        order = range(count)
        for subject in order if number % 2 == 0 else reversed(order):
            yield number, subject


def prepare_files(folder: Path, edges: Edges, *, dim: int, users: int) -> None:
    """Writes what the workers read: embeddings, a right-hand side, RecBole's atomic files."""
    user, item = spectral_embeddings(edges, dim)
    np.save(folder / "user_embeddings.npy", user, allow_pickle=False)
    np.save(folder / "item_embeddings.npy", item, allow_pickle=False)
    rows = np.random.default_rng(0).standard_normal((len(user) + len(item), dim), np.float32)
    np.save(folder / "rows.npy", rows, allow_pickle=False)

    chosen = edges.test_user < (users or edges.num_users)
    test = edges.test_user[chosen], edges.test_item[chosen]
    parts = {
        "train": (edges.user, edges.item),
        # RecBole wants a validation part, and masks it in the test unless it is in the test too.
        "valid": (test[0][:1], test[1][:1]),
        "test": test,
    }
    (folder / "edges").mkdir()
    for part, (part_user, part_item) in parts.items():
        with (folder / "edges" / f"edges.{part}.inter").open("w", encoding="ascii") as lines:
            lines.write("user_id:token\titem_id:token\n")
            pairs = zip(part_user.tolist(), part_item.tolist(), strict=True)
            lines.writelines(f"{u}\t{i}\n" for u, i in pairs)


def arguments(values: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="benchmarks/run.sh compare", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of train.txt, test.txt")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--environments", type=Path, required=True, help="set by run.sh")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sections", default=",".join(SECTIONS), help="those to measure")
    parser.add_argument("--only", default="", help="peers whose names hold one of these")
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--steps", type=int, default=32, help="measured after 3 of warm-up")
    parser.add_argument("--epochs", type=int, default=3, help="of implicit, after 1 of warm-up")
    parser.add_argument("--repeats", type=int, default=30, help="products of a process")
    parser.add_argument("--users", type=int, default=0, help="evaluate only the first so many")
    parsed = parser.parse_args(values)
    parsed.sections = [name for name in parsed.sections.split(",") if name]
    for name in parsed.sections:
        if name not in SECTIONS:
            parser.error(f"--sections has {name!r}; expected some of {', '.join(SECTIONS)}")
    for name in ("rounds", "batch", "dim", "k", "steps", "epochs", "repeats"):
        if getattr(parsed, name) < 1:
            parser.error(f"--{name} is {getattr(parsed, name)}; expected at least 1")
    for part in ("train.txt", "test.txt"):
        if not (parsed.data / part).is_file():
            parser.error(f"--data: found no {part} in {parsed.data}")
    parsed.data, parsed.out = parsed.data.resolve(), parsed.out.resolve()
    return parsed


def measure(options: argparse.Namespace, folder: Path, report: dict[str, Any]) -> int:
    """Measures everything, keeps the report up to date and returns how much failed."""
    edges = read_edges(options.data)
    report["data"] = {
        "users": edges.num_users,
        "items": edges.num_items,
        "train": len(edges.user),
        "test": len(edges.test_user),
    }
    prepare_files(folder, edges, dim=options.dim, users=options.users)
    common = {
        **report["settings"],
        "data": str(options.data),
        "work": str(folder),
        "num_items": edges.num_items,
        "warmup": 3,
    }
    kernels = run_worker(
        sys.executable, {**common, "module": "jaxrec_", "section": "kernels"}, folder
    )["figures"]
    plans = {name: subjects(name, kernels["names"], kernels["auto"]) for name in options.sections}
    wanted = [part for part in options.only.split(",") if part]
    for name, plan in plans.items():
        chosen = [s for s in plan[1:] if not wanted or any(part in s.name for part in wanted)]
        plans[name] = plan[:1] + chosen
    progress = Progress(options.rounds * sum(len(plan) for plan in plans.values()))
    failures = 0
    for section, plan in plans.items():
        entries: list[dict[str, Any]] = [
            {"subject": subject.name, "versions": {}, "rounds": {}, "errors": []}
            for subject in plan
        ]
        report["sections"][section] = entries
        for number, index in turns(len(plan), options.rounds):
            subject, entry = plan[index], entries[index]
            progress.begin(f"round {number + 1}/{options.rounds} {section}: {subject.name}")
            python = sys.executable
            if subject.environment:
                python = str(options.environments / subject.environment / "bin" / "python")
            request = {**common, **subject.options, "module": subject.module, "section": section}
            keep = subject.environment == "recbole"
            try:
                result = run_worker(python, request, folder, keep_openblas_variables=keep)
            except MeasurementError as error:
                failures += 1
                entry["errors"].append(str(error))
                progress.end(f"FAILED: {error}")
            else:
                entry["versions"] = result["versions"]
                figures = entry["rounds"][number] = result["figures"]
                key = next(k for k in ("step_s", "epoch_s", "seconds") if k in figures)
                progress.end(f"{key} {figures[key]:.4g}")
            write_json(options.out / "compare.json", report)
            write_comparison(report, options.out / "compare.md")
    return failures


def main() -> int:
    """Measures, and says where the tables are."""
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    names = ("rounds", "batch", "layers", "dim", "k", "steps", "epochs", "repeats", "users")
    report: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "settings": {name: getattr(options, name) for name in names},
        "sections": {},
    }
    with tempfile.TemporaryDirectory(prefix="jaxrec-benchmark-") as folder:
        failures = measure(options, Path(folder), report)
    print((options.out / "compare.md").read_text(encoding="utf-8"))
    print(f"written: {options.out}/compare.md and compare.json", file=sys.stderr)
    if failures:
        print(f"{failures} measurements failed; see the tables", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
