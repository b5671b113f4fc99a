"""Starts from prepared data: some steps of training, an evaluation of a sample, lists for some.

`benchmarks.prepare` runs it in a process of its own.
"""

import argparse
import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measuring import resident_mb
from jaxrec.api.recommender import Recommender
from jaxrec.config import read_config
from jaxrec.models.method import Hooks, unseen
from jaxrec.rank.asked import of_users
from jaxrec.rank.measure import Measure
from jaxrec.report.console import Console
from jaxrec.runs.methods import fitting_of
from jaxrec.runs.prepare import prepare_split


class _Enough(Exception):
    """The steps that were asked for are made."""

    def __init__(self, state: Any) -> None:
        super().__init__()
        self.state = state


def main(arguments: Sequence[str] | None = None) -> None:
    """Does it all, and writes how long each part took.

    Args:
      arguments: of the command line, None for the process's own.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prepared", type=Path)
    for name in ("steps", "dim", "layers", "batch", "lists"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--result", type=Path, required=True)
    given = parser.parse_args(arguments)
    config = read_config(
        {
            "quiet": True,
            "batch_size": given.batch,
            "data": {"source": "listens", "path": str(given.prepared)},
            "model": {"dim": given.dim, "layers": given.layers},
            "loss": {"name": "softmax", "negatives": 256},
        }
    )
    seconds: dict[str, float] = {}
    peaks: dict[str, float] = {}

    @contextlib.contextmanager
    def timed(name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        seconds[name] = time.perf_counter() - began
        peaks[name] = resident_mb(peak=True) / 1e3
        print(f"{name}: {seconds[name]:,.1f} s, at most {peaks[name]:.1f} GB so far", flush=True)

    with timed("the split"):
        split = prepare_split(config, Console(quiet=True))
    with timed("the graph"):
        fitting = fitting_of(config, split.train)
        state = fitting.fresh()

    def stop(state: Any, _: float) -> None:
        raise _Enough(state)

    hooks = Hooks(
        show=unseen,
        longest_seconds=0.0,
        pause_at=lambda step: step >= given.steps,
        on_pause=stop,
    )
    with timed(f"{given.steps} steps"):
        try:
            state, _ = fitting.advance(state, 0, hooks)
        except _Enough as enough:
            state = enough.state
    with timed("the model"):
        model = fitting.model(state)
    with timed("evaluation of a sample"):
        measured = Measure(config, split).at_epoch(model)
    with timed(f"lists for {given.lists:,} listeners"):
        recommender = Recommender(model, config, split)
        known = np.unique(split.train.user)
        chosen = np.random.default_rng(0).choice(known, min(given.lists, len(known)), replace=False)
        asked = of_users(split, config, np.sort(chosen), "exclude")
        rows = sum(len(table) for _, table in recommender.lists(asked, k=10))
    told = {
        "seconds": seconds,
        "peaks_gb": peaks,
        "train": len(split.train),
        "counts": split.counts(),
        "measured": measured,
        "rows of lists": rows,
    }
    given.result.write_text(json.dumps(told, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
