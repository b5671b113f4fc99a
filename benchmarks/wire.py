"""What a compiled program receives from other devices, counted from its collectives.

    XLA_FLAGS=--xla_force_host_platform_device_count=8 python -m benchmarks.wire

prints a table for steps of BPR on a graph of about Gowalla's size.
"""

import functools
import itertools
import math
import re

import jax

from benchmarks.synthetic_graph import interactions
from configs import gowalla_paper
from jaxrec.config import RunConfig, read_config
from jaxrec.data.interactions import Interactions
from jaxrec.train.setup import build
from jaxrec.train.step import train_steps

_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) [^\n]*\{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_CALLED = re.compile(r"(body|calls|to_apply|branch_computations)=\{?((?:%[\w.\-]+(?:, )?)+)")
_NAME = re.compile(r"%([\w.\-]+)")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"')
_COLLECTIVE = re.compile(r"= (.+?) (all-gather|all-reduce)(?:-start)?\(")
_OTHER = re.compile(r" (reduce-scatter|all-to-all|collective-[a-z]+)(?:-start)?\(")
_SHAPE = re.compile(r"(pred|[a-z]+\d+)\[([\d,]*)\]")


def received_bytes(program: str, devices: int) -> float:
    """Bytes that each device receives while a program runs, counted from its collectives.

    A ring brings every device all parts of a gathered array but its own, (P - 1) / P of it; and of
    a summed one as much twice, the parts of the sum and then the other parts' sums.

    Args:
      program: of `Compiled.as_text`.
      devices: P.

    Raises:
      ValueError: there is a collective of another kind, or one in a loop that runs nobody knows how
        often.
    """
    if other := _OTHER.search(program):
        raise ValueError(f"{other[1]}, and all-gather and all-reduce alone can be counted")
    lines = {name: text.splitlines() for _, name, text in _COMPUTATION.findall(program)}
    [entry] = (name for is_entry, name, _ in _COMPUTATION.findall(program) if is_entry)

    @functools.cache
    def of_computation(name: str) -> float:
        return sum(map(of_line, lines[name]))

    def of_line(line: str) -> float:
        received = 0.0
        if found := _COLLECTIVE.search(line):
            received = (2 if found[2] == "all-reduce" else 1) * _bytes_of(found[1])
        for how, names in _CALLED.findall(line):
            of_called = sum(map(of_computation, _NAME.findall(names)))
            if how == "body" and of_called:
                if (trips := _TRIPS.search(line)) is None:
                    raise ValueError(f"a loop that runs nobody knows how often: {line.strip()}")
                of_called *= int(trips[1])
            received += of_called
        return received

    return (devices - 1) / devices * of_computation(entry)


def largest_array(program: str) -> int:
    """How many numbers the largest array of a program has."""
    return max(_numbers(sizes) for _, sizes in _SHAPE.findall(program))


def step_receives(
    *,
    rows: int,
    dim: int,
    layers: int,
    devices: int,
    batch_rows: int,
    loss: str = "shared",
    itemsize: int = 4,
) -> float:
    """What a step of BPR receives by the design: 2 L tables, and the batch's rows.

    Where the loss is shared, rows of the last layer are summed over the devices, which counts
    twice, and their gradients gathered. Where it is repeated, rows of layer 0 and of the last layer
    are summed.

    Args:
      rows: users and items.
      dim: length of an embedding.
      layers: L.
      devices: P.
      batch_rows: rows that the batch names, those of negatives among them.
      loss: as `config.mesh.loss`.
      itemsize: bytes of a number that is gathered.
    """
    share = (devices - 1) / devices
    times = {"shared": 3, "repeated": 4}[loss]
    return share * dim * (2 * layers * rows * itemsize + times * batch_rows * 4)


def _bytes_of(shapes: str) -> int:
    """Of an array, or of all in a tuple."""
    return sum(
        _numbers(sizes) * _itemsize(kind)
        for kind, sizes in _SHAPE.findall(re.sub(r"\{[^}]*\}|/\*.*?\*/", "", shapes))
    )


def _numbers(sizes: str) -> int:
    return math.prod(int(size) for size in sizes.split(",") if size)


def _itemsize(kind: str) -> int:
    return 1 if kind == "pred" else int(re.sub(r"\D", "", kind)) // 8


def compiled_step(config: RunConfig, train: Interactions) -> str:
    """The program of one training step on the configuration's devices."""
    setup = build(config, train)
    key = jax.random.key(0)
    order = setup.known_to_all(setup.batches.order(key)[:1])
    program = train_steps.lower(
        setup.fresh_state(),
        setup.data,
        order,
        key,
        objective=setup.objective,
        optimizer=setup.optimizer,
        mesh=setup.mesh,
    )
    return str(program.compile().as_text())


def main() -> None:
    """Prints a row for 2, 4 and 8 devices and each way to compute the loss."""
    train = interactions(810_128, seed=0)
    config = gowalla_paper.get_config()
    for loss, devices in itertools.product(("shared", "repeated"), (2, 4, 8)):
        config.mesh.loss, config.mesh.devices = loss, devices
        run = read_config(config.to_dict())
        counted = received_bytes(compiled_step(run, train), devices)
        told = step_receives(
            rows=train.num_users + train.num_items,
            dim=run.model.dim,
            layers=run.model.layers,
            devices=devices,
            batch_rows=run.batch_size * (2 + run.loss.negatives),
            loss=loss,
        )
        columns = f"{counted / 1e6:.2f} MB | {told / 1e6:.2f} MB | {counted / told:.4f}"
        print(f"| {loss} | {devices} | {columns} |")


if __name__ == "__main__":
    main()
