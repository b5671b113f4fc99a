"""What is tried for data of a size: from the numbers of users, items and edges alone, no clock."""

import dataclasses
import math

from jaxrec.rank.top_k import USERS_PER_SCORING
from jaxrec.search.auto.closed_form_searches import closed_forms as searches_of
from jaxrec.search.auto.network_search import network
from jaxrec.search.auto.searches import Effort, Search, Size


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
    searches = [*searches_of(size, effort, closed_forms), network(size, effort, parts)]
    searches = [each for each in searches if filters or each.cost != "sums"]
    ends = ENDS if passes > PASSES else 0
    return Plan(fresh, tuple(each for each in searches if each.most), filters, ends)
