"""What a compiled program receives from other devices, counted from its collectives.

    XLA_FLAGS=--xla_force_host_platform_device_count=8 python -m benchmarks.wire

prints a table for steps of BPR on a graph of about Gowalla's size.
"""

import math
import re

import jax

from benchmarks.synthetic_graph import interactions
from configs import gowalla_paper
from jaxrec.config import RunConfig, read_config
from jaxrec.data.interactions import Interactions
from jaxrec.train.loop import STEPS_PER_DISPATCH
from jaxrec.train.setup import build
from jaxrec.train.step import train_steps

_COLLECTIVE = re.compile(r"= (.+?) (all-gather|all-reduce)(?:-start)?\(")
_OTHER = re.compile(r" (reduce-scatter|all-to-all|collective-[a-z]+)(?:-start)?\(")
_SHAPE = re.compile(r"(pred|[a-z]+\d+)\[([\d,]*)\]")


def received_bytes(program: str, devices: int) -> float:
    """Bytes that each device receives while each collective of a program runs once.

    A ring brings every device all parts of a gathered array but its own, (P - 1) / P of it; and of
    a summed one as much twice, the parts of the sum and then the other parts' sums.

    Args:
      program: of `Compiled.as_text`; a loop's body counts once.
      devices: P.

    Raises:
      ValueError: there is a collective of another kind.
    """
    if other := _OTHER.search(program):
        raise ValueError(f"{other[1]}, and all-gather and all-reduce alone can be counted")
    share = (devices - 1) / devices
    return sum(
        share * (2 if kind == "all-reduce" else 1) * _bytes_of(shapes)
        for shapes, kind in _COLLECTIVE.findall(program)
    )


def step_receives(
    *, rows: int, dim: int, layers: int, devices: int, batch_rows: int, itemsize: int = 4
) -> float:
    """What a step of BPR receives by the design: 2 L tables, and the batch's rows.

    Args:
      rows: users and items.
      dim: length of an embedding.
      layers: L.
      devices: P.
      batch_rows: rows that the loss reads, of layer 0 and of the last layer, negatives among them.
      itemsize: bytes of a number that is gathered.
    """
    share = (devices - 1) / devices
    return share * dim * (2 * layers * rows * itemsize + 2 * batch_rows * 4)


def _bytes_of(shapes: str) -> int:
    """Of an array, or of all in a tuple."""
    return sum(
        math.prod(int(size) for size in sizes.split(",") if size) * _itemsize(kind)
        for kind, sizes in _SHAPE.findall(re.sub(r"\{[^}]*\}|/\*.*?\*/", "", shapes))
    )


def _itemsize(kind: str) -> int:
    return 1 if kind == "pred" else int(re.sub(r"\D", "", kind)) // 8


def compiled_step(config: RunConfig, train: Interactions) -> str:
    """The program of a dispatch of training steps on the configuration's devices."""
    setup = build(config, train)
    key = jax.random.key(0)
    order = setup.known_to_all(setup.batches.order(key)[:STEPS_PER_DISPATCH])
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
    """Prints a row for 2, 4 and 8 devices."""
    train = interactions(810_128, seed=0)
    config = gowalla_paper.get_config()
    for devices in (2, 4, 8):
        config.mesh.devices = devices
        run = read_config(config.to_dict())
        counted = received_bytes(compiled_step(run, train), devices)
        told = step_receives(
            rows=train.num_users + train.num_items,
            dim=run.model.dim,
            layers=run.model.layers,
            devices=devices,
            batch_rows=2 * run.batch_size * (2 + run.loss.negatives),
        )
        print(
            f"| {devices} | {counted / 1e6:.2f} MB | {told / 1e6:.2f} MB | {counted / told:.4f} |"
        )


if __name__ == "__main__":
    main()
