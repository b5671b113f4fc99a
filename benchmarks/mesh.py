"""What a training step takes on several devices of one machine, by how its loss is computed.

    XLA_FLAGS=--xla_force_host_platform_device_count=8 python -m benchmarks.mesh

prints a table for a graph of about Gowalla's size. Virtual devices share the machine's cores: what
one of them does is waited for by the others, so that work which all of them repeat counts as often
as there are devices, and nothing is faster than on one.
"""

import argparse
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from benchmarks.synthetic_graph import interactions
from benchmarks.tables import markdown_table
from configs import gowalla, gowalla_paper
from jaxrec.config import read_config
from jaxrec.data.interactions import Interactions
from jaxrec.train.setup import build
from jaxrec.train.step import train_steps

RECIPES = {"bpr": gowalla_paper, "softmax": gowalla}


class Step:
    """A compiled step of a recipe with other settings, and how long it took each time.

    Attributes:
      name: in the table.
      temporary: bytes that XLA sets apart on each device beside the state and the graph.
      seconds: of each call of `take`.
    """

    def __init__(self, name: str, recipe: str, train: Interactions, fields: dict[str, Any]) -> None:
        config = RECIPES[recipe].get_config()
        config.update_from_flattened_dict(fields)
        setup = build(read_config(config.to_dict()), train)
        key = jax.random.key(0)
        order = setup.known_to_all(setup.batches.order(key)[:1])
        self.name = name
        self.seconds: list[float] = []
        self._state = setup.fresh_state()
        self._rest = (setup.data, order, key)
        self._step = train_steps.lower(
            self._state,
            *self._rest,
            objective=setup.objective,
            optimizer=setup.optimizer,
            mesh=setup.mesh,
        ).compile()
        self.temporary = self._step.memory_analysis().temp_size_in_bytes

    def take(self) -> None:
        """One step."""
        start = time.perf_counter()
        self._state, _ = jax.block_until_ready(self._step(self._state, *self._rest))
        self.seconds.append(time.perf_counter() - start)


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", choices=RECIPES, default="bpr")
    parser.add_argument("--edges", type=int, default=810_128)
    parser.add_argument("--batch_size", type=int, help="edges of a batch; else the recipe's")
    parser.add_argument("--gather_dims", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args(arguments)
    train = interactions(options.edges, seed=0)
    common = {} if options.batch_size is None else {"batch_size": options.batch_size}
    several = len(jax.devices())
    columns = f", {options.gather_dims} dimensions at a time"
    ways = [
        ("one device", 1, "shared", 0),
        ("repeated", several, "repeated", 0),
        ("shared", several, "shared", 0),
        ("repeated" + columns, several, "repeated", options.gather_dims),
        ("shared" + columns, several, "shared", options.gather_dims),
    ]
    steps = []
    for name, devices, loss, gather_dims in ways:
        mesh = {"mesh.devices": devices, "mesh.loss": loss, "mesh.gather_dims": gather_dims}
        steps.append(Step(name, options.recipe, train, common | mesh))
    for _ in range(options.rounds + 1):
        for step in steps:
            step.take()
    rows = [
        [
            step.name,
            f"{1e3 * min(step.seconds[1:]):,.1f} ms",
            f"{1e3 * float(np.median(step.seconds[1:])):,.1f} ms",
            f"{step.temporary / 1e6:,.1f} MB",
        ]
        for step in steps
    ]
    print(f"{options.recipe}, {len(train):,} edges, {several} devices, {options.rounds} rounds\n")
    print(markdown_table(["loss", "least", "median", "temporary memory of a device"], rows))


if __name__ == "__main__":
    main()
