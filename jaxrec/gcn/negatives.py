"""Negative sampling: exact for each listener, or shared by all listeners of a batch."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxrec.gcn.graph import Adjacency

MAX_MASS = 2**30  # total of the integer masses; leaves room for sums in int32


@struct.dataclass
class ItemMass:
    """How likely each song is as a negative, in whole numbers so that sums are exact.

    Attributes:
      cumulative: [num_items + 1] int32; song i owns the masses `cumulative[i]:cumulative[i + 1]`.
      before: [num_edges] int32, for each edge in (user, item) order the mass of the songs before
        this one that the user has not listened to.
    """

    cumulative: jax.Array
    before: jax.Array


def popularity_mass(positives: Adjacency, *, num_items: int, alpha: float) -> ItemMass:
    """Masses proportional to (number of listeners)^alpha, at least 1 each, on the host.

    Mikolov et al. 2013, https://arxiv.org/abs/1310.4546, use alpha 0.75; 0 is uniform. The
    rounding to whole numbers is below one part in 10^4 for catalogues of up to 100,000 songs.

    Args:
      positives: the users' rows (`graph.to_users`).
      num_items: how many songs there are, at most 2**30.
      alpha: the exponent.

    Raises:
      ValueError: more songs than masses.
    """
    if num_items > MAX_MASS:
        raise ValueError(f"{num_items:,} songs: popularity masses exist for at most {MAX_MASS:,}")
    items = np.asarray(positives.senders)
    listeners = np.maximum(np.bincount(items, minlength=num_items), 1)
    share = listeners.astype(np.float64) ** alpha
    share /= share.sum()
    mass = np.maximum(1, np.floor(share * (MAX_MASS - num_items))).astype(np.int64)
    cumulative = np.concatenate([[0], np.cumsum(mass)])
    offsets = np.asarray(positives.offsets).astype(np.int64)
    running = np.concatenate([[0], np.cumsum(mass[items])])[:-1]  # over all rows, before each edge
    row_start = np.repeat(np.append(running, 0)[offsets[:-1]], np.diff(offsets))
    before = cumulative[items] - (running - row_start)
    return ItemMass(jnp.asarray(cumulative, jnp.int32), jnp.asarray(before, jnp.int32))


def sample_negatives(
    key: jax.Array,
    positives: Adjacency,
    users: jax.Array,
    *,
    num_items: int,
    num_negatives: int,
    mass: ItemMass | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Songs each user hasn't listened to, drawn independently and exactly, at a fixed cost.

    Uniform: with the user's sorted positives p_0 < ... < p_(m-1), draw r uniformly from
    [0, num_items - m) and return r + #{k : p_k - k <= r}, counted by binary search in the row.
    With masses the same holds with the mass before p_k in place of p_k - k, and the song that owns
    the resulting mass is returned; equal masses give the uniform case.

    Args:
      key: the step's `jax.random` key.
      positives: the users' rows (`graph.to_users`).
      users: [n] int32.
      num_items: how many songs there are.
      num_negatives: draws per user.
      mass: how likely each song is; None for uniform.

    Returns:
      items [n, num_negatives] int32, and [n] bool, False for a user who has listened to every
      song (its items then mean nothing).
    """
    start, stop = positives.offsets[users], positives.offsets[users + 1]
    if mass is None:
        available = num_items - (stop - start)
    else:
        available = mass.cumulative[-1] - _row_mass(positives, mass, start, stop)
    draw = uniform_below(key, jnp.maximum(available, 1)[:, None], (len(users), num_negatives))

    def skipped_before(edge: jax.Array) -> jax.Array:
        if mass is not None:
            return mass.before[edge]
        return positives.senders[edge] - (edge - start[:, None])

    def halve(_: int, bounds: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = bounds
        middle = (low + high) // 2
        # `middle` may lie past the last edge where the range is empty; it then counts for nothing.
        passed = skipped_before(jnp.minimum(middle, positives.num_edges - 1)) <= draw
        passed &= low < high
        return jnp.where(passed, middle + 1, low), jnp.where(passed, high, middle)

    bounds = tuple(jnp.broadcast_to(end[:, None], draw.shape) for end in (start, stop))
    low, _ = jax.lax.fori_loop(0, positives.num_edges.bit_length(), halve, bounds)
    if mass is None:
        items = draw + (low - start[:, None])
    else:
        passed = _row_mass(positives, mass, jnp.broadcast_to(start[:, None], low.shape), low)
        items = jnp.searchsorted(mass.cumulative, draw + passed, side="right").astype(jnp.int32) - 1
    return jnp.minimum(items, num_items - 1), available > 0


def _row_mass(positives: Adjacency, mass: ItemMass, start: jax.Array, stop: jax.Array) -> jax.Array:
    """Mass of a row's positives from edge `start` up to `stop`, without a sum over them."""
    last = jnp.maximum(stop - 1, 0)
    through_last = mass.cumulative[positives.senders[last] + 1] - mass.before[last]
    return jnp.where(stop > start, through_last, 0)


def shared_negatives(
    key: jax.Array, *, num_items: int, num_negatives: int, mass: ItemMass | None = None
) -> jax.Array:
    """Songs drawn independently for a whole batch, with repetition.

    With masses of alpha 1 a song is as likely as it is to be in a batch: what in-batch negatives
    are, without their dependence on the batch.

    Args:
      key: the step's `jax.random` key.
      num_items: how many songs there are.
      num_negatives: draws.
      mass: how likely each song is; None for uniform.

    Returns:
      [num_negatives] int32.
    """
    if mass is None:
        return uniform_below(key, jnp.int32(num_items), (num_negatives,))
    draw = uniform_below(key, mass.cumulative[-1], (num_negatives,))
    return jnp.searchsorted(mass.cumulative, draw, side="right").astype(jnp.int32) - 1


def count_once(items: jax.Array, *, num_items: int) -> tuple[jax.Array, jax.Array]:
    """Marks one of each song's places in a list of draws, and counts the draws there.

    Args:
      items: [n] int32, songs with repetition.
      num_items: how many songs there are.

    Returns:
      place [num_items] int32: where each song is marked, -1 where it was not drawn; and count [n]
      int32: how often the song was drawn at its marked place, 0 at the others.
    """
    place = (
        jnp.full(num_items, -1, jnp.int32).at[items].max(jnp.arange(len(items), dtype=jnp.int32))
    )
    return place, jnp.zeros(len(items), jnp.int32).at[place[items]].add(1)


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
