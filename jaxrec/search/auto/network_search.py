"""How the network's settings are searched: what fits into the work that an effort allows."""

import math
from typing import Any

from jaxrec.search.auto.climb import Axis
from jaxrec.search.auto.searches import Effort, Search, Size

# Seconds of training that the search may take, as counted below.
TRAINING = {"quick": 50.0, "normal": 200.0, "thorough": 1500.0}
EPOCHS = {"quick": 20, "normal": 40, "thorough": 80}
FEWEST_EPOCHS = 8
# Of an epoch; multiples of the steps in a dispatch, so that one program is compiled and not two.
FEWEST_STEPS, MOST_STEPS, SMALLEST_BATCH = 16, 64, 1_000
MANY_ITEMS = 10_000
FEWEST_NEGATIVES, MOST_LOGITS = 1_024, 2**27  # of a batch, the latter: half a GiB, a few times over
TIMES_LONGER = 3  # the epochs of the best settings, where patience hadn't run out at their end
SETTINGS = 5  # of the network, that should be tried before epochs are many
ENOUGH = 9  # settings that there must be time for, so that the last may be of longer vectors
SHORT, LONG = 64, 256  # numbers in a vector
LONG_GAIN = 0.01  # that the longer ones must bring, as all that follows takes four times as long
MOST_SETTINGS = {"quick": 3, "normal": 11, "thorough": 30}
# About what a step takes on two processors of 2026, by what it is made of. A count, not a clock:
# the same data give the same plan everywhere.
PER_EDGE, PER_NODE, PER_LOGIT, PER_STEP = 2e-8, 1.4e-7, 8e-9, 2e-3
# Below so many edges a setting of the network takes longer to compile than to train.
SMALL, MOST_IF_SMALL = 20_000, 4


def network(size: Size, effort: Effort, parts: int) -> Search:
    """A softmax of cosines; a batch is a share of the edges: a step costs a pass over them all."""
    steps = max(FEWEST_STEPS, min(MOST_STEPS, size.edges // SMALLEST_BATCH // 16 * 16))
    lr = 0.002
    negatives = 2 ** min(12, max(4, math.ceil(math.log2(max(size.items, 2)))))
    allowed = TRAINING[effort] / parts
    while steps > FEWEST_STEPS and FEWEST_EPOCHS * _epoch(size, steps, negatives) > allowed:
        steps, lr = steps // 2, lr * 2  # fewer and longer ones
    while negatives > FEWEST_NEGATIVES and size.users // steps * negatives > MOST_LOGITS:
        negatives //= 2
    epoch = _epoch(size, steps, negatives)
    epochs = max(FEWEST_EPOCHS, min(EPOCHS[effort], int(allowed / SETTINGS / epoch)))
    most = max(1, int(allowed / (epochs * epoch)))
    start = {
        **_epochs(epochs),
        "batch_size": -(-size.edges // steps),
        "lr": lr,
        "model.layers": 1,
        "model.dim": SHORT,
        "model.init_stddev": 0.01,
        "loss.name": "softmax",
        "loss.sampler": "popularity",
        "loss.popularity_alpha": 0.75,
        "loss.negatives": negatives,
        "loss.negative_weight": 1.0,
        # Of many items more are far from what a user likes: a sharper loss.
        "loss.temperature": 0.2 if size.items < MANY_ITEMS else 0.14,
        "loss.l2": 0.0,
        "eval.patience": 2,
    }
    most = min(most, MOST_SETTINGS[effort])
    if size.edges < SMALL and effort == "normal":
        most = min(most, MOST_IF_SMALL)
    # A step takes up to four times as long, so it must be a short one.
    dims = (SHORT, LONG) if most >= ENOUGH else (SHORT,)
    axes: list[Axis] = [
        ("loss.temperature", (0.05, 0.07, 0.1, 0.14, 0.2, 0.28, 0.4, 0.56)),
        ("model.layers", (1, 2, 3)),
        ("loss.popularity_alpha", (0.0, 0.25, 0.5, 0.75, 1.0)),
        ("loss.negative_weight", (0.7, 0.84, 1.0)),
        # Late, as from there on all takes up to four times as long; before the learning rate, of
        # which longer vectors want less.
        ("model.dim", dims),
        ("lr", (0.0005, 0.001, 0.002, 0.004, 0.008)),
    ]
    longer: dict[str, Any] = {}
    slowest = dims[-1] / SHORT
    if TIMES_LONGER * epochs * epoch * slowest <= allowed:  # else that alone is more than all
        longer = _epochs(TIMES_LONGER * epochs)
    dear = {"model.dim": {LONG: 1 + LONG_GAIN}}
    return Search("gcn", start, axes, most, "steps", longer, parts, dear, slowest)


def _epochs(count: int) -> dict[str, Any]:
    """So many epochs, with a look at validation after each tenth of them.

    Looks are two epochs apart or more: patience counts looks, and a single epoch is luck.
    """
    return {"epochs": count, "eval.every_epochs": max(2, count // 10)}


def _epoch(size: Size, steps: int, negatives: int) -> float:
    """Seconds, as they are counted above."""
    a_step = PER_STEP + PER_EDGE * size.edges + PER_NODE * (size.users + size.items)
    return steps * a_step + PER_LOGIT * size.users * negatives
