"""What is tried for data of a size: from the numbers of users, items and edges alone, no clock."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from jaxrec.data.interactions import Interactions
from jaxrec.rank.top_k import USERS_PER_SCORING
from jaxrec.search.auto.climb import Axis

Effort = Literal["quick", "normal", "thorough"]
Cost = Literal["inverse", "products", "sums", "steps"]


@dataclasses.dataclass(frozen=True)
class Size:
    """How large the data are.

    Attributes:
      users: who have an interaction.
      items: which have one.
      edges: interactions.
      pairs: entries of the products of items, the sum of the users' squared degrees.
    """

    users: int
    items: int
    edges: int
    pairs: int

    @classmethod
    def of(cls, train: Interactions) -> "Size":
        """The size of what is learnt from."""
        degrees = np.bincount(train.user, minlength=1).astype(np.int64)
        return cls(
            users=int((degrees > 0).sum()),
            items=len(np.unique(train.item)),
            edges=len(train),
            pairs=int((degrees * degrees).sum()),
        )


@dataclasses.dataclass(frozen=True)
class Search:
    """How one method's settings are searched.

    Attributes:
      method: its name.
      start: the settings to begin with, by field.
      axes: what is changed, the most important first; each with values alike in their order.
      most: settings tried at most.
      cost: what a fit spends its time on: an inverse of items by items, products of the matrix with
        itself, sums over the graph (when ranking), or steps of training.
      longer: fields that the best settings get where patience hadn't run out when their epochs
        ended; empty where there are none, or no time for it.
      parts: how many parts, at most, each setting is fitted to.
    """

    method: str
    start: Mapping[str, Any]
    axes: Sequence[Axis]
    most: int
    cost: Cost
    longer: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    parts: int = 1

    @property
    def trained(self) -> bool:
        """Whether it is trained in steps, and no closed form."""
        return self.cost == "steps"

    @property
    def chooses(self) -> bool:
        """Whether there is a setting to choose; else the one fit for the blend is enough."""
        return self.most > 1 or self.trained


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is tried.

    Attributes:
      fresh: by how many parts the blend is chosen; 0: those that choose settings.
      searches: one for each method, the cheap ones first.
      walks: whether walks may count beside the network.
      ends: of each item that walks are cut to at last; 0 for all of them.
    """

    fresh: int
    searches: tuple[Search, ...]
    walks: bool
    ends: int = 0


# Users that scores should be a mean over: below, a part's luck is larger than what settings bring.
USERS = {"quick": 3_000, "normal": 5_000, "thorough": 20_000}
MEASURED = {"quick": 3_000, "normal": 10_000, "thorough": 20_000}  # of a part, at most
MOST_PARTS = {"quick": 1, "normal": 2, "thorough": 4}
EARLIER = 2  # at least so many parts before the latest, where test is later than train
FEW_USERS, FRESH = 10_000, {"quick": 2, "normal": 4, "thorough": 8}
TRIED = {"quick": 2, "normal": 5, "thorough": 20}  # settings of a method that is fitted at once
SCORES = {"quick": 5e7, "normal": 5e8, "thorough": 1e9}  # of users and items, held at once

# What one method's search may take: seconds of the network's training, as counted below;
# multiplications of EASE's inverses; entries of products.
TRAINING = {"quick": 50.0, "normal": 200.0, "thorough": 1500.0}
CUBES = {"quick": 2e11, "normal": 1.2e13, "thorough": 3e14}
VECTORS = {"quick": 8e5, "normal": 2.4e6, "thorough": 2e7}  # edges that GF-CF's are searched for in
PAIRS = {"quick": 5e9, "normal": 1e10, "thorough": 1e11}
# Visits of edges that ranking everybody by sums over the graph may take: one for every 64 users.
FILTERED = {"quick": 1e10, "normal": 3e10, "thorough": 3e11}
# Visits in ranking everybody, above which walks are cut to their best ends: lists come faster then.
PASSES, ENDS = 1e8, 500
EPOCHS = {"quick": 20, "normal": 40, "thorough": 80}
FEWEST_EPOCHS = 8
# Of an epoch; multiples of the steps in a dispatch, so that one program is compiled and not two.
FEWEST_STEPS, MOST_STEPS, SMALLEST_BATCH = 16, 64, 1_000
MANY_ITEMS = 10_000
FEWEST_NEGATIVES, MOST_LOGITS = 1_024, 2**27  # of a batch, the latter: half a GiB, a few times over
TIMES_LONGER = 3  # the epochs of the best settings, where patience hadn't run out at their end
SETTINGS = 5  # of the network, that should be tried before epochs are many
ENOUGH = 9  # settings that there must be time for, so that longer vectors are tried, too
MOST_SETTINGS = {"quick": 3, "normal": 12, "thorough": 30}
# About what a step takes on two processors of 2026, by what it is made of. A count, not a clock:
# the same data give the same plan everywhere.
PER_EDGE, PER_NODE, PER_LOGIT, PER_STEP = 2e-8, 1.4e-7, 8e-9, 2e-3
# Below so many edges a setting of the network takes longer to compile than to train.
SMALL, MOST_IF_SMALL = 20_000, 4


def more_parts(size: Size, effort: Effort) -> int:
    """On how many parts a blend is judged, and on how many others closed forms choose.

    For the first each costs one fit of each method's best. What a member adds is less than what the
    luck of a part of few users does, and so is what a closed form's settings do, which costs
    little.
    """
    return FRESH[effort] if size.users < FEW_USERS else parts_and_users(size, effort)[0]


def parts_and_users(size: Size, effort: Effort) -> tuple[int, int]:
    """How many parts of train, of this size, choose the network, and of how many users each is."""
    parts = min(MOST_PARTS[effort], math.ceil(USERS[effort] / max(size.users, 1)))
    return parts, int(max(500, min(MEASURED[effort], SCORES[effort] / max(size.items, 1))))


def plan(size: Size, effort: Effort, *, parts: int, closed_forms: int, fresh: int) -> Plan:
    """What is tried.

    Args:
      size: of what is learnt from in a part.
      effort: how much may be tried.
      parts: how many parts each setting of the network is fitted to.
      closed_forms: and of a closed form, at most.
      fresh: how many more the best ones are.
    """
    passes = size.users / USERS_PER_SCORING * size.edges
    filters = passes <= FILTERED[effort]
    searches = [*_closed_forms(size, effort, closed_forms), _network(size, effort, parts)]
    searches = [each for each in searches if filters or each.cost != "sums"]
    ends = ENDS if passes > PASSES else 0
    return Plan(fresh, tuple(each for each in searches if each.most), filters, ends)


def _closed_forms(size: Size, effort: Effort, parts: int) -> list[Search]:
    tried = TRIED[effort]

    def within(budget: float, cost: int) -> tuple[int, int]:
        """How many settings, fitted to how many parts: rather fewer than nothing to choose."""
        fits = budget / max(1, cost)
        own = max(1, min(parts, int(fits / 2)))
        return min(tried, int(fits / own)), own

    by_pairs, pairs_parts = within(PAIRS[effort], size.pairs)
    by_vectors, vectors_parts = within(VECTORS[effort], size.edges)
    by_cubes, cubes_parts = within(CUBES[effort], size.items**3)
    vectors = [each for each in (16, 32, 64, 128, 256, 512) if each < min(size.users, size.items)]
    walks = Search(
        "walks",
        {"walks.exponent": 0.35, "walks.longer": 0.3},
        [
            ("walks.exponent", (-0.1, 0.05, 0.2, 0.35, 0.5, 0.65)),
            ("walks.longer", (0.0, 0.3, 0.6, 0.9)),
        ],
        tried,
        "sums",
        parts=parts,
    )
    itemknn = Search(
        "itemknn",
        {
            "baseline.itemknn.neighbours": 100,
            "baseline.itemknn.shrink": 0.0,
            "baseline.itemknn.normalize": True,
        },
        [
            ("baseline.itemknn.normalize", (True, False)),
            ("baseline.itemknn.shrink", (0.0, 10.0, 30.0, 100.0, 300.0)),
            ("baseline.itemknn.neighbours", (25, 50, 100, 200, 400)),
        ],
        by_pairs,
        "products",
        parts=pairs_parts,
    )
    rp3beta = Search(
        "rp3beta",
        {
            "baseline.rp3beta.neighbours": 200,
            "baseline.rp3beta.alpha": 0.6,
            "baseline.rp3beta.beta": 0.3,
        },
        [
            ("baseline.rp3beta.beta", (0.0, 0.15, 0.3, 0.45, 0.6)),
            ("baseline.rp3beta.alpha", (0.4, 0.6, 0.8, 1.0, 1.2)),
            ("baseline.rp3beta.neighbours", (50, 100, 200, 400)),
        ],
        by_pairs,
        "products",
        parts=pairs_parts,
    )
    gfcf = (
        Search(
            "gfcf",
            {
                "baseline.gfcf.singular_vectors": vectors[len(vectors) // 2],
                "baseline.gfcf.low_pass_weight": 0.3,
            },
            [
                ("baseline.gfcf.low_pass_weight", (0.0, 0.15, 0.3, 0.6, 1.0)),
                ("baseline.gfcf.singular_vectors", vectors),
            ],
            by_vectors,
            "sums",
            parts=vectors_parts,
        )
        if vectors
        else None
    )
    ease = Search(
        "ease",
        {"baseline.ease.l2": 200.0, "baseline.ease.l2_exponent": 0.25},
        [
            ("baseline.ease.l2", (6.0, 20.0, 60.0, 200.0, 600.0, 2000.0)),
            ("baseline.ease.l2_exponent", (0.0, 0.25, 0.5, 0.75)),
        ],
        by_cubes,
        "inverse",
        parts=cubes_parts,
    )
    return [each for each in (walks, itemknn, rp3beta, gfcf, ease) if each is not None]


def _network(size: Size, effort: Effort, parts: int) -> Search:
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
        "model.dim": 64,
        "model.init_stddev": 0.01,
        "loss.name": "softmax",
        "loss.sampler": "popularity",
        "loss.popularity_alpha": 0.75,
        "loss.negatives": negatives,
        "loss.negative_weight": 1.0,
        # Of many items more are far from what a user likes: a sharper loss.
        "loss.temperature": 0.2 if size.items < MANY_ITEMS else 0.14,
        "loss.l2": 0.0,
        "eval.patience": 3,
    }
    axes: list[Axis] = [
        ("loss.temperature", (0.05, 0.07, 0.1, 0.14, 0.2, 0.28, 0.4, 0.56)),
        ("model.layers", (0, 1, 2, 3)),
        # A step takes as many times as long, so it must be a short one.
        ("model.dim", (64, 128, 256) if most >= ENOUGH else (64,)),
        ("loss.popularity_alpha", (0.0, 0.25, 0.5, 0.75, 1.0)),
        ("loss.negative_weight", (0.7, 0.84, 1.0)),
        ("lr", (0.0005, 0.001, 0.002, 0.004, 0.008)),
    ]
    most = min(most, MOST_SETTINGS[effort])
    if size.edges < SMALL and effort == "normal":
        most = min(most, MOST_IF_SMALL)
    longer: dict[str, Any] = {}
    if TIMES_LONGER * epochs * epoch <= allowed:  # else that alone is more than there is time for
        longer = _epochs(TIMES_LONGER * epochs)
    return Search("gcn", start, axes, most, "steps", longer, parts)


def _epochs(count: int) -> dict[str, Any]:
    """So many epochs, with a look at validation after each tenth of them.

    Looks are two epochs apart or more: patience counts looks, and a single epoch is luck.
    """
    return {"epochs": count, "eval.every_epochs": max(2, count // 10)}


def _epoch(size: Size, steps: int, negatives: int) -> float:
    """Seconds, as they are counted above."""
    a_step = PER_STEP + PER_EDGE * size.edges + PER_NODE * (size.users + size.items)
    return steps * a_step + PER_LOGIT * size.users * negatives
