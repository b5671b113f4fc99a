"""What training would take past the machines that are at hand: a projection, not a measurement.

`./benchmarks/run.sh scale` calls this and prints the tables of docs/scale.md. The model counts
bytes: those that a step moves in a device's memory, as `benchmarks.roofline` does, and those that
it receives over the wire; it divides them by what the makers say of the hardware and by what share
of that is assumed to be reached, and adds the two times up, as if nothing overlapped.
"""

import argparse
import dataclasses
import math
import sys
from collections.abc import Sequence

from benchmarks.roofline import FLOAT, INT, step_bytes
from benchmarks.tables import markdown_table
from benchmarks.wire import step_receives
from jaxrec.gcn.convolution import LightGCN
from jaxrec.gcn.message_passing import Sums
from jaxrec.gcn.objectives import EdgeObjective
from jaxrec.gcn.shares import gathered_share
from jaxrec.gcn.sharing import Sharing

MILLION, BILLION = 10**6, 10**9
LARGEST_INT32 = 2**31 - 1
_ROWS_OF_EDGE = 3  # of BPR: a listener, a song, a negative


@dataclasses.dataclass(frozen=True)
class Data:
    """A graph's size.

    Attributes:
      name: in the table.
      users: how many.
      items: how many.
      edges: pairs of both.
    """

    name: str
    users: int
    items: int
    edges: int


@dataclasses.dataclass(frozen=True)
class Hardware:
    """Devices that reach each other.

    Attributes:
      name: in the table.
      devices: how many.
      memory: bytes of each.
      memory_speed: bytes a second between a device and its memory.
      wire_speed: bytes a second that a device receives from the others.
    """

    name: str
    devices: int
    memory: float
    memory_speed: float
    wire_speed: float


@dataclasses.dataclass(frozen=True)
class Settings:
    """How it is trained, and what is assumed.

    Attributes:
      dim: length of an embedding.
      layers: of the convolution.
      steps: updates in an epoch; a batch is a share of the edges.
      reached: the share of the two speeds that is reached.
      gather_dims: as `config.mesh.gather_dims`.
    """

    dim: int = 64
    layers: int = 3
    steps: int = 1000
    reached: float = 0.5
    gather_dims: int = 0

    def batch_size(self, data: Data) -> int:
        """Edges of a batch."""
        return data.edges // self.steps


# Yambda-5B: https://arxiv.org/abs/2505.22238; every interaction is taken for a pair of its own,
# which is too many. The larger one is made up, a listener for 100 edges and a song for 1,000.
DATA = (
    Data("Yambda-5B", 1 * MILLION, 9_390_000, 4_790 * MILLION),
    Data("10 billion edges", 100 * MILLION, 10 * MILLION, 10 * BILLION),
)
# https://www.nvidia.com/en-us/data-center/h100/ (SXM; NVLink's 900 GB/s are both directions) and
# https://cloud.google.com/tpu/docs/v5e (1,600 Gbit/s a chip).
HARDWARE = (
    Hardware("8 H100", 8, 80e9, 3.35e12, 450e9),
    Hardware("TPU v5e-64", 64, 16e9, 819e9, 200e9),
)


def received_bytes(data: Data, devices: int, settings: Settings) -> float:
    """What a device receives in a step of BPR, forward and backward, by the design.

    Each layer gathers each table once in each direction. The rows of the batch, a listener, a song
    and a negative for each edge, are summed over the devices, and what is summed comes twice; their
    gradients are gathered.
    """
    return step_receives(
        rows=data.users + data.items,
        dim=settings.dim,
        layers=settings.layers,
        devices=devices,
        batch_rows=_ROWS_OF_EDGE * settings.batch_size(data),
    )


def moved_bytes(data: Data, devices: int, settings: Settings) -> float:
    """What a device moves in its memory in a step: its share, and what it receives once more.

    The edges' numbers and weights are read for each block of dimensions that is gathered.
    """
    blocks = math.ceil(1 / gathered_share(settings.gather_dims, settings.dim))
    again = (blocks - 1) * 2 * settings.layers * 2 * data.edges // devices * (INT + FLOAT)
    share = step_bytes(
        nodes=(data.users + data.items) // devices,
        edges=data.edges // devices,
        dim=settings.dim,
        layers=settings.layers,
        kernel="csr",
    )
    return share + again + 2 * received_bytes(data, devices, settings)


def device_bytes(data: Data, devices: int, settings: Settings) -> dict[str, float]:
    """What a device holds, by kind, in bytes, after `jaxrec.train.memory`.

    Dealt to the devices are parameters, Adam's two moments, propagation's three tables and the
    graph, with the songs of the listeners' edges. Each device has the whole of the epoch's order,
    since all form the same batches; and for a moment all rows of the tables that it gathers from,
    or some dimensions of them, and of the batch that they share.
    """
    rows = data.users + data.items
    table = rows * settings.dim * FLOAT
    graph = (2 * data.edges + rows) * (INT + FLOAT) + data.edges * INT
    objective = EdgeObjective(
        LightGCN(settings.layers, Sums("csr")),
        num_negatives=1,
        l2=0.0,
        sharing=Sharing(devices, settings.gather_dims),
    )
    return {
        "dealt": (6 * table + graph) / devices,
        "order": data.edges * INT,
        "gathered": table * gathered_share(settings.gather_dims, settings.dim),
        "batch": objective.batch_bytes(
            num_users=data.users,
            num_edges=data.edges,
            dim=settings.dim,
            batch_size=settings.batch_size(data),
            devices=devices,
        ),
    }


def projected(data: Data, hardware: Hardware, settings: Settings) -> dict[str, float]:
    """Seconds and bytes of a step on each device."""
    moved = moved_bytes(data, hardware.devices, settings)
    received = received_bytes(data, hardware.devices, settings)
    in_memory = moved / (hardware.memory_speed * settings.reached)
    on_wire = received / (hardware.wire_speed * settings.reached)
    return {
        "moved": moved,
        "received": received,
        "in memory": in_memory,
        "on the wire": on_wire,
        "epoch": settings.steps * (in_memory + on_wire),
        "held": sum(device_bytes(data, hardware.devices, settings).values()),
    }


def breaks_first(data: Data, hardware: Hardware, settings: Settings) -> str:
    """What stands in the way, the first thing first."""
    held = device_bytes(data, hardware.devices, settings)
    reasons = []
    if data.edges > LARGEST_INT32:
        reasons.append("edges are numbered in int32, and refused above 2,147,483,647")
    if sum(held.values()) > hardware.memory:
        largest = max(held, key=lambda kind: held[kind])
        reasons.append(
            f"{sum(held.values()) / 1e9:.0f} GB a device of {hardware.memory / 1e9:.0f}, "
            f"{held[largest] / 1e9:.0f} of them {_KINDS[largest]}"
        )
    return "; ".join(reasons) or "nothing that the model knows of"


_KINDS = {
    "dealt": "its share of the graph and of the tables",
    "order": "the epoch's order, which each device holds whole",
    "gathered": "tables that it gathers from",
    "batch": "the batch, whose rows each device has for a moment",
}


def tables(settings: Settings) -> str:
    """The projection in Markdown."""
    times, memory = [], []
    for data in DATA:
        for hardware in HARDWARE:
            found = projected(data, hardware, settings)
            held = device_bytes(data, hardware.devices, settings)
            place = [data.name, hardware.name]
            times.append(
                [
                    *place,
                    f"{found['moved'] / 1e9:,.0f} GB",
                    f"{found['received'] / 1e9:,.1f} GB",
                    f"{found['in memory']:,.2f} s",
                    f"{found['on the wire']:,.2f} s",
                    f"{found['epoch'] / 3600:,.1f} h",
                ]
            )
            memory.append(
                [
                    *place,
                    *(f"{held[kind] / 1e9:,.1f} GB" for kind in _KINDS),
                    breaks_first(data, hardware, settings),
                ]
            )
    header = ["data", "devices", "moved a step", "received a step", "in memory", "on the wire"]
    lines = [
        f"{settings.dim} dimensions, {settings.layers} layers, {settings.steps:,} steps an epoch, "
        f"{settings.reached:.0%} of the hardware's speeds reached, float32, "
        f"{settings.gather_dims or 'all'} dimensions gathered at a time:\n",
        markdown_table([*header, "an epoch"], times),
        "",
        markdown_table(
            ["data", "devices", "dealt", "order", "gathered", "batch", "breaks first"], memory
        ),
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the projection."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    usual = Settings()
    parser.add_argument("--dim", type=int, default=usual.dim)
    parser.add_argument("--layers", type=int, default=usual.layers)
    parser.add_argument("--steps", type=int, default=usual.steps, help="updates in an epoch")
    parser.add_argument(
        "--reached", type=float, default=usual.reached, help="share of the speeds reached"
    )
    parser.add_argument(
        "--gather_dims",
        type=int,
        default=usual.gather_dims,
        help="dimensions gathered at a time; 0 for all",
    )
    print(tables(Settings(**vars(parser.parse_args(arguments)))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
