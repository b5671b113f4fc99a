"""Negative sampling: exact for each user, or shared by all users of a batch.

A sampler for batches of edges is a function like `sample_negatives`, one for batches of users a
function like `shared_negatives`.
"""

import math

import jax
import jax.numpy as jnp

from jaxrec.gcn.batches import BatchInteractions
from jaxrec.gcn.shares import from_owner, own_rows
from jaxrec.gcn.training_graph import ItemMass, TrainingGraph

LANES = 64  # columns are multiplied fastest in multiples of it
ROOM = 0.75  # of the draws: where their different items need less they are brought together


def sample_negatives(
    key: jax.Array, data: TrainingGraph, users: jax.Array, num_negatives: int
) -> tuple[jax.Array, jax.Array]:
    """Items each user hasn't interacted with, drawn independently and exactly, at a fixed cost.

    Uniform: with the user's sorted positives p_0 < ... < p_(m-1), draw r uniformly from
    [0, num_items - m) and return r + #{k : p_k - k <= r}, counted by binary search in the row.
    With masses the same holds with the mass before p_k in place of p_k - k, and the item that owns
    the resulting mass is returned; equal masses give the uniform case.

    Args:
      key: the step's `jax.random` key.
      data: the graph, whose edges are the positives, and how likely each item is.
      users: [n] int32.
      num_negatives: draws per user.

    Returns:
      items [n, num_negatives] int32, and [n] bool, False for a user who has interacted with every
      item (whose items then mean nothing).
    """
    graph, num_items, mass = data.graph, data.graph.num_items, data.mass
    row, mine = own_rows(graph.user_places, users, graph.to_users.num_rows)
    start, stop = graph.to_users.offsets[row], graph.to_users.offsets[row + 1]
    if mass is None:
        available = num_items - (stop - start)
    else:
        available = mass.cumulative[-1] - _row_mass(graph.items, mass, start, stop)
    draw = uniform_below(key, jnp.maximum(available, 1)[:, None], (len(users), num_negatives))

    def skipped_before(edge: jax.Array) -> jax.Array:
        if mass is not None:
            return mass.before[edge]
        return graph.items[edge] - (edge - start[:, None])

    def halve(_: int, bounds: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = bounds
        middle = (low + high) // 2
        # `middle` may lie past the last edge where the range is empty; it then counts for nothing.
        passed = skipped_before(jnp.minimum(middle, graph.num_edges - 1)) <= draw
        passed &= low < high
        return jnp.where(passed, middle + 1, low), jnp.where(passed, high, middle)

    bounds = tuple(jnp.broadcast_to(end[:, None], draw.shape) for end in (start, stop))
    low, _ = jax.lax.fori_loop(0, graph.num_edges.bit_length(), halve, bounds)
    if mass is None:
        items = draw + (low - start[:, None])
    else:
        passed = _row_mass(graph.items, mass, jnp.broadcast_to(start[:, None], low.shape), low)
        items = jnp.searchsorted(mass.cumulative, draw + passed, side="right").astype(jnp.int32) - 1
    return from_owner(mine, (jnp.minimum(items, num_items - 1), available > 0))


def _row_mass(items: jax.Array, mass: ItemMass, start: jax.Array, stop: jax.Array) -> jax.Array:
    """Mass of a row's positives from edge `start` up to `stop`, without a sum over them."""
    last = jnp.maximum(stop - 1, 0)
    through_last = mass.cumulative[items[last] + 1] - mass.before[last]
    return jnp.where(stop > start, through_last, 0)


def shared_negatives(
    key: jax.Array, data: TrainingGraph, batch: BatchInteractions, num_negatives: int
) -> tuple[jax.Array, jax.Array]:
    """Items drawn for a whole batch of users; those that a user knows are left out for that user.

    With masses of alpha 1 an item is as likely as it is to be in a batch: what in-batch negatives
    are, without their dependence on the batch.

    Args:
      key: the step's `jax.random` key.
      data: the graph, and how likely each item is.
      batch: n users with all their edges.
      num_negatives: draws.

    Returns:
      items [m] int32, with repetition, and [n, m] float32, the logarithm of each item's share of
      the draws: all of it at one of its places, -inf at its others and where the user knows it.
      m is the number of draws; of few items, many of which are drawn repeatedly, it is smaller
      (`most_distinct`).
    """
    return weigh_draws(draw_items(key, data, num_negatives), batch, num_items=data.graph.num_items)


def draw_items(key: jax.Array, data: TrainingGraph, num_draws: int) -> jax.Array:
    """[num_draws] int32, items drawn independently, with repetition."""
    if data.mass is None:
        return uniform_below(key, jnp.int32(data.graph.num_items), (num_draws,))
    draw = uniform_below(key, data.mass.cumulative[-1], (num_draws,))
    return jnp.searchsorted(data.mass.cumulative, draw, side="right").astype(jnp.int32) - 1


def count_once(items: jax.Array, *, num_items: int) -> tuple[jax.Array, jax.Array]:
    """Marks one of each item's places in a list of draws, and counts the draws there.

    Args:
      items: [m] int32, with repetition.
      num_items: how many items there are.

    Returns:
      place [num_items] int32: where each item is marked, -1 where it was not drawn; and count [m]
      int32: how often the item was drawn at its marked place, 0 at the others.
    """
    place = (
        jnp.full(num_items, -1, jnp.int32).at[items].max(jnp.arange(len(items), dtype=jnp.int32))
    )
    return place, jnp.zeros(len(items), jnp.int32).at[place[items]].add(1)


def log_shares(count: jax.Array) -> jax.Array:
    """[m] float32, the logarithm of each place's share of all draws; -inf where it has none.

    Args:
      count: [m] int32, from `count_once`.
    """
    return jnp.where(count > 0, jnp.log(jnp.maximum(count, 1) / jnp.sum(count)), -jnp.inf)


def weigh_draws(
    items: jax.Array, batch: BatchInteractions, *, num_items: int
) -> tuple[jax.Array, jax.Array]:
    """What `shared_negatives` returns, for draws of any kind, [d] int32.

    Different items beyond `most_distinct` would be left out, and the shares be those of the rest.
    """
    place, count = count_once(items, num_items=num_items)
    room = most_distinct(num_items, len(items))
    if room < ROOM * len(items):
        (kept,) = jnp.nonzero(count > 0, size=room, fill_value=len(items))
        rank = jnp.cumsum(count > 0) - 1  # of a place among those kept
        place = jnp.where(place < 0, place, rank[place])
        count = count.at[kept].get(mode="fill", fill_value=0)
        items = items.at[kept].get(mode="clip")  # what fills up has been drawn, too
    drawn = place[batch.item]
    known = jnp.where(batch.is_edge & (drawn >= 0), drawn, len(items))
    nothing = jnp.zeros((len(batch.user), len(items)), bool)
    is_known = nothing.at[batch.row, known].set(True, mode="drop")
    return items, jnp.where(is_known, -jnp.inf, log_shares(count))


def most_distinct(num_items: int, num_draws: int) -> int:
    """A number of different items that draws don't exceed, rounded up to a multiple of LANES.

    The most are to be expected of uniform draws, n (1 - (1 - 1/n)^draws), and of any draws more
    than 4 sqrt(n) above that have a probability below exp(-32): which items are drawn is negatively
    associated, so Hoeffding's bound holds.

    Args:
      num_items: n.
      num_draws: with repetition, independent, whatever is likely.
    """
    missed = (1 - 1 / num_items) ** num_draws
    most = min(num_items, num_items * (1 - missed) + 4 * math.sqrt(num_items))
    return LANES * math.ceil(most / LANES)


def uniform_below(key: jax.Array, bound: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Integers drawn uniformly from [0, bound).

    The high word of a 64-bit random number times the bound (Lemire 2019,
    https://arxiv.org/abs/1805.10941); no value is favoured by more than bound / 2**64.
    `jax.random.randint` favours some by up to a quarter for bounds near 2**30.

    Args:
      key: a `jax.random` key.
      bound: int32, > 0, broadcast to `shape`.
      shape: of the result.

    Returns:
      [*shape] int32.
    """
    high, low = jax.random.bits(key, (2, *shape), jnp.uint32)
    bound = jnp.broadcast_to(bound, shape).astype(jnp.uint32)
    product_high, product_low = _multiply(high, bound)
    carry_in, _ = _multiply(low, bound)
    overflow = (product_low + carry_in) < product_low
    return (product_high + overflow).astype(jnp.int32)


def _multiply(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
    """High and low words of the 64-bit product of two uint32 arrays."""
    a_low, a_high, b_low, b_high = a & 0xFFFF, a >> 16, b & 0xFFFF, b >> 16
    cross, other = a_low * b_high, a_high * b_low
    middle = ((a_low * b_low) >> 16) + (cross & 0xFFFF) + (other & 0xFFFF)
    return a_high * b_high + (cross >> 16) + (other >> 16) + (middle >> 16), a * b
