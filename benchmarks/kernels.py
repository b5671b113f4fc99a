"""How long neighbourhood sums and a training step take by each kernel, on whatever device is there.

`./benchmarks/run.sh kernels` calls this. All kernels are compiled, checked against sums in float64,
run twice to see whether the bits are the same, and then timed in turns, every second round
backwards. What the seconds that are given don't suffice for is left out, and said.
"""

import argparse
import concurrent.futures
import datetime
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
from scipy import sparse

from benchmarks.measuring import machine
from benchmarks.synthetic_graph import interactions
from benchmarks.tables import digits, markdown_table
from jaxrec.files import replacing, write_json
from jaxrec.gcn.convolution import LightGCN
from jaxrec.gcn.graph import BipartiteGraph, build_graph
from jaxrec.gcn.message_passing import DTYPES, KERNELS, Sums, prepared, unavailable_reason
from jaxrec.gcn.objectives import EdgeObjective
from jaxrec.gcn.training_graph import TrainingGraph
from jaxrec.train.step import create_state, train_steps

GOWALLA, LARGE = 810_128, 10_000_000  # edges
CHECKED_COLUMNS = 4
_START = time.monotonic()
BURST = 0.05  # seconds that one timing takes at least, where a call takes less
COLUMNS = ["kernel", "sums", "a step", "buffers of sums", "error", "sums twice", "a step twice"]


class Measured:
    """One kernel on one graph: its programs, their arguments, what was found of it."""

    tolerance = 1e-5  # of a sum in float32, as a share of the sum of absolute values

    def __init__(self, kernel: str, graph: BipartiteGraph, options: Any) -> None:
        """Makes the graph what the kernel needs."""
        self.kernel, self._options = kernel, options
        self.row: dict[str, Any] = {"kernel": kernel, "edges": graph.num_edges}
        self.programs: dict[str, Any] = {}
        start = time.perf_counter()
        graph = prepared(graph, kernel)
        self.row["prepare_s"] = time.perf_counter() - start
        self._data, self._key = TrainingGraph(graph), jax.random.key(0)
        self._optimizer = optax.adam(1e-3)
        state = self._fresh()
        self.x = (state.params.user, state.params.item)

    def _fresh(self) -> Any:
        return create_state(
            self._key, self._data.graph, self._optimizer, dim=self._options.dim, stddev=0.1
        )

    def lower(self, what: str) -> None:
        """Traces a program."""
        sums = Sums(self.kernel, self._options.dtype)
        if what == "sums":

            def both(graph: BipartiteGraph, user: jax.Array, item: jax.Array) -> list[jax.Array]:
                return [sums(graph.to_users, item), sums(graph.to_items, user)]

            self.programs[what] = jax.jit(both).lower(self._data.graph, *self.x)
        else:
            objective = EdgeObjective(LightGCN(self._options.layers, sums), num_negatives=1, l2=0.0)
            objective, batches = objective.with_batches(self._data.graph, self._options.batch)
            self._order = batches.order(jax.random.key(1))[: self._options.steps]
            self.programs[what] = train_steps.lower(
                self._fresh(),
                self._data,
                self._order,
                self._key,
                objective=objective,
                optimizer=self._optimizer,
            )

    def compile(self, what: str) -> None:
        """Compiles a program, and notes how long that took and what it buffers."""
        start = time.perf_counter()
        self.programs[what] = self.programs[what].compile()
        self.row[f"{what}_compile_s"] = time.perf_counter() - start
        account = self.programs[what].memory_analysis()
        if account is not None:
            self.row[f"{what}_buffers_mb"] = account.temp_size_in_bytes / 1e6

    def call(self, what: str) -> Any:
        """One call, from the same start; the result may still be underway."""
        if what == "sums":
            return self.programs[what](self._data.graph, *self.x)
        self._state, _ = self.programs[what](self._state, self._data, self._order, self._key)
        return self._state.params

    def check(self, what: str, exact: list[tuple[np.ndarray, np.ndarray]]) -> None:
        """Runs a program twice, and compares the sums with what they should be.

        Raises:
          ValueError: they are not.
        """
        results = []
        for _ in range(2):
            self._state = self._fresh()
            results.append([np.asarray(part) for part in jax.tree.leaves(self.call(what))])
        same = all(np.array_equal(*pair) for pair in zip(*results, strict=True))
        self.row[f"{what}_same_bits"] = same
        if not all(np.isfinite(part).all() for part in results[0]):
            raise ValueError(f"{what}: not all numbers are finite")
        if what == "sums":
            error = max(
                float(np.max(np.abs(found[:, :CHECKED_COLUMNS] - right) / size))
                for found, (right, size) in zip(results[0], exact, strict=True)
            )
            self.row["error"] = error
            if error > self.tolerance:
                raise ValueError(f"sums are off by {error:.2g} of the sum of absolute values")

    def time(self, what: str) -> None:
        """Times calls for `BURST` seconds, or one."""
        start = time.perf_counter()
        jax.block_until_ready(self.call(what))
        once = time.perf_counter() - start
        calls = max(1, min(50, int(BURST / once)))
        if calls > 1:
            start = time.perf_counter()
            for _ in range(calls):
                result = self.call(what)
            jax.block_until_ready(result)
            once = (time.perf_counter() - start) / calls
        rounds = self.row.setdefault(f"{what}_s_rounds", [])
        rounds.append(once / (len(self._order) if what == "step" else 1))
        self.row[f"{what}_s"] = statistics.median(rounds)


def exact_sums(graph: BipartiteGraph, x: tuple[Any, Any]) -> list[tuple[np.ndarray, np.ndarray]]:
    """The first columns' sums in float64 for users and items, and those of absolute values."""
    found = []
    for half, senders in ((graph.to_users, x[1]), (graph.to_items, x[0])):
        arrays = [np.asarray(each) for each in (half.weights, half.senders, half.offsets)]
        values = np.asarray(senders[:, :CHECKED_COLUMNS], np.float64)
        matrix = sparse.csr_array(
            (arrays[0].astype(np.float64), *arrays[1:]), shape=(half.num_rows, len(values))
        )
        found.append((matrix @ values, np.maximum(matrix @ np.abs(values), 1e-30)))
    return found


def attempt(one: Measured, action: Callable[[], Any]) -> None:
    """Does something with a kernel, unless it failed before; notes what it fails of."""
    if "error_text" in one.row:
        return
    try:
        action()
    except Exception as error:  # whatever a compiler or a device may say
        one.row["error_text"] = str(error)
        _say(f"  {one.kernel}: FAILED: {str(error)[:300]}")


def measure(everyone: Sequence[Measured], what: str, exact: Any, options: Any) -> None:
    """Compiles, checks and times one kind of program of every kernel on one graph."""
    if time.monotonic() > options.until:
        _say("  left out: no time is left")
        return
    for one in everyone:
        attempt(one, lambda one=one: one.lower(what))
    _say("  lowered")
    good = [one for one in everyone if "error_text" not in one.row]
    with concurrent.futures.ThreadPoolExecutor(options.threads) as pool:
        made = [(one, pool.submit(one.compile, what)) for one in good]
    for one, future in made:
        attempt(one, future.result)
    _say("  compiled")
    for one in everyone:
        attempt(one, lambda one=one: one.check(what, exact))
    _say("  checked")
    for number in range(options.rounds):
        for one in everyone[:: -1 if number % 2 else 1]:
            if time.monotonic() > options.until:
                _say(f"  no time is left in round {number + 1}")
                return
            attempt(one, lambda one=one: one.time(what))


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows of one graph in Markdown; what is missing was not measured."""
    cells = []
    for row in sorted(rows, key=lambda row: row.get("step_s", row.get("sums_s", 1e9))):
        if "error_text" in row:
            reason = " ".join(row["error_text"].split())[:80]
            cells.append([row["kernel"], f"failed: {reason}", *[""] * 5])
            continue
        times = [f"{digits(row[k] * 1e3)} ms" if k in row else "" for k in ("sums_s", "step_s")]
        buffers = row.get("sums_buffers_mb")
        cells.append(
            [
                row["kernel"],
                *times,
                "" if buffers is None else f"{digits(buffers)} MB",
                f"{row['error']:.1e}" if "error" in row else "",
                *(
                    "" if same is None else "same bits" if same else "other bits"
                    for same in (row.get("sums_same_bits"), row.get("step_same_bits"))
                ),
            ]
        )
    return markdown_table(COLUMNS, cells)


class Subject:
    """A synthetic graph, and every kernel on it."""

    def __init__(self, edges: int, names: Sequence[str], options: Any) -> None:
        """Draws the graph, and adds it up in float64."""
        part = interactions(edges, seed=0)
        shape = {"num_users": part.num_users, "num_items": part.num_items}
        graph = build_graph(part.user, part.item, np.ones(edges), **shape)
        self.edges, self.nodes = edges, part.num_users + part.num_items
        self.everyone = [Measured(each, graph, options) for each in names]
        self.exact = exact_sums(graph, self.everyone[0].x)
        _say(f"{edges:,} edges, {self.nodes:,} nodes: made")

    def text(self) -> str:
        """A heading and the table."""
        rows = table([one.row for one in self.everyone])
        return f"\n## {self.edges:,} edges, {self.nodes:,} nodes\n\n{rows}"


def _say(text: str) -> None:
    print(f"{time.monotonic() - _START:6.1f} s  {text}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints the tables and says where they are."""
    parser = argparse.ArgumentParser(prog="benchmarks/run.sh kernels", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--edges", default=f"{GOWALLA},{LARGE}", help="of each graph")
    parser.add_argument("--only", default="", help="kernels whose names begin so, by commas")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=85, help="after which nothing is begun")
    parser.add_argument("--steps", type=int, default=4, help="in one dispatch")
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--dtype", choices=DTYPES, default="float32", help="of gathered rows")
    parser.add_argument("--threads", type=int, default=8, help="that compile")
    options = parser.parse_args(arguments)
    options.until = time.monotonic() + options.seconds
    Measured.tolerance = 1e-5 if options.dtype == "float32" else 1e-2
    device = jax.devices()[0]
    wanted = [prefix.strip() for prefix in options.only.split(",") if prefix.strip()]
    names = [
        name
        for name in KERNELS
        if (not wanted or any(name.startswith(prefix) for prefix in wanted))
        and unavailable_reason(name, device.platform) is None
    ]
    if not names:
        parser.error(f"--only is {options.only!r}; no kernel that can be had here begins so")
    made: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "device": f"{device.platform} ({device.device_kind})",
        "versions": {"jax": jax.__version__, "jaxlib": jax.lib.__version__},
        "settings": {k: v for k, v in vars(options).items() if k not in ("out", "until")},
        "rows": [],
    }
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    title = f"jax {jax.__version__} on {made['device']}, {options.dim} dimensions, "
    title += f"{options.layers} layers, batch {options.batch:,}, {options.dtype}\n"
    done: list[Subject] = []
    for edges in options.edges.split(","):
        if time.monotonic() > options.until:
            _say(f"{edges} edges: left out, no time is left")
            continue
        graph = Subject(int(edges), names, options)
        done.append(graph)
        for what in ("sums", "step"):
            _say(f"{graph.edges:,} edges: {what}")
            measure(graph.everyone, what, graph.exact, options)
            made["rows"] = [one.row for subject in done for one in subject.everyone]
            text = title + "".join(subject.text() for subject in done)
            write_json(out / "kernels.json", made)
            with replacing(out / "kernels.md") as temporary:
                temporary.write_text(text, encoding="utf-8")
    print(title + "".join(subject.text() for subject in done))
    return 1 if any("error_text" in row for row in made["rows"]) else 0


if __name__ == "__main__":
    sys.exit(main())
