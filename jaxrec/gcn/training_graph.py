"""What a training step reads of the data: the graph, and how likely each item is as a negative."""

import jax
import numpy as np
from flax import struct

from jaxrec.gcn.edges import BLOCK_EDGES
from jaxrec.gcn.graph import BipartiteGraph

MAX_MASS = 2**30  # total of the integer masses; leaves room for sums in int32


@struct.dataclass
class ItemMass:
    """How likely each item is as a negative, in whole numbers so that sums are exact.

    Attributes:
      cumulative: [num_items + 1] int32; item i owns the masses `cumulative[i]:cumulative[i + 1]`.
      before: [num_edges] int32, for each edge in (user, item) order the mass of the items before
        this one that the user has not interacted with.
    """

    cumulative: jax.Array
    before: jax.Array


@struct.dataclass
class TrainingGraph:
    """The graph to train on.

    Attributes:
      graph: the normalised graph.
      mass: how likely each item is as a negative; None for uniform.
    """

    graph: BipartiteGraph
    mass: ItemMass | None = None


def cumulative_mass(users_of: np.ndarray, *, alpha: float) -> np.ndarray:
    """Masses proportional to (number of users)^alpha, at least 1 each, added up.

    Mikolov et al. 2013, https://arxiv.org/abs/1310.4546, use alpha 0.75; 0 is uniform. The
    rounding to whole numbers is below one part in 10^4 for catalogues of up to 100,000 items.

    Args:
      users_of: [num_items] int, how many users each item has; at most 2**30 items.
      alpha: the exponent.

    Returns:
      [num_items + 1] int32, as of `ItemMass`.

    Raises:
      ValueError: more items than masses.
    """
    num_items = len(users_of)
    if num_items > MAX_MASS:
        raise ValueError(f"{num_items:,} songs: popularity masses exist for at most {MAX_MASS:,}")
    share = np.maximum(users_of, 1).astype(np.float64) ** alpha
    share /= share.sum()
    mass = np.maximum(1, np.floor(share * (MAX_MASS - num_items))).astype(np.int64)
    return np.concatenate([[0], np.cumsum(mass)]).astype(np.int32)


def mass_before(offsets: np.ndarray, items: np.ndarray, cumulative: np.ndarray) -> np.ndarray:
    """For each edge the mass of the items before its own that its user has not interacted with.

    Args:
      offsets: [num_users + 1] int, where the users' edges begin.
      items: [n] int, each edge's item, increasing within a user; what follows the edges is padding.
      cumulative: [num_items + 1] int32, as of `ItemMass`.

    Returns:
      [n] int32; 0 for padding.
    """
    before, mass = np.zeros(len(items), np.int32), np.diff(cumulative)
    first = 0
    while first < len(offsets) - 1:  # some users at a time, which bounds the memory
        most = int(offsets[first]) + BLOCK_EDGES
        last = max(first + 1, int(np.searchsorted(offsets, most, side="right")) - 1)
        start, stop = int(offsets[first]), int(offsets[last])
        own = items[start:stop]
        known = np.concatenate([[0], np.cumsum(mass[own], dtype=np.int64)])
        starts = offsets[first:last] - start
        of_user = np.repeat(known[starts], np.diff(offsets[first : last + 1]))
        before[start:stop] = cumulative[own] - (known[:-1] - of_user)
        first = last
    return before
