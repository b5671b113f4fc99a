"""What happens on 1 to 8 devices, as JSON: run by test_mesh.py in a process that has eight.

`XLA_FLAGS=--xla_force_host_platform_device_count=8 python -m tests.train.eight_devices`
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.wire import compiled_step, largest_array, received_bytes
from jaxrec.config import RunConfig
from jaxrec.data.ids import IdMap
from jaxrec.data.interactions import Interactions
from jaxrec.gcn.embeddings import Embeddings
from jaxrec.models.histories import Histories
from jaxrec.models.method import Saved
from jaxrec.rank.seen import Seen
from jaxrec.rank.top_k import top_k
from jaxrec.runs.arrays import tree_digest
from jaxrec.runs.checkpoint import Checkpoints
from jaxrec.runs.starting import params_of
from jaxrec.runs.trained import Trained
from jaxrec.train.carrying import Start
from jaxrec.train.network import NetworkFitting
from jaxrec.train.setup import Setup, build
from tests.configurations import config_with
from tests.rank.models import factors, users_of

RECIPES: dict[str, dict[str, Any]] = {
    "bpr": {"loss__negatives": 2, "model__layers": 3},
    "softmax": {
        "loss__name": "softmax",
        "loss__negatives": 16,
        "loss__sampler": "popularity",
        "model__layers": 1,
    },
    "lightgcn++": {"model__layers": 2, "model__unit_layers": True, "model__sender_exponent": 0.4},
}


def interactions_of(ratings: np.ndarray) -> Interactions:
    user, item = np.nonzero(ratings)
    ids = (IdMap(np.arange(size)) for size in ratings.shape)
    return Interactions(user, item, np.ones(len(user)), None, *ids)


def ratings_of(name: str) -> np.ndarray:
    if name == "few":  # three users and five items: fewer rows than devices, some without an edge
        return np.array([[1, 1, 0, 0, 0], [0, 0, 0, 0, 0], [0, 1, 1, 0, 0]]) > 0
    return np.random.default_rng(0).random((40, 30)) < 0.2


LOSSES = ("bpr", "softmax")
SAME_BITS = {"mesh__loss": "repeated"}


def recipe_of(recipe: str, devices: int, **changes: Any) -> RunConfig:
    # No number of devices divides the batch. The same for all, so that little is compiled.
    fields = {"model__dim": 8, "batch_size": 23, "epochs": 12, "lr": 0.02}
    return config_with(mesh__devices=devices, **fields | RECIPES[recipe] | changes)


def setup_of(name: str, recipe: str, devices: int, **changes: Any) -> Setup:
    return build(recipe_of(recipe, devices, **changes), interactions_of(ratings_of(name)))


def advance(setup: Setup, state: Any, epochs: range) -> Any:
    for epoch in epochs:
        state, _ = setup.train_epoch(state, epoch, on_steps=lambda edges, loss: None)
    return state


def learnt(name: str, recipe: str, devices: int, **changes: Any) -> dict[str, Any]:
    """Digests of the state after three epochs, and of what is ranked by."""
    setup = setup_of(name, recipe, devices, **SAME_BITS | changes)
    state = advance(setup, setup.fresh_state(), range(3))
    digests = {"state": tree_digest(setup.in_order(state))}
    if name == "random":
        final = setup.final_embeddings(state.params)
        digests |= {"final": tree_digest(final)}
        digests |= {"messages": tree_digest(setup.item_messages(state.params))}
    return digests


def resumed(name: str, recipe: str, devices: list[int], epochs: int = 1, **changes: Any) -> Any:
    """Some epochs on so many devices after another: the state after all of them.

    Each goes on from the checkpoint that those before it have left.
    """
    with tempfile.TemporaryDirectory() as folder, Checkpoints(Path(folder)) as checkpoints:
        for part, count in enumerate(devices):
            setup = setup_of(name, recipe, count, **changes)
            state = setup.fresh_state()
            if part:
                state = setup.placed(checkpoints.restore(part, setup.awaited_state()).arrays)
            state = advance(setup, state, range(epochs * part, epochs * (part + 1)))
            checkpoints.save(Saved(setup.dealt(state)), step=part + 1, score=None)
            checkpoints.wait()
        return checkpoints.restore(len(devices), jax.eval_shape(setup.whole_state)).arrays


def shared(name: str, recipe: str, plans: list[list[int]], **changes: Any) -> list[float]:
    """How far from one device's what is learnt is, after 12 epochs; by a shared loss, as is usual.

    Args:
      name: of the graph.
      recipe: in `RECIPES`.
      plans: the numbers of devices that a run has, one after another.
      **changes: of the recipe.

    Returns:
      For each plan the most that a parameter is apart.
    """

    def params(devices: list[int]) -> list[np.ndarray]:
        state = resumed(name, recipe, devices, 12 // len(devices), **changes)
        return jax.tree.leaves(state.params)

    one = params([1])
    apart = [zip(params(plan), one, strict=True) for plan in plans]
    return [max(float(np.abs(a - b).max()) for a, b in tables) for tables in apart]


def narrow(kernel: str, dtype: str) -> list[str]:
    """Digests of final embeddings on one device, and on eight of which each gathers some columns.

    Columns at a time: all, 3 of 8 (so that the last three overlap with those before), and 4.
    """

    def digest(devices: int, columns: int) -> str:
        changes = {"model__kernel": kernel, "model__dtype": dtype, "mesh__gather_dims": columns}
        setup = setup_of("random", "bpr", devices, **changes)
        return tree_digest(setup.final_embeddings(setup.fresh_state().params))

    return [digest(1, 0), digest(1, 3), *(digest(8, columns) for columns in (0, 3, 4))]


def carried(name: str, devices: int) -> list[str]:
    """What a run lets another begin with, and the state of one that has begun: their digests.

    The other run knows all but the first user and the first item.
    """
    config, train = recipe_of("bpr", devices), interactions_of(ratings_of(name))
    fitting = NetworkFitting(config, build(config, train))
    made_of = fitting, fitting.fresh()
    learnt: Any = params_of(Trained(config, None, None, 0, made_of))  # type: ignore[arg-type]
    user, item = (-np.asarray(table)[1:] for table in (learnt.user, learnt.item))
    ids = (IdMap(np.arange(1, len(table) + 1)) for table in (user, item))
    start = Start(*ids, Embeddings(user=user, item=item), "")  # type: ignore[arg-type]
    state, said = fitting.started_from(start, train)
    return [tree_digest(learnt), tree_digest(fitting.setup.in_order(state)), said]


def wire(devices: int, loss: str, gather_dims: int = 0) -> dict[str, float]:
    """Bytes that each device receives in a step of BPR with 2,000 users and 1,500 items.

    And how many numbers the largest array of a device has.
    """
    ratings = np.zeros((2000, 1500), bool)
    ratings[np.arange(2000), np.arange(2000) % 1500] = True
    mesh = {"mesh__devices": devices, "mesh__loss": loss, "mesh__gather_dims": gather_dims}
    config = config_with(model__dim=16, model__layers=2, batch_size=32, model__kernel="csr", **mesh)
    program = compiled_step(config, interactions_of(ratings))
    return {"received": received_bytes(program, devices), "largest": largest_array(program)}


def lists() -> str:
    """A digest of the lists of 600 users, what they have listened to left out."""
    rng = np.random.default_rng(0)
    model = factors(*(rng.normal(size=(size, 16)).astype(np.float32) for size in (600, 700)))
    heard = Histories.of_items([np.sort(rng.choice(700, 9, False)) for _ in range(600)], 700)
    seen = Seen(heard.offsets, heard.items)
    users = users_of(np.arange(600), 700)
    return tree_digest(top_k(model, users, k=20, seen=seen, memory_budget_mb=1))


def main() -> None:
    """Prints all of it."""
    graphs = {"random": (1, 2, 8), "few": (1, 8)}
    found = {
        f"{name} {recipe}": {count: learnt(name, recipe, count) for count in counts}
        for name, counts in graphs.items()
        for recipe in LOSSES
    }
    json.dump(
        {
            "learnt": found,
            "carried": {
                name: {count: carried(name, count) for count in counts}
                for name, counts in graphs.items()
            },
            "resumed": [
                tree_digest(resumed("random", "bpr", plan, **SAME_BITS))
                for plan in ([1, 8, 2], [8, 2, 1])
            ],
            "gathered by columns": {
                recipe: [
                    learnt("random", recipe, count, mesh__gather_dims=3)["state"]
                    for count in counts
                ]
                for recipe, counts in {"bpr": (2, 8), "softmax": (8,)}.items()
            },
            "whole graph": [
                tree_digest(setup_of("random", "bpr", count).whole_graph()) for count in (1, 8)
            ],
            "narrow": {
                f"{kernel} {dtype}": narrow(kernel, dtype)
                for kernel, dtype in (("csr", "float32"), ("segment_sum", "bfloat16"))
            },
            "unit layers": shared("random", "lightgcn++", [[8]], **SAME_BITS),
            "shared": {
                recipe: {
                    "random": shared("random", recipe, [[8], [2, 8, 1]]),
                    "few": shared("few", recipe, [[8]]),
                }
                for recipe in LOSSES
            },
            "again": {
                recipe: [tree_digest(resumed("random", recipe, [8], 12)) for _ in range(2)]
                for recipe in LOSSES
            },
            "lists": lists(),
            "wire": {
                loss: {count: wire(count, loss) for count in counts}
                for loss, counts in {"shared": (2, 8), "repeated": (8,)}.items()
            },
            "wire by columns": wire(8, "shared", gather_dims=4),
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
