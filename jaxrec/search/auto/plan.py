"""What is tried for data of a size: from the numbers of users, items and edges alone, no clock."""

import dataclasses
import math

from jaxrec.models.ease import multiplications
from jaxrec.models.slim import entries as slim_entries
from jaxrec.rank.top_k import USERS_PER_SCORING
from jaxrec.search.auto.network_search import network
from jaxrec.search.auto.searches import TRIED, Effort, Search, Size


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
SCORES = {"quick": 5e7, "normal": 5e8, "thorough": 1e9}  # of users and items, held at once

# What one closed form's search may take: multiplications of EASE's inverses; entries of products.
INVERSES = {"quick": 2e11, "normal": 1.2e13, "thorough": 3e14}
VECTORS = {"quick": 8e5, "normal": 2.4e6, "thorough": 2e7}  # edges that GF-CF's are searched for in
PAIRS = {"quick": 5e9, "normal": 1e10, "thorough": 1e11}
MOST_NEIGHBOURS = 200  # of an item in SLIM
OF_SLIM = {"quick": 2, "normal": 8, "thorough": 20}  # settings: each of its three fields matters
NEIGHBOURS = {"quick": 6e6, "normal": 3e7, "thorough": 6e8}  # of SLIM's items, each with as many
# Of more items SLIM is left to whoever asks for it: on Gowalla's 41,000 both rules took it instead
# of walks, and its test lists were 2% worse (docs/lab/slim.md).
SLIM_ITEMS = {"quick": 30_000, "normal": 30_000, "thorough": 300_000}
# Visits of edges that ranking everybody by sums over the graph may take: one for every 64 users.
FILTERED = {"quick": 1e10, "normal": 3e10, "thorough": 3e11}
# Visits in ranking everybody, above which walks are cut to their best ends: lists come faster then.
PASSES, ENDS = 1e8, 500


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
    searches = [*_closed_forms(size, effort, closed_forms), network(size, effort, parts)]
    searches = [each for each in searches if filters or each.cost != "sums"]
    ends = ENDS if passes > PASSES else 0
    return Plan(fresh, tuple(each for each in searches if each.most), filters, ends)


def _closed_forms(size: Size, effort: Effort, parts: int) -> list[Search]:
    tried = TRIED[effort]

    def within(fits: float, most: int = tried) -> tuple[int, int]:
        """How many settings, fitted to how many parts: rather fewer than nothing to choose."""
        own = max(1, min(parts, int(fits / 2)))
        return min(most, int(fits / own)), own

    inverse = multiplications(size.users, size.items, size.edges)
    by_pairs, pairs_parts = within(PAIRS[effort] / max(1, size.pairs))
    by_vectors, vectors_parts = within(VECTORS[effort] / max(1, size.edges))
    by_inverses, inverses_parts = within(INVERSES[effort] / max(1, inverse))
    by_neighbours, neighbours_parts = within(
        min(
            NEIGHBOURS[effort] / max(1, MOST_NEIGHBOURS * size.items),
            PAIRS[effort] / max(1, slim_entries(size.items, size.pairs, MOST_NEIGHBOURS)),
        )
        * (size.items <= SLIM_ITEMS[effort]),
        OF_SLIM[effort],
    )
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
        by_inverses,
        "inverse",
        parts=inverses_parts,
    )
    slim = Search(
        "slim",
        {
            "baseline.slim.neighbours": 100,
            "baseline.slim.l2": 60.0,
            "baseline.slim.l2_exponent": 0.5,
        },
        [
            ("baseline.slim.l2", (6.0, 20.0, 60.0, 200.0, 600.0, 2000.0)),
            ("baseline.slim.neighbours", (50, 100, MOST_NEIGHBOURS)),
            ("baseline.slim.l2_exponent", (0.0, 0.25, 0.5, 0.75)),
        ],
        by_neighbours,
        "regressions",
        parts=neighbours_parts,
    )
    return [each for each in (walks, itemknn, rp3beta, gfcf, slim, ease) if each is not None]
