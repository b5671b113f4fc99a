"""The part of a user's vector that training gives, for those who weren't there: solved for.

By the softmax loss; `bpr_vectors` has the other one.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from scipy import sparse

from jaxrec.models.histories import Histories
from jaxrec.models.model import Array

MOST_COMPARED = 8192  # items that stand for all; fewer rank worse, more take longer
EVENNESS = 0.75  # exponent of an item's share as a negative, by which those items are taken
STEPS = 16  # the loss is then within 1e-3 of its least for temperatures of .05 and more
LONGEST_STEP, STEP_SCALE, MOMENTUM = 0.7, 2.0, 0.5
ROWS = 16  # histories solved for at once, always: products of other shapes round differently
TINY = np.finfo(np.float32).tiny
LEAST = np.finfo(np.float32).min  # a logarithm in place of -inf, where all are known


class OwnVector(Protocol):
    """How what a user's vector is beside the sum of messages is found."""

    kind: ClassVar[str]

    def whole(self, histories: Histories, sums: np.ndarray, item: np.ndarray) -> np.ndarray:
        """The users' vectors, own and sum together: [n, dim] float32.

        Args:
          histories: [n], weighed as those that were learnt from.
          sums: [n, dim] float32, of the messages.
          item: [num_items, dim] float32, the items' vectors.
        """

    def parts(self, history: Histories, messages: np.ndarray, item: np.ndarray) -> np.ndarray:
        """What each entry of one history brings to the whole: [num_entries, dim] float32.

        Args:
          history: one.
          messages: [num_entries, dim] float32, what each brings to the sum.
          item: as of `whole`.
        """

    def arrays(self) -> dict[str, Array]:
        """What it is found with, by name."""

    def settings(self) -> dict[str, Any]:
        """The same beside the arrays, ready for JSON."""

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, Array], settings: Mapping[str, Any]) -> Self:
        """What `arrays` and `settings` tell of."""


@dataclasses.dataclass(frozen=True, eq=False)
class SoftmaxDirection:
    """Where a new user's vector points: the least of their part of the softmax loss.

    With the items' directions x held fixed, the direction v of a user with the history H lowers

        -<v, p> / t + w log sum_j q_j exp(<v, x_j> / t),  p the mean of x_i over H,

    over the unit sphere, where j runs over the items that the user doesn't know: the loss that the
    network was trained by (`gcn.losses.Softmax`). At the least of it v is the direction of
    p - w sum_j s_j x_j with the softmax s, which is where it is found: by gradient steps along the
    sphere with momentum, the same number for everybody. The whole vector is as long as theirs who
    were there, whose own vectors are about at right angles to the sum.

    Attributes:
      compared: [m] int32, distinct items that stand for all in the sum.
      shares: [m] float32, q.
      temperature: t.
      negative_weight: w.
      own_length: the root mean square length of own vectors of users who were there.
    """

    compared: np.ndarray
    shares: np.ndarray
    temperature: float
    negative_weight: float
    own_length: float = 0.0

    kind: ClassVar[str] = "softmax"

    def whole(self, histories: Histories, sums: np.ndarray, item: np.ndarray) -> np.ndarray:
        """The direction, at its length: [n, dim] float32."""
        return np.asarray(self.solve(histories, item)[0] * self._lengths(sums), np.float32)

    def parts(self, history: Histories, messages: np.ndarray, item: np.ndarray) -> np.ndarray:
        """Each entry's share in the mean direction, the length and the others' part held fixed."""
        _, share = self.solve(history, item)
        length = self._lengths(messages.sum(axis=0, keepdims=True))
        scale = share * length / max(len(history.items), 1)
        return np.asarray(scale * unit(item[history.items]), np.float32)

    def solve(self, histories: Histories, item: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The directions, and how much of each is the mean of what was listened to.

        Args:
          histories: [n].
          item: [num_items, dim] float32, the items' vectors, of any length.

        Returns:
          v [n, dim] float32, of length 1, zeros for an empty history; and [n, 1] float32, c of
          v = c p - (what is alike in other items).
        """
        found = np.zeros((len(histories), item.shape[1]), np.float32)
        share = np.zeros((len(histories), 1), np.float32)
        others = jnp.asarray(unit(item[self.compared]))
        loss = (others, self.shares, self.temperature, self.negative_weight)
        for start in range(0, len(histories), ROWS):
            rows = np.arange(start, min(start + ROWS, len(histories)))
            block = histories.take(np.resize(rows, ROWS))
            v, c = _solve(mean_direction(block, item), self._known(block), *loss)
            found[rows], share[rows] = v[: len(rows)], c[: len(rows)]
        return found, share

    def arrays(self) -> dict[str, Array]:
        """The items compared with, and their shares."""
        return {"compared": self.compared, "shares": self.shares}

    def settings(self) -> dict[str, Any]:
        """The loss's."""
        names = ("temperature", "negative_weight", "own_length")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, Array], settings: Mapping[str, Any]) -> Self:
        """What `arrays` and `settings` tell of."""
        return cls(np.asarray(arrays["compared"]), np.asarray(arrays["shares"]), **settings)

    def _lengths(self, sums: np.ndarray) -> np.ndarray:
        """Of the whole vectors: [n, 1] float32."""
        squares = np.sum(np.square(sums), axis=1, keepdims=True)
        return np.asarray(np.sqrt(squares + np.float32(self.own_length) ** 2), np.float32)

    def _known(self, block: Histories) -> np.ndarray:
        """Which of the compared items each user knows: [ROWS, m] bool."""
        column = np.full(block.num_items, -1, np.int32)
        column[self.compared] = np.arange(len(self.compared), dtype=np.int32)
        of_entry = column[block.items]
        there = of_entry >= 0
        known = np.zeros((ROWS, len(self.compared)), bool)
        known[block.entry_rows()[there], of_entry[there]] = True
        return known


@jax.jit
def _solve(
    mean: jax.Array,
    known: jax.Array,
    others: jax.Array,
    shares: jax.Array,
    temperature: float,
    negative_weight: float,
) -> tuple[jax.Array, jax.Array]:
    """`SoftmaxDirection.solve` of one block: v [ROWS, dim] and c [ROWS, 1].

    Args:
      mean: p, [ROWS, dim] float32.
      known: [ROWS, m] bool.
      others: the compared items' directions, [m, dim] float32.
      shares: q, [m] float32.
      temperature: t.
      negative_weight: w.
    """
    there = jnp.any(mean != 0, axis=1, keepdims=True)  # who knows nothing has no direction
    log_shares = jnp.where(known, -jnp.inf, jnp.log(shares))
    product = functools.partial(jnp.matmul, precision=lax.Precision.HIGHEST)

    def uphill(v: jax.Array) -> jax.Array:
        logits = product(v, others.T) / temperature + log_shares
        mass = jnp.exp(logits - jnp.maximum(logits.max(axis=1, keepdims=True), LEAST))
        pull = product(mass, others) / jnp.maximum(mass.sum(axis=1, keepdims=True), TINY)
        return jnp.where(there, mean - negative_weight * pull, 0)

    def step(_: int, state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        v, velocity = state
        velocity = MOMENTUM * velocity + uphill(v)
        velocity -= jnp.sum(velocity * v, axis=1, keepdims=True) * v
        return _unit(v + size * velocity), velocity

    size = jnp.minimum(LONGEST_STEP, STEP_SCALE * jnp.sqrt(temperature))
    v, _ = lax.fori_loop(0, STEPS, step, (_unit(mean), jnp.zeros_like(mean)))
    length = jnp.linalg.norm(uphill(v), axis=1, keepdims=True)
    return v, there / jnp.maximum(length, TINY)


def _unit(vectors: jax.Array) -> jax.Array:
    return vectors / jnp.maximum(jnp.linalg.norm(vectors, axis=1, keepdims=True), TINY)


def stand_ins(likelihood: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Items taken evenly along their likelihood, so that no chance is in it.

    Args:
      likelihood: [num_items] float, how likely each item is as a negative; 0 for those that train
        doesn't know.
      most: how many at the most; all where there are no more.

    Returns:
      [m] int32, the items, and [m] float32, the share of all that each stands for.
    """
    share = likelihood / likelihood.sum()
    if np.count_nonzero(share) <= most:
        compared = np.flatnonzero(share)
        weights = share[compared]
    else:
        # Points at equal distances, from the likeliest item on; an item may have several.
        order = np.argsort(-share, kind="stable")[: np.count_nonzero(share)]
        width = share[order] ** EVENNESS
        width /= width.sum()
        points = (np.arange(most) + 0.5) / most
        taken = np.minimum(np.searchsorted(np.cumsum(width), points), len(order) - 1)
        taken, count = np.unique(taken, return_counts=True)
        compared = order[taken]
        weights = share[compared] * count / (most * width[taken])
    return compared.astype(np.int32), weights.astype(np.float32)


def mean_direction(histories: Histories, item: np.ndarray) -> np.ndarray:
    """p, the mean of the directions of each history's items: [n, dim] float32; plays don't count.

    As in the loss, where each edge of the graph counts the same.
    """
    length = np.maximum(np.diff(histories.offsets), 1)
    weights = np.repeat(np.float32(1) / length.astype(np.float32), np.diff(histories.offsets))
    # Rows of the items' table that are used, so that a short history costs little.
    used, column = np.unique(histories.items, return_inverse=True)
    matrix = sparse.csr_array(
        (weights, column, histories.offsets), shape=(len(histories), len(used))
    )
    return np.asarray(matrix @ unit(item[used]), np.float32)


def unit(vectors: np.ndarray) -> np.ndarray:
    """At length 1; zeros stay: [n, dim] float32."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, TINY), np.float32)
