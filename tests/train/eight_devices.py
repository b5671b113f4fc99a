"""What happens on 1 to 8 devices, as JSON: run by test_mesh.py in a process that has eight.

`XLA_FLAGS=--xla_force_host_platform_device_count=8 python -m tests.train.eight_devices`
"""

import json
import sys
from typing import Any

import jax
import numpy as np

from benchmarks.wire import compiled_step, received_bytes
from jaxrec.config import RunConfig
from jaxrec.data.interactions import IdMap, Interactions
from jaxrec.gcn.embeddings import Embeddings
from jaxrec.models.histories import Histories
from jaxrec.rank.top_k import Seen, top_k
from jaxrec.runs.arrays import tree_digest
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
}


def interactions_of(ratings: np.ndarray) -> Interactions:
    user, item = np.nonzero(ratings)
    ids = (IdMap(np.arange(size)) for size in ratings.shape)
    return Interactions(user, item, np.ones(len(user)), None, *ids)


def ratings_of(name: str) -> np.ndarray:
    if name == "few":  # three users and five items: fewer rows than devices, some without an edge
        return np.array([[1, 1, 0, 0, 0], [0, 0, 0, 0, 0], [0, 1, 1, 0, 0]]) > 0
    return np.random.default_rng(0).random((40, 30)) < 0.2


def recipe_of(recipe: str, devices: int) -> RunConfig:
    fields = {"model__dim": 8, "batch_size": 24, "epochs": 3, "lr": 0.02}
    return config_with(mesh__devices=devices, **fields | RECIPES[recipe])


def setup_of(name: str, recipe: str, devices: int) -> Setup:
    return build(recipe_of(recipe, devices), interactions_of(ratings_of(name)))


def advance(setup: Setup, state: Any, epochs: range) -> Any:
    for epoch in epochs:
        state, _ = setup.train_epoch(state, epoch, on_steps=lambda edges, loss: None)
    return state


def learnt(name: str, recipe: str, devices: int) -> dict[str, Any]:
    """Digests of the state after three epochs, and of what is ranked by."""
    setup = setup_of(name, recipe, devices)
    state = advance(setup, setup.fresh_state(), range(3))
    digests = {"state": tree_digest(setup.in_order(state))}
    if name == "random":
        final = setup.final_embeddings(state.params)
        digests |= {"final": tree_digest(final)}
        digests |= {"messages": tree_digest(setup.item_messages(state.params))}
    return digests


def resumed(devices: list[int]) -> str:
    """An epoch on so many devices after another: the digest of the state after all of them."""
    state = None
    for epoch, count in enumerate(devices):
        setup = setup_of("random", "bpr", count)
        state = setup.fresh_state() if state is None else setup.placed(state)
        state = jax.tree.map(
            np.asarray, setup.in_order(advance(setup, state, range(epoch, epoch + 1)))
        )
    return tree_digest(state)


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


def wire(devices: int) -> float:
    """Bytes that each device receives in a step of BPR with 2,000 users and 1,500 items."""
    ratings = np.zeros((2000, 1500), bool)
    ratings[np.arange(2000), np.arange(2000) % 1500] = True
    config = config_with(
        mesh__devices=devices, model__dim=16, model__layers=2, batch_size=32, model__kernel="csr"
    )
    return received_bytes(compiled_step(config, interactions_of(ratings)), devices)


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
        for recipe in RECIPES
    }
    json.dump(
        {
            "learnt": found,
            "carried": {
                name: {count: carried(name, count) for count in counts}
                for name, counts in graphs.items()
            },
            "resumed": {"1, 8, 2": resumed([1, 8, 2]), "8, 2, 1": resumed([8, 2, 1])},
            "lists": lists(),
            "wire": {count: wire(count) for count in (2, 4, 8)},
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
